"""A worker's claims against the bytes that arrived: each lie is named, and then nothing is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from master.record import KINDS, promote, tar_digest
from master.store import Store
from steps.handover import ARCHIVE, REPORTS, Submission
from workers.errors import Failure
from workers.reports.base import Measure, write_report
from workers.reports.build import (
    ArchiveReport,
    CellName,
    NodesReport,
    PackageReport,
    Plan,
    PlanReport,
    ProviderFacts,
    SourcesReport,
)
from workers.reports.checks import ProveReport, ValidateReport
from workers.reports.suite import RanFile, SuiteReport

TAR = b"the tar" * 1000
PACKED = zstandard.ZstdCompressor().compress(TAR)
NAME = "cpython-3.13.5-x86_64-unknown-linux-gnu-pgo+lto-20261123T2015.tar.zst"
COMMIT = "a" * 40
TOOK = Measure()
CELL = CellName("3.13", "x86_64-unknown-linux-gnu", "pgo+lto")
FACTS = ProviderFacts("3.5.7", "toolchain", None, "2.17")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Handover:
    """What a truthful worker hands over; a test makes it lie."""

    submission: Submission
    reports: dict[str, Any]
    store: Store
    archive: bytes = PACKED

    def change(self, report: str, /, **fields: Any) -> None:
        self.reports[report] = replace(self.reports[report], **fields)

    def record(self) -> Any:
        for name, report in self.reports.items():
            write_report(report, self.submission.directory / f"{name}.json")
        (self.submission.directory / ARCHIVE).write_bytes(self.archive)
        return promote(self.store, self.submission, now=1_000_000)


@pytest.fixture
def handover(tmp_path: Path) -> Handover:
    plan = Plan("pymint/plan/1", CELL, COMMIT, False, 0, "3.13.5", NAME, "k", False, {}, FACTS, [], [])
    stages = {
        name: NodesReport("pymint/nodes/1", True, name, [], TOOK)
        for name in ("dependencies", "openssl", "fips-provider", "cpython")
    }
    reports: dict[str, Any] = {
        "plan": PlanReport("pymint/plan-report/1", True, plan, TOOK),
        "sources": SourcesReport("pymint/sources/1", True, [], [], TOOK),
        **stages,
        "package": PackageReport("pymint/package/1", True, NAME, sha(TAR), len(TAR), 1, "built", TOOK),
        "validate": ValidateReport("pymint/validate/1", True, NAME, sha(TAR), "pymint", [], "2.17", "2.17", TOOK),
        "prove": ProveReport(
            "pymint/prove/1", True, NAME, sha(TAR), "p", "3.5.7", "b" * 64, "toolchain", None, [], 0.0, 0.1, TOOK
        ),
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
    assert names == {*(f"{name}.json" for name in REPORTS), "validate.html", "prove.html", "test.html", "SHA256SUMS"}
    sums = next(one for one in record.reports if one.name == "SHA256SUMS")
    assert f"{sha(PACKED)}  {NAME}\n" in handover.store.checked(sums).read_text()


def lie(report: str, /, **fields: Any) -> Callable[[Handover], None]:
    return lambda handover: handover.change(report, **fields)


def other_plan(**fields: Any) -> Callable[[Handover], None]:
    return lambda handover: handover.change("plan", plan=replace(handover.reports["plan"].plan, **fields))


def other_bytes(handover: Handover) -> None:
    handover.archive = zstandard.ZstdCompressor().compress(b"another tar")


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
