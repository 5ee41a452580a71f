"""uv installs from a published release by its metadata, in both forms, and refuses an archive that was changed.

With `PYMINT_TEST_HOME`, a farm's MINT_HOME, the release is collected from that farm's store, checked, planned and
verified, as a dry run does it; the farm itself is only read. Without it, one archive is released under its names.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from master import settings as farm_settings
from master.home import Home
from master.release import indexes, planning
from master.release.assets import media_type
from master.release.collect import collect
from master.release.model import Asset, CellAnswer, Plan, Readiness, ReleasedCell
from master.signing import directory, keys
from master.signing.bundle import decode
from master.signing.keeping import KEYS, own_trust
from master.signing.trust import Trust, known_key
from master.signing.verify import Wanted
from master.store import ArchiveRecord, Store, digest_of
from tests.real.uv import Uv, uv_at
from workers.fips.running import run
from workers.machine import native_target
from workers.model import ROOT, flavour_named, load_matrix
from workers.reports.build import CellName, ProviderFacts

pytestmark = [pytest.mark.real, pytest.mark.ci]

TAG = "20261125"
FARM = os.environ.get("PYMINT_TEST_HOME", "")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Served:
    """A release below `place`, on loopback."""

    plan: Plan
    place: Path
    address: str


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dl")


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def of_one(archive: Path, url: str, place: Path) -> Plan:
    """A release of one archive, without what only a farm has of it."""
    version = archive.name.removeprefix("cpython-").partition("-")[0]
    target, flavour = native_target() or "", flavour_named(archive.name) or "full"
    variant = "freethreaded+pgo+lto" if "freethreaded" in archive.name else "pgo+lto"
    cell = load_matrix().cell(version.rpartition(".")[0], target, variant)
    name = cell.release_name(version, TAG, flavour)
    (place / name).symlink_to(archive)
    sha256, size = digest_of(archive)
    facts = ProviderFacts("0", "toolchain", None, "2.17")
    released = ReleasedCell(
        CellName(cell.version.minor, target, variant), cell.builder_name, 1, 1, "local", version, facts, "", None, None,
        [], {flavour: name}, {},
    )  # fmt: skip
    asset = Asset(name, size, sha256, media_type(name), "archive", cell.builder_name, flavour)
    plan = Plan(
        "pymint/release-plan/1", TAG, "0" * 40, 0, str(ROOT), True, "", [released], [asset], [], url, "http://farm"
    )  # fmt: skip
    for file, data in indexes.all_indexes(plan, {}).items():
        (place / file).write_bytes(data)
    return plan


def newest(store: Store) -> list[ArchiveRecord]:
    """The newest build of each cell of the commit that was built last."""
    records = sorted(store.records(), key=lambda record: record.recorded_at)
    of_commit = [record for record in records if record.commit == records[-1].commit]
    return list({record.builder: record for record in of_commit}.values())


def said(store: Store, records: list[ArchiveRecord]) -> str:
    """The repository that the farm says it builds, as TOML."""
    attestation = store.attested(records[0])
    assert attestation is not None
    bundle = decode(store.path_of(attestation.bundles[0].sha256).read_bytes(), "a bundle")
    statement = json.loads(bundle.payload)
    source: str = statement["predicate"]["buildDefinition"]["externalParameters"]["source"]
    return json.dumps(source.removeprefix("file://"))


def of_farm(farm: Home, url: str, place: Path, scratch: Path) -> Plan:
    """A dry run from a farm's store, in a copy of what it needs."""
    matrix = load_matrix()
    source = Store(farm_settings.store_path(farm_settings.load(farm, matrix), farm))
    records = newest(source)
    home = Home(scratch / "home", ROOT)
    # A farm without settings builds its own checkout, which is not this one: its bundles say which.
    text = (
        farm.settings_file.read_text()
        if farm.settings_file.exists()
        else f"[repository]\nurl = {said(source, records)}"
    )
    settings = farm_settings.parse(text, farm.settings_file)
    chosen = replace(settings, store=replace(settings.store, path="store"), release=replace(settings.release, url=url))
    home.keys.mkdir(mode=0o700, parents=True)
    for public in farm.keys.iterdir():
        if public.suffix in (".pub", ".crt", ".jsonl") or public.name == KEYS:
            shutil.copy(public, home.keys)
    (home.keys / "dry-run.pub").unlink(missing_ok=True)
    keys.make(home.keys, "dry-run")
    home.settings_file.write_text(text)
    home.repository.parent.mkdir()
    home.repository.symlink_to(farm.repository)
    for record in records:
        for one in source.files(record):
            to = home.root / "store" / "sha256" / one.sha256[:2] / one.sha256
            to.parent.mkdir(parents=True, exist_ok=True)
            if not to.exists():
                shutil.copy(source.path_of(one.sha256), to)
        for kind in ("index", "attested"):
            below = Path(kind) / record.commit / record.builder
            (home.root / "store" / below).mkdir(parents=True)
            shutil.copy(source.root / below / f"{record.number}.json", home.root / "store" / below)
    readiness = Readiness(
        records[0].commit, "release", [CellAnswer(record.builder, "ready", record.number) for record in records]
    )
    collection = collect(home, chosen, matrix, readiness)
    plan = planning.make(home, chosen, collection, tag=TAG, rehearsal=True)
    store = Store(home.root / "store")
    for asset in plan.assets:
        os.link(store.path_of(asset.sha256), place / asset.name)
    trust = own_trust(home)
    assert trust is not None
    own = known_key("dry-run", keys.spki_of(keys.read_public((home.keys / "dry-run.pub").read_bytes(), "dry-run")))
    verified = dict(directory.all_of(place, Trust((*trust.keys, own)), Wanted(commit=records[0].commit)))
    assert verified["SHA256SUMS"] is not None
    return plan


@pytest.fixture(scope="module")
def served(
    root: Path, address: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Served:
    place = root / TAG
    place.mkdir()
    url = f"{address}/{TAG}"
    if FARM:
        plan = of_farm(Home(Path(FARM), ROOT), url, place, tmp_path_factory.mktemp("farm"))
    else:
        plan = of_one(request.getfixturevalue("archive"), url, place)
    return Served(plan, place, address)


@pytest.fixture
def uv(tmp_path: Path) -> Uv:
    return uv_at(tmp_path / "uv")


def installed(uv: Uv, served: Served, **settings: str) -> list[Path]:
    """The interpreters that uv installed of the versions that run here."""
    found = []
    for cell in served.plan.cells:
        if cell.cell.target != native_target():
            continue
        free = "freethreaded" in cell.cell.variant
        version = cell.python_version + ("+freethreaded" if free else "")
        uv("python", "install", version, **settings)
        found.append(Path(uv("python", "find", version, **settings)))
    assert found
    return found


def works(python: Path, build: str) -> None:
    """The interpreter is ours, whole, and of that build of it."""
    code = "import hashlib, ssl; print(hashlib.sha256(b'').hexdigest()[:4], ssl.OPENSSL_VERSION)"
    off, on = run(python, ["-c", code]), run(python, ["-c", "import hashlib; hashlib.md5(b'')"], {"PYTHON_FIPS": "1"})
    assert off.code == 0, off.err
    assert "e3b0" in off.out
    assert on.code != 0
    assert "ValueError" in on.err or "UnsupportedDigestmodError" in on.err, on.err
    home = next(one for one in python.resolve().parents if (one / "BUILD").exists())
    assert (home / "BUILD").read_text().strip() == build


def test_uv_installs_by_the_releases_own_addresses(uv: Uv, served: Served) -> None:
    url = f"{served.address}/{TAG}/{indexes.UV_OWN}"
    for python in installed(uv, served, UV_PYTHON_DOWNLOADS_JSON_URL=url):
        works(python, TAG)


def test_uv_installs_from_a_mirror_by_the_other_form(uv: Uv, served: Served) -> None:
    settings = {
        "UV_PYTHON_DOWNLOADS_JSON_URL": f"{served.address}/{TAG}/{indexes.UV_MIRROR}",
        "UV_PYTHON_INSTALL_MIRROR": served.address,
    }
    for python in installed(uv, served, **settings):
        works(python, TAG)


def test_uv_refuses_an_archive_that_was_changed(uv: Uv, served: Served, root: Path) -> None:
    cell = next(one for one in served.plan.cells if one.cell.target == native_target())
    archive = indexes.installed(served.plan, cell)
    other = root / "changed"
    other.mkdir()
    (other / archive.name).write_bytes((served.place / archive.name).read_bytes() + b"\0")
    (other / "list.json").write_bytes(indexes.uv_downloads(served.plan, f"{served.address}/changed"))
    with pytest.raises(AssertionError, match=r"(?i)hash mismatch"):
        installed(uv, served, UV_PYTHON_DOWNLOADS_JSON_URL=f"{served.address}/changed/list.json")
