"""Releases through the whole farm to a bucket, a directory and a GitHub at once: real S3 service, fake GitHub.

What opens the places is told to nobody; and a master that is killed in any stage leaves nothing half done behind.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from master.cli.processes import marked
from tests.integration import seaweed
from tests.integration.farm import Farm, cell_name, commit, make_repository, until
from tests.integration.test_release import mint, rebuilt, states
from tests.unit import fake_github
from tests.unit.fake_github import FakeGitHub, Fault
from tests.unit.publish_samples import digests_below
from tests.unit.test_sbom import made, standard_complaints
from workers.model import Flavour
from workers.sbom.documents import CYCLONEDX, SPDX, Documents, for_flavour, inside

CELL = cell_name("3.13")
# Debug symbols have none.
BILLED: tuple[Flavour, ...] = ("full", "install_only", "install_only_stripped")
STAGES = ("gate", "collect", "plan", "publish")
WRONG = "ghs_WRONGtoken.0987654321zyxwvutsrqponmlkjihgfedcba"
SECRETS = (fake_github.TOKEN, seaweed.SECRET, WRONG)
SETTINGS = """
[release]
cells = ["{cell}"]
allow_unvalidated = true
places = ["s3", "directory", "github"]
s3_bucket = "{bucket}"
s3_prefix = "below"
s3_endpoint = "{endpoint}"
s3_credentials_file = "{credentials}"
github_repository = "{repository}"
github_token_file = "token"
github_api = "{api}"
pace_s = 0.3
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("seaweed") / "s3") as server:
        yield server


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeGitHub]:
    with fake_github.running() as server:
        yield server


@pytest.fixture(scope="module")
def farm(
    tmp_path_factory: pytest.TempPathFactory, service: seaweed.Seaweed, hub: FakeGitHub
) -> Iterator[Farm]:  # fmt: skip
    """Its cell is built."""
    settings = SETTINGS.format(
        cell=CELL, bucket=seaweed.BUCKET, endpoint=service.endpoint, credentials=service.credentials,
        repository=fake_github.REPOSITORY, api=hub.url,
    )  # fmt: skip
    one = Farm(tmp_path_factory.mktemp("places"), pushed=[], more_settings=settings)
    make_repository(one.repository)
    write_bills(one.repository / "bills")
    one.first = commit(one.repository, {})
    hub.commits.add(one.first)
    one.http.timeout = 300  # a machine that compiles beside the tests answers late
    token(one, fake_github.TOKEN)
    try:
        one.up()
        assert one.finished(one.force(CELL))["results"] == 0, one.log("master")
        yield one
    finally:
        one.close()


def write_bills(place: Path) -> None:
    """Real bills of materials for the stand-in's archives, as `package` and `derive` write them."""
    place.mkdir()
    full = made()
    for flavour in BILLED:
        both = full if flavour == "full" else for_flavour(full.cyclonedx, f"cpython-{flavour}.tar.gz", flavour)
        (place / f"{flavour}{CYCLONEDX}").write_bytes(both.cyclonedx)
        (place / f"{flavour}{SPDX}").write_bytes(both.spdx)


def token(farm: Farm, text: str) -> None:
    path = farm.home.root / "token"
    path.touch(0o600)
    path.write_text(text)


def ask(farm: Farm, tag: str) -> int:
    answer = farm.call("forceschedulers/release", "force", tag=tag, revision=farm.first, dry_run=False)
    assert answer.status_code == 200, answer.text
    (request,) = answer.json()["result"][1].values()
    return int(request)


def in_the_bucket(service: seaweed.Seaweed, tag: str) -> dict[str, str]:
    below = f"below/{tag}/"
    listed = service.client.list_objects_v2(Bucket=seaweed.BUCKET, Prefix=below)["Contents"]
    return {
        one["Key"].removeprefix(below): hashlib.sha256(
            service.client.get_object(Bucket=seaweed.BUCKET, Key=one["Key"])["Body"].read()
        ).hexdigest()
        for one in listed
    }


def check_whole(farm: Farm, service: seaweed.Seaweed, hub: FakeGitHub, tag: str) -> None:
    """The three places have the same files, those of the plan, and nothing is left of the way there."""
    place = farm.home.root / "releases" / tag
    here = digests_below(place)
    planned = {one["name"]: one["sha256"] for one in json.loads((place / "release-plan.json").read_bytes())["assets"]}
    assert here == planned | {"release-plan.json": here["release-plan.json"]}
    assert hub.published(tag) == here
    assert in_the_bucket(service, tag) == here
    assert hub.tags[tag] == farm.first
    assert hub.latest is not None
    assert hub.releases[hub.latest].tag == tag
    assert not list((farm.home.root / "releases" / ".drafts").iterdir())
    uploads = service.client.list_multipart_uploads(Bucket=seaweed.BUCKET, Prefix="below/").get("Uploads", [])
    marks = service.client.list_objects_v2(Bucket=seaweed.BUCKET, Prefix="below/.drafts/").get("Contents", [])
    assert [*uploads, *marks] == []
    done = mint(farm, "verify", place)
    assert done.returncode == 0, done.stderr


class Onlooker:
    """Looks at what every process of the farm was started with and has in its environment, for as long as it runs."""

    def __init__(self, farm: Farm) -> None:
        self.told: set[tuple[str, str]] = set()
        self.stages: set[str] = set()
        self._home = str(farm.home.root)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Onlooker:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            for pid, words in processes(self._home):
                try:
                    environment = Path(f"/proc/{pid}/environ").read_bytes()
                except OSError:
                    continue
                self.stages |= {one for one in STAGES if one.encode() in words and b"master.release" in words}
                for secret in SECRETS:
                    if secret.encode() in b"\0".join(words) + environment:
                        self.told.add((words[2].decode(), secret[:5]))


def processes(home: str) -> list[tuple[int, list[bytes]]]:
    """Those of a farm, with their arguments."""
    found = []
    for one in marked("MINT_HOME", home):
        try:
            found.append((one.pid, Path(f"/proc/{one.pid}/cmdline").read_bytes().split(b"\0")))
        except OSError:
            continue
    return found


def written(farm: Farm, build: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """All that a release leaves: logs and properties as the page shows them, and every file below MINT_HOME."""
    for name, step in farm.steps(build).items():
        for one in farm.get(f"steps/{step['stepid']}/logs")["logs"]:
            yield f"log {name}/{one['name']}", farm.step_log(step, one["name"]).encode()
    yield "properties", json.dumps(farm.properties(build)).encode()
    yield "steps", json.dumps(farm.steps(build)).encode()
    for path in farm.home.root.rglob("*"):
        if path.is_file() and path != farm.home.root / "token":
            yield str(path), path.read_bytes()


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


@linux
def test_a_release_reaches_three_places_and_tells_nobody_what_opens_them(
    farm: Farm, service: seaweed.Seaweed, hub: FakeGitHub
) -> None:
    tag = "20261201"
    token(farm, WRONG)
    said = farm.call("forceschedulers/release", "force", tag=tag, revision=farm.first, dry_run=False).json()["error"]
    assert said["message"]["tag"].startswith(f"The tag {tag} can't be looked up: github: the token is not accepted.")
    assert not [one for one in SECRETS if one in json.dumps(said)]
    token(farm, fake_github.TOKEN)
    with Onlooker(farm) as onlooker:
        hub.faults = [Fault("POST", "/upload/", 500, "after"), Fault("POST", "/upload/", 401, skip=3)]
        refused = farm.finished(ask(farm, tag))
        problem = farm.step_log(farm.steps(refused)["publish"], "problem")
        assert problem.startswith("publish: github: the token is not accepted"), states(farm, refused)
        assert str(farm.home.root / "token") in problem
        build = rebuilt(farm, refused)
        assert build["results"] == 0, states(farm, build)
    assert [one.times for one in hub.faults] == [0, 0], "a fault did not strike"
    check_whole(farm, service, hub, tag)
    check_bills(farm.home.root / "releases" / tag)
    where = farm.properties(build)["release_where"].split()
    assert [one.rpartition("/")[2] for one in where] == [tag] * 3
    assert onlooker.stages == set(STAGES)
    assert onlooker.told == set()
    found = [
        (name, secret[:5]) for one in (refused, build) for name, data in written(farm, one) for secret in SECRETS
        if secret.encode() in data
    ]  # fmt: skip
    assert found == []


def check_bills(place: Path) -> None:
    """The published bills of materials are those in the published archives, and what their standards want."""
    bills = {path.name: path.read_bytes() for path in place.iterdir() if path.name.endswith((CYCLONEDX, SPDX))}
    checked = set()
    for archive in (path for path in place.iterdir() if path.name.endswith((".tar.gz", ".tar.zst"))):
        stem = archive.name.partition(".tar.")[0]
        beside = {ending: bills[stem + ending] for ending in (CYCLONEDX, SPDX) if stem + ending in bills}
        assert beside == inside(archive)
        if beside:
            assert standard_complaints(Documents(beside[CYCLONEDX], beside[SPDX])) == []
            checked |= {stem + ending for ending in beside}
    assert checked == bills.keys()
    assert len(checked) == 2 * len(BILLED)


def at_work(farm: Farm, hub: FakeGitHub, tag: str) -> dict[str, Callable[[], bool]]:
    """Whether a stage is in the middle of its work."""
    home = str(farm.home.root)

    def runs(*wanted: bytes) -> bool:
        return any(set(wanted) <= set(words) for _, words in processes(home))

    def uploads() -> bool:
        return any(len(one.assets) > 2 for one in hub.releases.values() if one.tag == tag)

    return {
        "gate": lambda: runs(b"master.release", b"gate"),
        "collect": lambda: runs(b"workers", b"validate"),
        "plan": lambda: runs(b"master.signing", b"--release", tag.encode()),
        "publish": uploads,
    }


@linux
def test_a_master_that_is_killed_in_each_stage_of_a_release_leaves_it_to_the_next_one(
    farm: Farm, service: seaweed.Seaweed, hub: FakeGitHub
) -> None:
    tag = "20261202"
    request = ask(farm, tag)
    for stage, begun in at_work(farm, hub, tag).items():
        until(f"{stage} is at work", begun)
        farm.down("master", how=signal.SIGKILL)
        until(
            f"{stage} has ended with its master",
            lambda: not [words for _, words in processes(str(farm.home.root)) if b"master.release" in words],
        )
        assert not (farm.home.root / "releases" / tag).exists()
        farm.up("master")
    build = farm.finished(request)
    assert build["results"] == 0, states(farm, build)
    assert [one["results"] for one in farm.builds(request)] == [0, 5, 5, 5, 5], "each was begun again by Buildbot"
    check_whole(farm, service, hub, tag)
    again = rebuilt(farm, build)
    assert states(farm, again)["publish"][1].startswith(f"nothing to do: {tag} is published: ")
