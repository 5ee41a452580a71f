"""A worker's claims against the bytes that arrived: each lie is named, and then nothing is stored."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from master import record as master_record
from master.record import KINDS, tar_digest
from master.store import Store
from steps.handover import REPORTS
from tests.unit.handover_samples import (
    BILLS,
    CELL,
    COMMIT,
    FACTS,
    NAME,
    NAMES,
    PACKED,
    SMALLER,
    TAR,
    Handover,
    handed_over,
    sha,
    tar_of,
)
from workers.errors import Failure
from workers.model import DERIVED, Flavour
from workers.reports.build import CellName
from workers.reports.checks import Check


@pytest.fixture
def handover(tmp_path: Path) -> Handover:
    return handed_over(tmp_path, Store(tmp_path / "store"))


def test_the_reports_of_all_stages_are_wanted() -> None:
    assert set(KINDS) == set(REPORTS)


def test_what_is_true_is_stored_indexed_and_linked(handover: Handover) -> None:
    kept = handover.record()
    assert (kept.archive, kept.sha256, kept.size) == (NAME, sha(PACKED), len(PACKED))
    record = handover.store.find(handover.submission.builder, 3)
    assert record is not None
    assert (record.commit, record.cell, record.recorded_at) == (COMMIT, CELL, 1_000_000)
    assert handover.store.checked(record.archive).read_bytes() == PACKED
    names = {one.name for one in record.reports}
    pages = {f"{judge}{which}.html" for judge in ("validate", "prove") for which in ("", *(f"-{f}" for f in DERIVED))}
    assert names == {
        *(f"{name}.json" for name in REPORTS),
        *(pages - {"prove-debug_symbols.html"}),
        "test.html",
        "SHA256SUMS",
        *(bill for bill, _ in bills()),
    }
    sums = handover.store.checked(next(one for one in record.reports if one.name == "SHA256SUMS")).read_text()
    assert f"{sha(PACKED)}  {NAME}\n" in sums
    assert [(one.flavour, one.archive.name) for one in record.derived] == list(NAMES.items())
    for one in record.derived:
        assert handover.store.checked(one.archive).read_bytes() == SMALLER[one.flavour]
        assert f"{one.archive.sha256}  {one.archive.name}\n" in sums
        assert kept.links[one.archive.name].endswith(f"/{one.archive.name}")


def bills() -> list[tuple[str, bytes]]:
    """The bills that belong beside the archives, with what is in each."""
    smaller = [(NAMES[flavour], flavour.encode()) for flavour in DERIVED if flavour != "debug_symbols"]
    full = [(NAME.removesuffix(".tar.zst") + ending, content) for ending, content in BILLS.items()]
    return full + [(name.removesuffix(".tar.gz") + ending, text) for name, text in smaller for ending in BILLS]


def test_the_bills_of_materials_are_those_in_the_archives(handover: Handover) -> None:
    kept = handover.record()
    record = handover.store.find(handover.submission.builder, 3)
    assert record is not None
    stored = {one.name: handover.store.checked(one).read_bytes() for one in record.reports}
    assert {name: stored[name] for name, _ in bills()} == dict(bills())
    assert kept.links["bill of materials"].endswith(f"/{bills()[0][0]}")


def repacked(tar: bytes) -> Callable[[Handover], None]:
    """An archive of another tar, of which everybody says so."""

    def tell(handover: Handover) -> None:
        handover.archive = zstandard.ZstdCompressor().compress(tar)
        said = {"tar_sha256": sha(tar), "tar_size": len(tar)}
        handover.change("archive", sha256=sha(handover.archive), size=len(handover.archive), **said)
        for judge in ("validate", "prove", "test"):
            handover.change(judge, tar_sha256=sha(tar))
        handover.change("derive", from_tar_sha256=sha(tar))

    return tell


def test_an_archive_of_an_older_commit_has_no_bill_of_materials(handover: Handover) -> None:
    repacked(tar_of("an old tar", "python/install/", {}))(handover)
    handover.record()
    record = handover.store.find(handover.submission.builder, 3)
    assert record is not None
    assert bills()[0][0] not in {one.name for one in record.reports}


def lie(report: str, /, **fields: Any) -> Callable[[Handover], None]:
    return lambda handover: handover.change(report, **fields)


def other_plan(**fields: Any) -> Callable[[Handover], None]:
    return lambda handover: handover.change("plan", plan=replace(handover.reports["plan"].plan, **fields))


def other_bytes(handover: Handover) -> None:
    handover.archive = zstandard.ZstdCompressor().compress(b"another tar")


def other_smaller(flavour: Flavour, change: Callable[[bytes], bytes]) -> Callable[[Handover], None]:
    """Other bytes of a smaller archive, of which the worker says so itself."""

    def tell(handover: Handover) -> None:
        data = handover.smaller[flavour] = change(SMALLER[flavour])
        derived_as(flavour, sha256=sha(data), size=len(data))(handover)

    return tell


def derived_as(flavour: Flavour, /, **fields: Any) -> Callable[[Handover], None]:
    def tell(handover: Handover) -> None:
        archives = handover.reports["derive"].archives
        handover.change(
            "derive", archives=[replace(one, **fields) if one.flavour == flavour else one for one in archives]
        )

    return tell


def judged_as(stage: str, **fields: Any) -> Callable[[Handover], None]:
    """A judge's report on each smaller archive, changed."""

    def tell(handover: Handover) -> None:
        found = handover.reports[stage].reports
        handover.change(stage, reports=[replace(one, report=replace(one.report, **fields)) for one in found])

    return tell


def not_judged(stage: str) -> Callable[[Handover], None]:
    return lambda handover: handover.change(stage, reports=handover.reports[stage].reports[1:])


def other_smaller_bytes(handover: Handover) -> None:
    handover.smaller["install_only"] = gzip.compress(b"another tar")


def cut(handover: Handover) -> None:
    handover.archive = PACKED[:-3]
    handover.change("archive", sha256=sha(handover.archive), size=len(handover.archive))


def cut_off(count: int) -> Callable[[Handover], None]:
    """Of an archive that ends with its checksum, as ours do: all of the tar is still there."""

    def tell(handover: Handover) -> None:
        handover.archive = zstandard.ZstdCompressor(write_checksum=True).compress(TAR)[:-count]
        handover.change("archive", sha256=sha(handover.archive), size=len(handover.archive))

    return tell


def planned_as(flavour: Flavour, /, **fields: Any) -> Callable[[Handover], None]:
    """Another plan of a smaller archive, which is derived as planned."""

    def tell(handover: Handover) -> None:
        flavours = handover.reports["plan"].plan.flavours
        other_plan(flavours=[replace(one, **fields) if one.flavour == flavour else one for one in flavours])(handover)
        derived_as(flavour, **fields)(handover)

    return tell


def two_frames(handover: Handover) -> None:
    handover.archive = PACKED + zstandard.ZstdCompressor().compress(b"more")
    handover.change("archive", sha256=sha(handover.archive), size=len(handover.archive))


@pytest.mark.parametrize(
    ("tell", "named"),
    [
        (other_bytes, "is not what the worker reported"),
        (cut, "the tar in .* is not what the worker reported|not whole zstd"),
        (cut_off(1), "not whole zstd"),
        (cut_off(4), "not whole zstd"),
        (lambda handover: setattr(handover, "archive", b""), "not whole zstd"),
        (repacked(b"no tar at all"), "can't be read"),
        (repacked(tar_of("", "python/install/", {".cdx.json": bytes(10_000_001)})), "can't be read"),
        (two_frames, "the tar in .* is not what the worker reported"),
        (lie("archive", sha256="0" * 64), "is not what the worker reported"),
        (lie("archive", size=1), "is not what the worker reported"),
        (lie("archive", tar_sha256="0" * 64), "the tar in"),
        (lie("validate", tar_sha256="0" * 64), "other bytes were validated"),
        (lie("prove", tar_sha256="0" * 64), "other bytes were proven"),
        (lie("validate", ok=False), "the report validate says that its stage failed"),
        (lie("test", tar_sha256="0" * 64), "other bytes were tested"),
        (lie("test", ok=False), "the report test says that its stage failed"),
        (lie("prove", ok=False), "the report prove says that its stage failed"),
        (lie("cpython", ok=False), "the report cpython says that its stage failed"),
        (lie("archive", provider=replace(FACTS, certificate="4985")), "disagree about the FIPS provider"),
        (lie("archive", name="../../evil.tar.zst"), "no name for an archive"),
        (lie("archive", name=NAME.replace("3.13.5", "3.13.6")), "not called what the plan says"),
        (lie("archive", reports={"validate.json": "0" * 64}), r"validate\.json is not the report that"),
        (lie("archive", reports={"../../etc/passwd": "0" * 64}), "is not the report that"),
        (other_smaller_bytes, "install_only-.* is not what the worker reported"),
        (other_smaller("install_only", lambda data: data[:-3]), "not whole gzip"),
        (other_smaller("install_only", lambda data: data + data), "not whole gzip"),
        (other_smaller("install_only", lambda data: data + b"\0"), "not whole gzip"),
        (other_smaller("install_only", lambda data: data[:-8] + bytes(8)), "not whole gzip"),
        (other_smaller("debug_symbols", lambda data: data[:-3]), "the tar in .*debug_symbols|not whole zstd"),
        (derived_as("install_only_stripped", tar_sha256="0" * 64), "the tar in .*install_only_stripped"),
        (derived_as("install_only", name="../../evil.tar.gz"), "other archives were derived than planned"),
        (derived_as("install_only", flavour="debug_symbols"), "other archives were derived than planned"),
        (planned_as("install_only", flavour="full"), "can't be derived"),
        (planned_as("install_only", flavour="debug_symbols"), "can't be derived"),
        (planned_as("install_only", name=NAMES["install_only_stripped"]), "can't be derived"),
        (lie("derive", archives=[]), "other archives were derived than planned"),
        (lie("derive", from_tar_sha256="0" * 64), "derived from other bytes"),
        (lie("derive", provider_sha256="0" * 64), "hold another FIPS module than was proven"),
        (lie("derive", ok=False), "the report derive says that its stage failed"),
        (judged_as("validate-flavours", tar_sha256="0" * 64), "other bytes were validated than .*install_only"),
        (judged_as("validate-flavours", ok=False), "was not validated, or not found good"),
        (not_judged("validate-flavours"), "was not validated, or not found good"),
        (judged_as("prove-flavours", tar_sha256="0" * 64), "other bytes were proven than .*install_only"),
        (judged_as("prove-flavours", ok=False), "was not proven, or not found good"),
        (judged_as("prove-flavours", provider_sha256="0" * 64), "another FIPS module was proven in install_only"),
        (not_judged("prove-flavours"), "was not proven, or not found good"),
        (
            lie("prove-flavours", checks=[Check("debug_symbols.found", "off", "positive", False, "a", "b")]),
            "the check debug_symbols.found of the smaller archives does not hold",
        ),
        (other_plan(commit="b" * 40), "of another commit"),
        (other_plan(dirty=True), "of a changed checkout"),
        (other_plan(cell=CellName("3.12", CELL.target, CELL.variant)), "for another cell"),
    ],
)
def test_a_lie_is_named_and_nothing_is_stored(handover: Handover, tell: Callable[[Handover], None], named: str) -> None:
    tell(handover)
    with pytest.raises(Failure, match=named) as caught:
        handover.record()
    assert "nothing was stored" in str(caught.value)
    assert not handover.store.root.exists()


def test_an_archive_that_changes_after_it_was_compared_is_not_recorded(
    handover: Handover, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = master_record._bills

    def and_change(archives: Mapping[str, Path]) -> dict[str, bytes]:
        found = look(archives)
        archives[NAME].write_bytes(PACKED + b"more")
        return found

    monkeypatch.setattr(master_record, "_bills", and_change)
    with pytest.raises(Failure, match=f"{re.escape(NAME)} changed while it was stored"):
        handover.record()
    assert handover.store.find(handover.submission.builder, 3) is None


def test_what_follows_a_gzip_file_is_seen_where_a_block_ends_with_it_too(
    handover: Handover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(master_record, "BLOCK", len(SMALLER["install_only"]))
    other_smaller("install_only", lambda data: data + data)(handover)
    with pytest.raises(Failure, match="not whole gzip"):
        handover.record()


@pytest.mark.parametrize(("limit", "which"), [(len(TAR) - 1, "archive"), (99 * len(TAR), "install_only_stripped")])
def test_a_bomb_is_no_further_unpacked_than_its_limit(
    handover: Handover, monkeypatch: pytest.MonkeyPatch, limit: int, which: str
) -> None:
    other_smaller("install_only_stripped", lambda data: gzip.compress(bytes(100 * len(TAR))))(handover)
    monkeypatch.setattr(master_record, "MOST_BYTES", limit)
    with pytest.raises(Failure, match=f"{which}.* unpacks to more than an archive of Python does") as caught:
        handover.record()
    assert caught.value.wanted == f"at most {limit} bytes"
    assert "nothing was stored" in str(caught.value)
    assert not handover.store.root.exists()


def test_a_missing_report_is_named(handover: Handover) -> None:
    del handover.reports["prove"]
    with pytest.raises(Failure, match=r"prove\.json can't be read"):
        handover.record()


def test_a_report_of_another_schema_is_named(handover: Handover) -> None:
    handover.reports["prove"] = handover.reports["validate"]
    with pytest.raises(Failure, match=r"prove\.json is not a report of the kind ProveReport"):
        handover.record()


def test_the_digest_of_the_tar_inside_is_that_of_all_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.zst"
    path.write_bytes(PACKED)
    assert tar_digest(path) == (sha(TAR), len(TAR))
