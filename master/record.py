"""What a build hands over, checked: a worker's word is compared with the bytes, never taken for them."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

from master.bucket.access import StorePlace
from master.store import BLOCK, ArchiveRecord, DerivedRecord, Store, Stored, digest_of
from steps import pages
from steps.handover import ARCHIVE, ARCHIVE_NAME, DERIVED_FILES, REPORTS, NotNow, Recorded, Submission
from workers.errors import Failure
from workers.model import Flavour
from workers.reports.base import decode, read_report
from workers.reports.build import (
    ArchiveReport,
    CellName,
    DerivedArchive,
    DeriveReport,
    NodesReport,
    PackageReport,
    PlanReport,
    SourcesReport,
)
from workers.reports.checks import ProveFlavoursReport, ProveReport, ValidateFlavoursReport, ValidateReport
from workers.reports.suite import SuiteReport
from workers.sbom.documents import inside
from workers.tarball import MOST_BYTES

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
    "derive": DeriveReport,
    "validate-flavours": ValidateFlavoursReport,
    "prove-flavours": ProveFlavoursReport,
}
# Of zstd at a time: 4 bytes may become 128 KiB, and all that a piece becomes is in memory at once.
_PIECE = 1024
THROWN_AWAY = "What the worker sent was thrown away; nothing was stored."


@dataclass(frozen=True)
class Claims:
    """All reports of a build."""

    plan: PlanReport
    validate: ValidateReport
    prove: ProveReport
    suite: SuiteReport
    archive: ArchiveReport
    derive: DeriveReport
    validate_flavours: ValidateFlavoursReport
    prove_flavours: ProveFlavoursReport


@dataclass(frozen=True)
class Bytes:
    """What the master found of an archive and of the tar inside it: sha256 and size of each."""

    archive: tuple[str, int]
    tar: tuple[str, int]


def read_claims(directory: Path) -> Claims:
    """The reports that arrived, each of its kind and successful. Raises Failure."""
    return _claims({name: read_report(directory / f"{name}.json", KINDS[name]) for name in REPORTS})


def stored_claims(store: Store, record: ArchiveRecord) -> Claims:
    """The reports of a recorded build, again. Their bytes are the caller's to check. Raises Failure."""
    stored = {one.name: one for one in record.reports}
    if missing := [name for name in REPORTS if f"{name}.json" not in stored]:
        raise Failure(
            "record", f"the build has no report {', '.join(missing)}",
            todo="An older pymint recorded it. Build that commit again.",
        )  # fmt: skip
    return _claims({
        name: decode(store.path_of(stored[f"{name}.json"].sha256).read_bytes(), KINDS[name], f"{name}.json")
        for name in REPORTS
    })  # fmt: skip


def _claims(found: Mapping[str, Any]) -> Claims:
    for name, report in found.items():
        if not report.ok:
            raise Failure("record", f"the report {name} says that its stage failed", todo=THROWN_AWAY)
    return Claims(
        plan=found["plan"],
        validate=found["validate"],
        prove=found["prove"],
        suite=found["test"],
        archive=found["archive"],
        derive=found["derive"],
        validate_flavours=found["validate-flavours"],
        prove_flavours=found["prove-flavours"],
    )


def tar_digest(archive: Path, kind: str = ".zst") -> tuple[str, int]:
    """sha256 and size of the tar inside an archive. kind: what its name ends with; only `.gz` is not zstd.

    Raises Failure when it is not whole, when a gzip file has more than one member (uv reads the first only), and as
    soon as it has unpacked to more than `MOST_BYTES`.
    """
    hasher, size = hashlib.sha256(), 0
    try:
        with archive.open("rb") as stream:
            for block in _gunzipped(stream) if kind == ".gz" else _unzstd(stream):
                hasher.update(block)
                size += len(block)
                if size > MOST_BYTES:
                    raise Failure(
                        "record", f"{archive.name} unpacks to more than an archive of Python does",
                        wanted=f"at most {MOST_BYTES} bytes", found=f"{size} and more", todo=THROWN_AWAY,
                    )  # fmt: skip
    except (zstandard.ZstdError, zlib.error, EOFError) as error:
        form = "gzip" if kind == ".gz" else "zstd"
        raise Failure("record", f"the archive is not whole {form}", found=str(error), todo=THROWN_AWAY) from error
    return hasher.hexdigest(), size


def _unzstd(stream: IO[bytes]) -> Iterator[bytes]:
    """All frames of a zstd file, each to its end. Raises ZstdError and EOFError.

    Not by zstandard's reader, which takes a frame that is cut for its end, also one whose checksum is missing.
    """
    frame = zstandard.ZstdDecompressor().decompressobj()
    while packed := stream.read(_PIECE):
        while packed:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(packed)
            packed = frame.unused_data
    if not frame.eof:
        raise EOFError("it ends before its end")


def _gunzipped(stream: IO[bytes]) -> Iterator[bytes]:
    """The one member of a gzip file, its checksum held against it. Raises zlib.error and EOFError."""
    member = zlib.decompressobj(wbits=31)
    while not member.eof:
        packed = member.unconsumed_tail or stream.read(BLOCK)
        if not packed:
            raise EOFError("it ends before its end")
        yield member.decompress(packed, BLOCK)
    if member.unused_data or stream.read(1):
        raise EOFError("it goes on after its end")


def _same(what: str, wanted: object, found: object) -> None:
    if wanted != found:
        raise Failure("record", what, wanted=str(wanted), found=str(found), todo=THROWN_AWAY)


def _same_bytes(said: ArchiveReport | DerivedArchive, found: Bytes) -> None:
    _same(f"{said.name} is not what the worker reported", f"sha256 {said.sha256}, {said.size} bytes",
          f"sha256 {found.archive[0]}, {found.archive[1]} bytes")  # fmt: skip
    _same(f"the tar in {said.name} is not what the worker reported",
          f"sha256 {said.tar_sha256}, {said.tar_size} bytes",
          f"sha256 {found.tar[0]}, {found.tar[1]} bytes")  # fmt: skip


def compare(claims: Claims, submission: Submission, found: Bytes) -> None:
    """Raises Failure that names the first thing about the full archive that does not fit together."""
    plan, said = claims.plan.plan, claims.archive
    cell = CellName(submission.version, submission.target, submission.variant)
    same, tar = _same, found.tar
    _same_bytes(said, found)
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
    for what in ([one.flavour for one in plan.flavours], [plan.archive_name, *(one.name for one in plan.flavours)]):
        if len(set(what)) != len(what) or "full" in what:
            raise Failure(
                "record", "the plan derives archives that can't be derived", wanted="each flavour but full once, by a "
                "name of its own", found=", ".join(what), todo=THROWN_AWAY,
            )  # fmt: skip


def compare_derived(claims: Claims, found: Mapping[Flavour, Bytes]) -> None:
    """Raises Failure that names the first thing about the smaller archives that does not fit together.

    found: what arrived, by flavour, of those that the plan derives.
    """
    derive, module = claims.derive, claims.prove.provider_sha256
    planned = sorted((one.flavour, one.name) for one in claims.plan.plan.flavours)
    made = sorted((one.flavour, one.name) for one in derive.archives if one.flavour in found)
    _same("other archives were derived than planned", planned, made)
    _same("the smaller archives were derived from other bytes than the archive holds",
          claims.archive.tar_sha256, derive.from_tar_sha256)  # fmt: skip
    _same("the smaller archives hold another FIPS module than was proven", module, derive.provider_sha256)
    validated = {one.flavour: one.report for one in claims.validate_flavours.reports}
    proven = {one.flavour: one.report for one in claims.prove_flavours.reports}
    for check in claims.prove_flavours.checks:
        if not check.ok:
            raise Failure(
                "record", f"the check {check.id} of the smaller archives does not hold",
                wanted=check.wanted, found=check.found, todo=THROWN_AWAY,
            )  # fmt: skip
    for one in derive.archives:
        if not ARCHIVE_NAME.match(one.name):
            raise Failure("record", f"{one.name!r} is no name for an archive", todo=THROWN_AWAY)
        _same_bytes(one, found[one.flavour])
        judges: list[tuple[str, ValidateReport | ProveReport | None]] = [("validated", validated.get(one.flavour))]
        if one.flavour != "debug_symbols":
            judges.append(("proven", proven.get(one.flavour)))
        for done, report in judges:
            _same(f"{one.name} was not {done}, or not found good", True, report is not None and report.ok)
            _same(f"other bytes were {done} than {one.name} holds",
                  one.tar_sha256, report.tar_sha256 if report is not None else "")  # fmt: skip
    for flavour, proof in proven.items():
        _same(f"another FIPS module was proven in {flavour}", module, proof.provider_sha256)


def check_judged(archive: ArchiveReport, reports: Mapping[str, str]) -> None:
    """Raises Failure when a judge's report is not the one because of which the archive was made.

    reports: the digest of each, by its file's name.
    """
    for name, wanted in archive.reports.items():
        found = reports.get(name, "no such report")
        if found != wanted:
            raise Failure(
                "record", f"{name} is not the report that {archive.name} was made after",
                wanted=f"sha256 {wanted}", found=found, todo=THROWN_AWAY,
            )  # fmt: skip


def promote(store: Store, submission: Submission, now: float | None = None, page: str = "archives") -> Recorded:
    """Checks a submission and puts it into the store and the index. Raises Failure; nothing is stored then.

    page: below which address the store is shown.
    """
    claims = read_claims(submission.directory)
    path = submission.directory / ARCHIVE
    compare(claims, submission, Bytes(digest_of(path), tar_digest(path)))
    plan = claims.plan.plan
    smaller = {one.flavour: submission.directory / DERIVED_FILES[one.flavour] for one in plan.flavours}
    found = {
        one.flavour: Bytes(digest_of(smaller[one.flavour]), tar_digest(smaller[one.flavour], Path(one.name).suffix))
        for one in plan.flavours
    }
    compare_derived(claims, found)
    check_judged(claims.archive, {f"{one}.json": digest_of(submission.directory / f"{one}.json")[0] for one in REPORTS})
    bills = _bills({claims.archive.name: path, **{one.name: smaller[one.flavour] for one in claims.derive.archives}})
    archive = _put(store, path, claims.archive)
    derived = [
        DerivedRecord(one.flavour, _put(store, smaller[one.flavour], one), one.tar_sha256, one.tar_size)
        for one in claims.derive.archives
    ]
    reports = [store.put(submission.directory / f"{name}.json", f"{name}.json") for name in REPORTS]
    reports += [store.put_bytes(content, name) for name, content in bills.items()]
    for name, body in _rendered(claims).items():
        reports.append(store.put_bytes(body.encode(), name))
    sums = "".join(f"{one.sha256}  {one.name}\n" for one in [archive, *(one.archive for one in derived), *reports])
    reports.append(store.put_bytes(sums.encode(), "SHA256SUMS"))
    store.add(
        ArchiveRecord(
            schema="pymint/record/2",
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
            derived=derived,
        )
    )
    base = f"{page}/{submission.builder}/{submission.number}/"
    links = {
        archive.name: base + archive.name,
        **{one.archive.name: base + one.archive.name for one in derived},
        "validation report": base + "validate.html",
        "FIPS proof": base + "prove.html",
        "test suite": base + "test.html",
        **({"bill of materials": base + next(iter(bills))} if bills else {}),
        "all files": base,
    }
    return Recorded(archive.name, archive.sha256, archive.size, links)


def _bills(archives: Mapping[str, Path]) -> dict[str, bytes]:
    """The bills of materials that are in the archives, by the names that they get beside them.

    Read here, and not sent by the worker, so that they are the archive's own; older commits' archives have none.
    Raises Failure for what is no tar.
    """
    found: dict[str, bytes] = {}
    for name, path in archives.items():
        try:
            inner = inside(path)
        except Failure as failure:
            raise Failure(
                "record", f"{name} can't be read", wanted=failure.wanted, found=failure.found, todo=THROWN_AWAY
            ) from failure
        found |= {name.partition(".tar.")[0] + ending: content for ending, content in inner.items()}
    return found


def _put(store: Store, path: Path, said: ArchiveReport | DerivedArchive) -> Stored:
    stored = store.put(path, said.name)
    if stored.sha256 != said.sha256:
        raise Failure("record", f"{stored.name} changed while it was stored", todo="Check the master's disk.")
    return stored


def _rendered(claims: Claims) -> dict[str, str]:
    """The judges' reports as pages, by the names that they are stored under."""
    found = {"validate.html": pages.of_validate(claims.validate), "prove.html": pages.of_prove(claims.prove)}
    found["test.html"] = pages.of_suite(claims.suite)
    for valid in claims.validate_flavours.reports:
        found[f"validate-{valid.flavour}.html"] = pages.of_validate(valid.report)
    for proof in claims.prove_flavours.reports:
        found[f"prove-{proof.flavour}.html"] = pages.of_prove(proof.report)
    return found


@dataclass(frozen=True)
class Keeper:
    """`promote` into one store: what the record step is given. A value, so that a reconfiguration can compare it."""

    store: Path | StorePlace

    def __call__(self, submission: Submission) -> Recorded:
        store = Store(self.store)
        try:
            store.try_out()
            return promote(store, submission)
        except Failure as failure:
            if store.is_away(failure):
                raise NotNow(failure) from failure
            raise
