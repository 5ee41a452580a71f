"""What a truthful worker hands over of a build, small, as files; a test makes it lie."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import zstandard

from master.record import promote
from master.store import Store
from steps.handover import ARCHIVE, DERIVED_FILES, Submission
from workers.model import DERIVED, Flavour, load_matrix
from workers.package.stored import JUDGES
from workers.reports.base import Measure, encode, write_report
from workers.reports.build import (
    ArchiveReport,
    CellName,
    ChosenPin,
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
COMMIT = "a" * 40
TOOK = Measure()
CELL = CellName("3.13", "x86_64-unknown-linux-gnu", "pgo+lto")
FACTS = ProviderFacts("3.5.7", "toolchain", None, "2.17")
MODULE = "4" * 64


def name_of(cell: CellName, release: str, flavour: Flavour = "full") -> str:
    found = load_matrix().cell(cell.version, cell.target, cell.variant)
    return found.archive_name(release, "20261123T2015", flavour)


NAME = name_of(CELL, "3.13.5")
NAMES = {flavour: name_of(CELL, "3.13.5", flavour) for flavour in DERIVED}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def smaller_tar(flavour: Flavour) -> bytes:
    bills = {ending: flavour.encode() for ending in BILLS} if flavour != "debug_symbols" else {}
    return tar_of(f"the tar of {flavour}", "python/", bills)


def packed(flavour: Flavour) -> bytes:
    tar = smaller_tar(flavour)
    return gzip.compress(tar, mtime=0) if NAMES[flavour].endswith(".gz") else zstandard.ZstdCompressor().compress(tar)


SMALLER = {flavour: packed(flavour) for flavour in DERIVED}


def valid(name: str, tar: bytes, floor: str | None = "2.17") -> ValidateReport:
    return ValidateReport("pymint/validate/1", True, name, sha(tar), "pymint", [], floor, floor, TOOK)


def proof(name: str, tar: bytes) -> ProveReport:
    return ProveReport("pymint/prove/1", True, name, sha(tar), "p", "3.5.7", MODULE, "toolchain", None, [], 0, 0, TOOK)


def derived(flavour: Flavour, name: str) -> DerivedArchive:
    tar, archive = smaller_tar(flavour), SMALLER[flavour]
    return DerivedArchive(flavour, name, sha(archive), len(archive), sha(tar), len(tar), 1, 1, 1, 1, "built")


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
        if "archive" in self.reports and not self.reports["archive"].reports:
            judged = {f"{name}.json": sha(encode(self.reports[name])) for name in JUDGES if name in self.reports}
            self.change("archive", reports=judged)
        for name, report in self.reports.items():
            write_report(report, self.submission.directory / f"{name}.json")
        (self.submission.directory / ARCHIVE).write_bytes(self.archive)
        for flavour, data in self.smaller.items():
            (self.submission.directory / DERIVED_FILES[flavour]).write_bytes(data)
        return promote(self.store, self.submission, now=1_000_000)


def handed_over(
    place: Path,
    store: Store,
    *,
    cell: CellName = CELL,
    release: str = "3.13.5",
    commit: str = COMMIT,
    facts: ProviderFacts = FACTS,
    pins: Sequence[ChosenPin] = (),
    number: int = 3,
    buildid: int = 7,
) -> Handover:
    """What a worker hands over of a cell. place: where it lies until it is recorded."""
    whole, names = name_of(cell, release), {flavour: name_of(cell, release, flavour) for flavour in DERIVED}
    floor = None if "apple" in cell.target else "2.17"
    flavours = [PlannedFlavour(flavour, names[flavour], "k", False) for flavour in DERIVED]
    plan = Plan(
        "pymint/plan/2", cell, commit, False, 0, release, whole, "k", False, {}, facts, list(pins), [], flavours
    )
    stages = {
        name: NodesReport("pymint/nodes/1", True, name, [], TOOK)
        for name in ("dependencies", "openssl", "fips-provider", "cpython")
    }
    reports: dict[str, Any] = {
        "plan": PlanReport("pymint/plan-report/2", True, plan, TOOK),
        "sources": SourcesReport("pymint/sources/1", True, [], [], TOOK),
        **stages,
        "package": PackageReport("pymint/package/1", True, whole, sha(TAR), len(TAR), 1, "built", TOOK),
        "validate": valid(whole, TAR, floor),
        "prove": proof(whole, TAR),
        "test": SuiteReport(
            "pymint/test/1",
            True,
            whole,
            sha(TAR),
            "c" * 64,
            whole,
            "run",
            cell,
            release,
            "quick",
            "w",
            "all",
            [RanFile("test_x", "off", True, 9, 1, 2.0, 1.0)],
            [],
            [],
            TOOK,
        ),
        "archive": ArchiveReport(
            "pymint/archive/1", True, whole, sha(PACKED), len(PACKED), sha(TAR), len(TAR), "built", facts, TOOK
        ),
        "derive": DeriveReport(
            "pymint/derive/1",
            True,
            sha(TAR),
            MODULE,
            [derived(flavour, names[flavour]) for flavour in DERIVED],
            1,
            TOOK,
        ),
        "validate-flavours": ValidateFlavoursReport(
            "pymint/validate-flavours/1",
            True,
            [FlavourValidation(one, valid(names[one], smaller_tar(one), floor)) for one in DERIVED],
            TOOK,
        ),
        "prove-flavours": ProveFlavoursReport(
            "pymint/prove-flavours/1",
            True,
            [FlavourProof(one, proof(names[one], smaller_tar(one))) for one in DERIVED if one != "debug_symbols"],
            [Check("debug_symbols.found", "off", "positive", True, "main.c", "main.c")],
            TOOK,
        ),
    }
    directory = place / "incoming" / str(buildid)
    directory.mkdir(parents=True)
    builder = load_matrix().cell(cell.version, cell.target, cell.variant).builder_name
    submission = Submission(
        directory, builder, number, buildid, "local", cell.version, cell.target, cell.variant, commit, "main"
    )
    return Handover(submission, reports, store)
