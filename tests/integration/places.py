"""A farm that releases to a bucket, a directory and a GitHub at once: a real S3 service, a fake GitHub, and a server of
the directory, all on loopback."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

import httpx

from master.release.indexes import UV_OWN
from tests.integration import seaweed
from tests.integration.farm import Farm, cell_name, commit, make_repository
from tests.unit import fake_github
from tests.unit.fake_github import FakeGitHub
from tests.unit.publish_samples import digests_below
from tests.unit.test_sbom import made
from workers.model import Flavour
from workers.sbom.documents import CYCLONEDX, SPDX, for_flavour

CELL = cell_name("3.13")
Held = Literal["collect", "sign"]
# Debug symbols have none.
BILLED: tuple[Flavour, ...] = ("full", "install_only", "install_only_stripped")
SETTINGS = """
[release]
cells = ["{cell}"]
allow_unvalidated = true
places = ["s3", "directory", "github"]
url = "{url}/{{tag}}"
s3_bucket = "{bucket}"
s3_prefix = "below"
s3_endpoint = "{endpoint}"
s3_credentials_file = "{credentials}"
github_repository = "{repository}"
github_token_file = "token"
github_api = "{api}"
pace_s = 0.1
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Places:
    """address: where the directory is served."""

    farm: Farm
    service: seaweed.Seaweed
    hub: FakeGitHub
    address: str

    @property
    def token_file(self) -> Path:
        return self.farm.home.root / "token"

    def token(self, text: str) -> None:
        self.token_file.touch(0o600)
        self.token_file.write_text(text)

    def ask(self, tag: str, **params: Any) -> int:
        """Sends the release form; the id of the build request."""
        answer = self.farm.call("forceschedulers/release", "force", tag=tag, revision=self.farm.first, **params)
        assert answer.status_code == 200, answer.text
        (request,) = answer.json()["result"][1].values()
        return int(request)

    def in_the_bucket(self, below: str) -> dict[str, str]:
        """What the bucket has below a path of the farm's prefix: name to sha256."""
        whole = f"below/{below}"
        listed = self.service.client.list_objects_v2(Bucket=seaweed.BUCKET, Prefix=whole).get("Contents", [])
        return {
            one["Key"].removeprefix(whole): hashlib.sha256(
                self.service.client.get_object(Bucket=seaweed.BUCKET, Key=one["Key"])["Body"].read()
            ).hexdigest()
            for one in listed
        }

    def check_nothing(self, tag: str) -> None:
        """No place shows or hides anything of a tag."""
        assert not (self.farm.home.root / "releases" / tag).exists()
        assert self.in_the_bucket(f"{tag}/") == {}
        assert [one.tag for one in self.hub.releases.values() if one.tag == tag] == []
        self.check_tidy()

    def check_tidy(self) -> None:
        """Nothing is left of the way to any place."""
        drafts = self.farm.home.root / "releases" / ".drafts"
        assert not drafts.exists() or not list(drafts.iterdir())
        uploads = self.service.client.list_multipart_uploads(Bucket=seaweed.BUCKET, Prefix="below/").get("Uploads", [])
        assert [*uploads, *self.in_the_bucket(".drafts/")] == []
        assert not [one.tag for one in self.hub.releases.values() if one.draft]

    def check_whole(self, tag: str) -> None:
        """The three places have the same files, those of the plan, and what is served on loopback leads to them."""
        place = self.farm.home.root / "releases" / tag
        here = digests_below(place)
        assets = json.loads((place / "release-plan.json").read_bytes())["assets"]
        assert here == {one["name"]: one["sha256"] for one in assets} | {"release-plan.json": here["release-plan.json"]}
        assert {one["name"]: (place / one["name"]).stat().st_size for one in assets} == {
            one["name"]: one["size"] for one in assets
        }
        assert self.hub.published(tag) == here
        assert self.in_the_bucket(f"{tag}/") == here
        assert self.hub.tags[tag] == self.farm.first
        assert self.hub.latest is not None
        assert self.hub.releases[self.hub.latest].tag == tag
        self.check_tidy()
        self._check_served(tag, here)

    def _check_served(self, tag: str, files: dict[str, str]) -> None:
        with httpx.Client(base_url=self.address, trust_env=False) as http:
            latest = http.get("/latest-release.json").raise_for_status().json()
            assert latest["tag"] == tag
            assert latest["asset_url_prefix"] == f"{self.address}/{tag}"
            for name, sha256 in files.items():
                served = http.get(f"/{tag}/{quote(name)}").raise_for_status().content
                assert hashlib.sha256(served).hexdigest() == sha256, name
            downloads = http.get(f"/{UV_OWN}").raise_for_status().json()
            mine = [one for one in downloads.values() if f"/{tag}/" in one["url"]]
            assert mine
            for one in mine:
                assert hashlib.sha256(http.get(one["url"]).raise_for_status().content).hexdigest() == one["sha256"]


@contextmanager
def running(root: Path) -> Iterator[Places]:
    """Up, with its cell built."""
    home = root / "farm" / "home"
    with (
        seaweed.running(root / "s3") as service,
        fake_github.running() as hub,
        ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(home / "releases"))) as server,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        settings = SETTINGS.format(
            cell=CELL, url=address, bucket=seaweed.BUCKET, endpoint=service.endpoint, credentials=service.credentials,
            repository=fake_github.REPOSITORY, api=hub.url,
        )  # fmt: skip
        farm = Farm(root / "farm", pushed=[], more_settings=settings + signing(home), poll_s=3600)
        places = Places(farm, service, hub, address)
        make_repository(farm.repository)
        write_bills(farm.repository / "bills")
        farm.first = commit(farm.repository, {"hold": {"again": str(held(home, "collect"))}})
        hub.commits.add(farm.first)
        farm.http.timeout = 300  # a machine that compiles beside the tests answers late
        places.token(fake_github.TOKEN)
        for stage in get_args(Held):
            held(home, stage).touch()
        try:
            farm.up()
            build = farm.finished(farm.force(CELL))
            assert build["results"] == 0, farm.log("master")
            yield places
        finally:
            farm.close()
            server.shutdown()


def held(home: Path, stage: Held) -> Path:
    """The file without which a release waits in a stage."""
    return home / f"{stage}-may-go-on"


def signing(home: Path) -> str:
    """Settings by which the signer of a release waits until it may go on."""
    script = f'case "$*" in *--release*) until [ -e "{held(home, "sign")}" ]; do sleep 0.2; done;; esac; exec "$@"'
    return f"[signing]\ncommand = {json.dumps(['sh', '-c', script, 'sh'])}\n"


def write_bills(place: Path) -> None:
    """Real bills of materials for the stand-in's archives, as `package` and `derive` write them."""
    place.mkdir()
    full = made()
    for flavour in BILLED:
        both = full if flavour == "full" else for_flavour(full.cyclonedx, f"cpython-{flavour}.tar.gz", flavour)
        (place / f"{flavour}{CYCLONEDX}").write_bytes(both.cyclonedx)
        (place / f"{flavour}{SPDX}").write_bytes(both.spdx)
