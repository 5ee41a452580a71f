"""What a build hands over, checked: a worker's word is compared with the bytes, never taken for them."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from master.store import BLOCK, ArchiveRecord, Store, digest_of
from steps import pages
from steps.handover import ARCHIVE, ARCHIVE_NAME, REPORTS, Recorded, Submission
from workers.errors import Failure
from workers.reports.base import read_report
from workers.reports.build import (
    ArchiveReport,
    CellName,
    NodesReport,
    PackageReport,
    PlanReport,
    SourcesReport,
)
from workers.reports.checks import ProveReport, ValidateReport
from workers.reports.suite import SuiteReport

KINDS: dict[str, type] = {
    "plan": PlanReport,
    "sources": SourcesReport,
    "dependencies": NodesReport,
    "openssl": NodesReport,
    "fips-provider": NodesReport,
    "cpython": NodesReport,
    "package": PackageReport,
    "validate": ValidateReport,
    "prove": ProveReport,
    "test": SuiteReport,
    "archive": ArchiveReport,
}
THROWN_AWAY = "What the worker sent was thrown away; nothing was stored."


@dataclass(frozen=True)
class Claims:
    """All reports of a build."""

    plan: PlanReport
    validate: ValidateReport
    prove: ProveReport
    suite: SuiteReport
    archive: ArchiveReport


def read_claims(directory: Path) -> Claims:
    """The reports that arrived, each of its kind and successful. Raises Failure."""
    found: dict[str, Any] = {name: read_report(directory / f"{name}.json", KINDS[name]) for name in REPORTS}
    for name, report in found.items():
        if not report.ok:
            raise Failure("record", f"the report {name} says that its stage failed", todo=THROWN_AWAY)
    return Claims(found["plan"], found["validate"], found["prove"], found["test"], found["archive"])


def tar_digest(archive: Path) -> tuple[str, int]:
    """sha256 and size of the tar inside an archive. Raises Failure when it is not whole zstd."""
    hasher, size = hashlib.sha256(), 0
    try:
        with archive.open("rb") as stream:
            reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
            while block := reader.read(BLOCK):
                hasher.update(block)
                size += len(block)
    except zstandard.ZstdError as error:
        raise Failure("record", "the archive is not whole zstd", found=str(error), todo=THROWN_AWAY) from error
    return hasher.hexdigest(), size


def compare(claims: Claims, submission: Submission, *, archive: tuple[str, int], tar: tuple[str, int]) -> None:
    """Raises Failure that names the first thing that does not fit together."""
    plan, said = claims.plan.plan, claims.archive
    cell = CellName(submission.version, submission.target, submission.variant)

    def same(what: str, wanted: object, found: object) -> None:
        if wanted != found:
            raise Failure("record", what, wanted=str(wanted), found=str(found), todo=THROWN_AWAY)

    same(f"{said.name} is not what the worker reported", f"sha256 {said.sha256}, {said.size} bytes",
         f"sha256 {archive[0]}, {archive[1]} bytes")  # fmt: skip
    same(f"the tar in {said.name} is not what the worker reported", f"sha256 {said.tar_sha256}, {said.tar_size} bytes",
         f"sha256 {tar[0]}, {tar[1]} bytes")  # fmt: skip
    same("other bytes were validated than the archive holds", tar[0], claims.validate.tar_sha256)
    same("other bytes were proven than the archive holds", tar[0], claims.prove.tar_sha256)
    same("other bytes were tested than the archive holds", tar[0], claims.suite.tar_sha256)
    same("the plan is for another cell than this builder's", cell, plan.cell)
    same("the plan is of another commit than the one checked out", submission.commit, plan.commit)
    same("the plan was made of a changed checkout", False, plan.dirty)
    same("the plan and the archive disagree about the FIPS provider", plan.provider, said.provider)
    if not ARCHIVE_NAME.match(said.name):
        raise Failure("record", f"{said.name!r} is no name for an archive", todo=THROWN_AWAY)
    same("the archive is not called what the plan says", plan.archive_name, said.name)


def check_judged(archive: ArchiveReport, directory: Path) -> None:
    """Raises Failure when a judge's report is not the one because of which the archive was made."""
    for name, wanted in archive.reports.items():
        found = digest_of(directory / name)[0] if name.removesuffix(".json") in REPORTS else "no such report"
        if found != wanted:
            raise Failure(
                "record", f"{name} is not the report that {archive.name} was made after",
                wanted=f"sha256 {wanted}", found=found, todo=THROWN_AWAY,
            )  # fmt: skip


def promote(store: Store, submission: Submission, now: float | None = None) -> Recorded:
    """Checks a submission and puts it into the store and the index. Raises Failure; nothing is stored then."""
    claims = read_claims(submission.directory)
    path = submission.directory / ARCHIVE
    compare(claims, submission, archive=digest_of(path), tar=tar_digest(path))
    plan = claims.plan.plan
    check_judged(claims.archive, submission.directory)
    archive = store.put(path, claims.archive.name)
    if archive.sha256 != claims.archive.sha256:
        raise Failure("record", f"{archive.name} changed while it was stored", todo="Check the master's disk.")
    reports = [store.put(submission.directory / f"{name}.json", f"{name}.json") for name in REPORTS]
    rendered = {"validate.html": pages.of_validate(claims.validate), "prove.html": pages.of_prove(claims.prove)}
    rendered["test.html"] = pages.of_suite(claims.suite)
    for name, body in rendered.items():
        reports.append(store.put_bytes(body.encode(), name))
    sums = "".join(f"{one.sha256}  {one.name}\n" for one in [archive, *reports])
    reports.append(store.put_bytes(sums.encode(), "SHA256SUMS"))
    store.add(
        ArchiveRecord(
            schema="pymint/record/1",
            cell=plan.cell,
            builder=submission.builder,
            number=submission.number,
            buildid=submission.buildid,
            worker=submission.worker,
            commit=submission.commit,
            branch=submission.branch,
            recorded_at=int(time.time() if now is None else now),
            python_version=plan.python_version,
            archive=archive,
            tar_sha256=claims.archive.tar_sha256,
            tar_size=claims.archive.tar_size,
            provider=claims.archive.provider,
            pins=plan.pins,
            reports=reports,
        )
    )
    base = f"archives/{submission.builder}/{submission.number}/"
    links = {
        archive.name: base + archive.name,
        "validation report": base + "validate.html",
        "FIPS proof": base + "prove.html",
        "test suite": base + "test.html",
        "all files": base,
    }
    return Recorded(archive.name, archive.sha256, archive.size, links)


@dataclass(frozen=True)
class Keeper:
    """`promote` into one store: what the record step is given. A value, so that a reconfiguration can compare it."""

    store: Path

    def __call__(self, submission: Submission) -> Recorded:
        return promote(Store(self.store), submission)
