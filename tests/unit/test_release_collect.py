"""What is released is what was built: each byte that is not is refused, and named with its build and worker."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from master.release.again import Programs, programs_of
from master.release.collect import Collection
from master.release.model import CellAnswer
from master.settings import Settings
from master.signing.choice import Signing
from master.signing.signer import names_of
from master.store import ArchiveRecord
from tests.unit.handover_samples import CELL, PACKED
from tests.unit.release_samples import LINUX_ARM, MACOS, SmallFarm, next_commit, small_farm
from workers.errors import Failure
from workers.machine import native_target
from workers.model import load_matrix
from workers.reports.base import decode, encode
from workers.reports.build import CellName


@pytest.fixture
def farm(tmp_path: Path) -> SmallFarm:
    return small_farm(tmp_path)


def test_what_was_built_is_collected_and_judged_again(farm: SmallFarm) -> None:
    target = native_target() or CELL.target
    here = farm.build(replace(CELL, target=target))
    farm.build(replace(CELL, target=MACOS if target != MACOS else LINUX_ARM))
    found = farm.collected()
    assert (found.commit, found.base, found.repository) == (
        farm.commit, "https://farm.example", "https://github.com/example/pymint"
    )  # fmt: skip
    own, foreign = found.cells
    assert own.record == here
    assert [(one.flavour, one.validated, one.proven) for one in own.archives] == [
        ("full", False, False), ("install_only", True, True), ("install_only_stripped", True, True),
        ("debug_symbols", True, False),
    ]  # fmt: skip
    assert [one.proven for one in foreign.archives] == [False] * 4
    assert all(one.bundle.name == f"{one.archive.name}.sigstore.json" for one in own.archives)
    assert own.builder_id.startswith("https://farm.example/builders/")
    assert decode(encode(found), Collection, "collection.json") == found


def test_an_unready_commit_is_not_collected(farm: SmallFarm) -> None:
    farm.build()
    farm.answers.append(CellAnswer("cpython-3.12-x86_64-unknown-linux-gnu-pgo-lto", "failed", 3))
    with pytest.raises(Failure, match="is not ready to be released"):
        farm.collected()
    farm.answers.clear()
    with pytest.raises(Failure, match="is not ready to be released"):
        farm.collected()


@pytest.mark.parametrize("what", ["full", "install_only", "install_only_stripped", "debug_symbols", "report", "bundle"])
def test_a_flipped_bit_of_the_store_is_named(farm: SmallFarm, what: str) -> None:
    record = farm.build()
    attestation = farm.store.attested(record)
    assert attestation is not None
    files = {one.flavour: one.archive for one in record.derived} | {
        "full": record.archive, "report": record.reports[3], "bundle": attestation.bundles[0],
    }  # fmt: skip
    farm.flip(files[what])
    with pytest.raises(Failure) as caught:
        farm.collected()
    assert caught.value.what == (
        f"{record.builder} #1 of worker local: {files[what].name} is damaged in the store"
    )  # fmt: skip


def changed(farm: SmallFarm, record: ArchiveRecord, **fields: object) -> None:
    """The index is written over, as somebody might who can write there."""
    path = farm.store.root / "index" / record.commit / record.builder / f"{record.number}.json"
    path.chmod(0o644)
    path.write_bytes(encode(replace(record, **fields)))  # type: ignore[arg-type]


def other_report(
    name: str, change: Callable[[dict[str, object]], object]
) -> Callable[[SmallFarm, ArchiveRecord], None]:
    """Another report is put in the place of one."""

    def tell(farm: SmallFarm, record: ArchiveRecord) -> None:
        stored = {one.name: one for one in record.reports}
        document = json.loads(farm.store.path_of(stored[name].sha256).read_bytes())
        change(document)
        other = farm.store.put_bytes(json.dumps(document).encode(), name)
        changed(farm, record, reports=[other if one.name == name else one for one in record.reports])

    return tell


def other_archive(farm: SmallFarm, record: ArchiveRecord) -> None:
    """The worker's words stay, and the bytes are others: what a worker that lies would have stored."""
    other = farm.store.put_bytes(PACKED + b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", record.archive.name)
    changed(farm, record, archive=other)


def other_derived(farm: SmallFarm, record: ArchiveRecord) -> None:
    first, second, third = record.derived
    changed(
        farm, record, derived=[first, replace(second, archive=replace(first.archive, name=second.archive.name)), third]
    )


def other_commit(farm: SmallFarm, record: ArchiveRecord) -> None:
    changed(farm, record, commit="e" * 40)


@pytest.mark.parametrize(
    ("lie", "named"),
    [
        (other_archive, "is not what the worker reported"),
        (other_derived, "is not what the worker reported"),
        (other_commit, "is of another commit"),
        (lambda farm, record: changed(farm, record, number=9), "no archive of it is recorded"),
        (lambda farm, record: changed(farm, record, tar_sha256="f" * 64), "the record has another tar for full"),
        (lambda farm, record: changed(farm, record, provider=replace(record.provider, certificate="4985")),
         "the record names another FIPS provider"),
        (lambda farm, record: changed(farm, record, python_version="3.13.6"), "the record names another Python"),
        (lambda farm, record: changed(farm, record, pins=[]), "the record has other sources"),
        (lambda farm, record: changed(farm, record, cell=CellName("3.12", CELL.target, CELL.variant)),
         "the record is of another cell"),
        (lambda farm, record: changed(farm, record, reports=record.reports[1:]), "the build has no report plan"),
        (lambda farm, record: changed(farm, record, archive=replace(record.archive, size=5)),
         "has another size than its record says"),
        (other_report("validate.json", lambda said: said.update(ok=False)), "says that its stage failed"),
        (other_report("prove.json", lambda said: said.update(tar_sha256="0" * 64)), "other bytes were proven"),
        (other_report("validate.json", lambda said: said["measure"].update(cpu_s=99.0)),  # type: ignore[attr-defined]
         "validate.json is not the report that"),
        (other_report("derive.json", lambda said: said.update(from_tar_sha256="0" * 64)), "derived from other bytes"),
        (other_report("plan.json", lambda said: said["plan"].update(commit="e" * 40)), "of another commit"),  # type: ignore[attr-defined]
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_named(
    farm: SmallFarm, lie: Callable[[SmallFarm, ArchiveRecord], None], named: str
) -> None:
    record = farm.build()
    lie(farm, record)
    with pytest.raises(Failure) as caught:
        farm.collected()
    assert named in caught.value.what
    assert record.builder in caught.value.what
    assert "Nothing is released" in caught.value.todo


def test_another_name_than_the_build_reported_is_refused_though_it_was_signed(farm: SmallFarm) -> None:
    record = farm.build(signed=False)
    changed(farm, record, archive=replace(record.archive, name=record.archive.name.replace("3.13.5", "3.13.6")))
    renamed = farm.store.find(record.builder, record.number)
    assert renamed is not None
    farm.sign(renamed)
    with pytest.raises(Failure, match="the record has another name for full than its report"):
        farm.collected()


def test_a_build_that_is_not_signed_is_refused(farm: SmallFarm) -> None:
    record = farm.build(signed=False)
    with pytest.raises(Failure, match=re.escape(f"{record.archive.name} has no bundle")):
        farm.collected()
    farm.sign(record)
    assert len(farm.collected().cells) == 1


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"commit": "e" * 40}, "it was built of another commit"),
        ({"target": MACOS}, "it was built of another target"),
        ({"version": "3.12"}, "it was built of another version"),
        ({"variant": "debug"}, "it was built of another variant"),
        ({"source": "https://github.com/somebody/else"}, "it was built of another source"),
    ],
)
def test_a_bundle_that_says_something_else_is_refused(farm: SmallFarm, said: dict[str, str], named: str) -> None:
    record = farm.build(signed=False)
    farm.sign(record, **said)
    with pytest.raises(Failure, match=named):
        farm.collected()


def test_a_bundle_in_the_name_of_another_builder_of_the_farm_is_refused(
    farm: SmallFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = farm.build(signed=False)
    own = names_of(farm.home, farm.settings, record, dry_run=False)
    others = replace(own, builder=own.builder.replace("linux", "macos"))
    with monkeypatch.context() as patched:
        patched.setattr("tests.unit.release_samples.names_of", lambda *unused, **more: others)
        farm.sign(record)
    with pytest.raises(Failure, match="it was built by another builder"):
        farm.collected()


def test_a_bundle_of_a_key_that_is_not_the_farms_is_refused(farm: SmallFarm, tmp_path: Path) -> None:
    record = farm.build(signed=False)
    stranger = small_farm(tmp_path / "stranger")
    farm.sign(record)
    keys = (stranger.home.keys / "keys.json").read_bytes()
    (farm.home.keys / "keys.json").write_bytes(keys)
    with pytest.raises(Failure, match="signed with a key that is not trusted here"):
        farm.collected()


def test_a_farm_that_signs_nothing_releases_nothing(farm: SmallFarm) -> None:
    farm.build()
    farm.settings = Settings(signing=Signing(profile="none"))
    with pytest.raises(Failure, match="what is released has to be signed"):
        farm.collected()


@pytest.mark.parametrize("judge", ["validate", "prove"])
def test_an_archive_that_is_not_found_good_again_is_refused(tmp_path: Path, judge: str) -> None:
    farm = small_farm(tmp_path, orders={"again": judge})
    farm.build(replace(CELL, target=native_target() or CELL.target))
    with pytest.raises(Failure) as caught:
        farm.collected()
    assert f"{judge} does not find cpython-3.13.5-" in caught.value.what
    assert "the stand-in was told to fail" in str(caught.value.found)


def test_a_judge_that_was_shown_something_else_is_not_believed(
    farm: SmallFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.build(replace(CELL, target=native_target() or CELL.target))
    for judge, field, named in (
        (Programs.validate, "tar_sha256", "other bytes were validated again than"),
        (Programs.prove, "tar_sha256", "other bytes were proven again than"),
        (Programs.prove, "provider_sha256", "holds another FIPS module"),
    ):

        def lying(self: Programs, path: Path, name: str, judge: Any = judge, field: str = field) -> Any:
            return replace(judge(self, path, name), **{field: "0" * 64})

        with monkeypatch.context() as patched:
            patched.setattr(Programs, judge.__name__, lying)
            with pytest.raises(Failure, match=named):
                farm.collected()


def test_a_commit_that_is_not_in_the_mirror_can_not_be_judged_again(farm: SmallFarm) -> None:
    farm.commit = "d" * 40
    farm.build()
    with pytest.raises(Failure, match="the programs of commit dddddddddddd can't be had"):
        farm.collected()


def test_the_cells_are_those_that_the_gate_names(farm: SmallFarm) -> None:
    first = farm.build()
    farm.build()
    farm.answers = [CellAnswer(first.builder, "ready", first.number)]
    assert [one.record.number for one in farm.collected().cells] == [first.number]
    assert farm.collected().cells[0].record.builder in load_matrix().by_builder_name


def test_what_runs_code_of_an_archive_gets_nothing_of_the_farms_environment(
    farm: SmallFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The programs are the commit's; here one that tells what it was given."""
    repository = tmp_path / "repository"
    (repository / "workers" / "programs" / "prove.py").write_text(
        "import json, os, sys\n\nprint(json.dumps(dict(os.environ)))\nsys.exit(1)\n"
    )
    next_commit(farm, tmp_path)
    for name in ("MINT_HOME", "PYTHONPATH", "OPENSSL_CONF", "PYTHON_FIPS", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "of the farm")
    with programs_of(farm.home.repository, farm.commit) as programs, pytest.raises(Failure) as caught:
        programs.prove(tmp_path, "an-archive")
    said = json.loads(str(caught.value.found))
    assert "of the farm" not in said.values()
    assert "TMPDIR" not in said  # else sockets in it have too long a path
    assert not Path(said["HOME"]).exists()
