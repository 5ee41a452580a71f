"""A worker's claims against the bytes that arrived: each lie is named, and then nothing is stored."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from master.record import KINDS, promote, tar_digest
from master.store import Store
from steps.handover import ARCHIVE, DERIVED_FILES, REPORTS, Submission
from workers.errors import Failure
from workers.model import DERIVED, Flavour, load_matrix
from workers.reports.base import Measure, write_report
from workers.reports.build import (
    ArchiveReport,
    CellName,
    DerivedArchive,
    DeriveReport,
    NodesReport,
    PackageReport,
    Plan,
    PlannedFlavour,
    PlanReport,
    ProviderFacts,
    SourcesReport,
)
from workers.reports.checks import (
    Check,
    FlavourProof,
    FlavourValidation,
    ProveFlavoursReport,
    ProveReport,
    ValidateFlavoursReport,
    ValidateReport,
)
from workers.reports.suite import RanFile, SuiteReport
from workers.tarball import Entry, write_to

BILLS = {".cdx.json": b'{"bomFormat": "CycloneDX"}', ".spdx.json": b'{"spdxVersion": "SPDX-2.3"}'}


def tar_of(text: str, install: str, bills: Mapping[str, bytes] = BILLS) -> bytes:
    """A tar of a text and bills of materials."""
    out = io.BytesIO()
    files = {f"{install}share/sbom/cpython-3.13{ending}": content for ending, content in bills.items()}
    entries = [Entry(path, data=data) for path, data in {f"{install}text": text.encode() * 1000, **files}.items()]
    write_to(out, entries, epoch=0)
    return out.getvalue()


TAR = tar_of("the tar", "python/install/")
PACKED = zstandard.ZstdCompressor().compress(TAR)
NAME = "cpython-3.13.5-x86_64-unknown-linux-gnu-pgo+lto-20261123T2015.tar.zst"
COMMIT = "a" * 40
TOOK = Measure()
CELL = CellName("3.13", "x86_64-unknown-linux-gnu", "pgo+lto")
FACTS = ProviderFacts("3.5.7", "toolchain", None, "2.17")


MODULE = "b" * 64
NAMES = {
    flavour: load_matrix()
    .cell(CELL.version, CELL.target, CELL.variant)
    .archive_name("3.13.5", "20261123T2015", flavour)
    for flavour in DERIVED
}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def smaller_tar(flavour: Flavour) -> bytes:
    bills = {ending: flavour.encode() for ending in BILLS} if flavour != "debug_symbols" else {}
    return tar_of(f"the tar of {flavour}", "python/", bills)


def packed(flavour: Flavour) -> bytes:
    tar = smaller_tar(flavour)
    return gzip.compress(tar, mtime=0) if NAMES[flavour].endswith(".gz") else zstandard.ZstdCompressor().compress(tar)


SMALLER = {flavour: packed(flavour) for flavour in DERIVED}


def valid(name: str, tar: bytes) -> ValidateReport:
    return ValidateReport("pymint/validate/1", True, name, sha(tar), "pymint", [], "2.17", "2.17", TOOK)


def proof(name: str, tar: bytes) -> ProveReport:
    return ProveReport("pymint/prove/1", True, name, sha(tar), "p", "3.5.7", MODULE, "toolchain", None, [], 0, 0, TOOK)


def derived(flavour: Flavour) -> DerivedArchive:
    tar, archive = smaller_tar(flavour), SMALLER[flavour]
    return DerivedArchive(flavour, NAMES[flavour], sha(archive), len(archive), sha(tar), len(tar), 1, 1, 1, 1, "built")


@dataclass
class Handover:
    """What a truthful worker hands over; a test makes it lie."""

    submission: Submission
    reports: dict[str, Any]
    store: Store
    archive: bytes = PACKED
    smaller: dict[Flavour, bytes] = field(default_factory=lambda: dict(SMALLER))

    def change(self, report: str, /, **fields: Any) -> None:
        self.reports[report] = replace(self.reports[report], **fields)

    def record(self) -> Any:
        for name, report in self.reports.items():
            write_report(report, self.submission.directory / f"{name}.json")
        (self.submission.directory / ARCHIVE).write_bytes(self.archive)
        for flavour, data in self.smaller.items():
            (self.submission.directory / DERIVED_FILES[flavour]).write_bytes(data)
        return promote(self.store, self.submission, now=1_000_000)


@pytest.fixture
def handover(tmp_path: Path) -> Handover:
    flavours = [PlannedFlavour(flavour, NAMES[flavour], "k", False) for flavour in DERIVED]
    plan = Plan("pymint/plan/2", CELL, COMMIT, False, 0, "3.13.5", NAME, "k", False, {}, FACTS, [], [], flavours)
    stages = {
        name: NodesReport("pymint/nodes/1", True, name, [], TOOK)
        for name in ("dependencies", "openssl", "fips-provider", "cpython")
    }
    reports: dict[str, Any] = {
        "plan": PlanReport("pymint/plan-report/2", True, plan, TOOK),
        "sources": SourcesReport("pymint/sources/1", True, [], [], TOOK),
        **stages,
        "package": PackageReport("pymint/package/1", True, NAME, sha(TAR), len(TAR), 1, "built", TOOK),
        "validate": valid(NAME, TAR),
        "prove": proof(NAME, TAR),
        "test": SuiteReport(
            "pymint/test/1",
            True,
            NAME,
            sha(TAR),
            "c" * 64,
            NAME,
            "run",
            CELL,
            "3.13.15",
            "quick",
            "w",
            "all",
            [RanFile("test_x", "off", True, 9, 1, 2.0, 1.0)],
            [],
            [],
            TOOK,
        ),
        "archive": ArchiveReport(
            "pymint/archive/1", True, NAME, sha(PACKED), len(PACKED), sha(TAR), len(TAR), "built", FACTS, TOOK
        ),
        "derive": DeriveReport(
            "pymint/derive/1", True, sha(TAR), MODULE, [derived(flavour) for flavour in DERIVED], 1, TOOK
        ),
        "validate-flavours": ValidateFlavoursReport(
            "pymint/validate-flavours/1",
            True,
            [FlavourValidation(one, valid(NAMES[one], smaller_tar(one))) for one in DERIVED],
            TOOK,
        ),
        "prove-flavours": ProveFlavoursReport(
            "pymint/prove-flavours/1",
            True,
            [FlavourProof(one, proof(NAMES[one], smaller_tar(one))) for one in DERIVED if one != "debug_symbols"],
            [Check("debug_symbols.found", "off", "positive", True, "main.c", "main.c")],
            TOOK,
        ),
    }
    directory = tmp_path / "incoming" / "7"
    directory.mkdir(parents=True)
    submission = Submission(
        directory, "cpython-3.13-x86_64-unknown-linux-gnu-pgo-lto", 3, 7, "local", "3.13",
        "x86_64-unknown-linux-gnu", "pgo+lto", COMMIT, "main",
    )  # fmt: skip
    return Handover(submission, reports, Store(tmp_path / "store"))


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


def derived_as(flavour: Flavour, **fields: Any) -> Callable[[Handover], None]:
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


def two_frames(handover: Handover) -> None:
    handover.archive = PACKED + zstandard.ZstdCompressor().compress(b"more")
    handover.change("archive", sha256=sha(handover.archive), size=len(handover.archive))


@pytest.mark.parametrize(
    ("tell", "named"),
    [
        (other_bytes, "is not what the worker reported"),
        (cut, "the tar in .* is not what the worker reported|not whole zstd"),
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
