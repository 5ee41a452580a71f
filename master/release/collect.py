"""Collects what a release is made of, and checks every byte of it once more, before anything is made from it.

Three times the same thing is said of an archive: by its build's reports, by the record that the master made, and by the
bundle that the signer signed. Here all three are held against the stored bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from master import settings as farm_settings
from master.home import Home
from master.record import Bytes, Claims, check_judged, compare, compare_derived, stored_claims, tar_digest
from master.release.again import Programs, programs_of
from master.release.model import CellAnswer, Readiness
from master.settings import Settings
from master.signing import choice
from master.signing.bundle import SUFFIX, decode
from master.signing.keeping import own_trust
from master.signing.signer import names_of
from master.signing.trust import Trust
from master.signing.verify import Wanted, verify
from master.store import ArchiveRecord, Store, Stored
from steps.handover import Submission
from workers.errors import Failure
from workers.machine import native_target
from workers.model import Cell, Flavour, Matrix
from workers.progress import seconds, size

T = TypeVar("T")
NOTHING_RELEASED = "Nothing is released."
# Archives that are looked at side by side. Judging one took up to 330 MB of memory (install_only of 3.13), proving it a
# few hundred MB of disk.
AT_ONCE = min(os.cpu_count() or 1, 8)


@dataclass(frozen=True)
class CheckedArchive:
    """An archive whose bytes were hashed and found to be what reports, record and bundle say. tar_*: of the tar inside.

    validated, proven: whether it was validated and proven again now, from the stored bytes.
    """

    flavour: Flavour
    archive: Stored
    tar_sha256: str
    bundle: Stored
    validated: bool = False
    proven: bool = False


@dataclass(frozen=True)
class CheckedCell:
    """A cell's build, checked. archives: the full one first. builder_id: in whose name the bundles are signed."""

    record: ArchiveRecord
    archives: list[CheckedArchive]
    provider_sha256: str
    glibc_floor: str | None
    provider_glibc_floor: str | None
    builder_id: str


@dataclass(frozen=True)
class Collection:
    """Everything that a release publishes of its builds. epoch: the commit's time, seconds since 1970, UTC.

    repository: its address as users know it. base: where the farm's identities begin. notes: of the gate.
    """

    schema: Literal["pymint/collection/1"]
    commit: str
    epoch: int
    repository: str
    base: str
    notes: list[str]
    cells: list[CheckedCell]


def collect(
    home: Home, settings: Settings, matrix: Matrix, readiness: Readiness, say: Callable[[str], None] = print
) -> Collection:
    """Raises Failure that names the cell and the first thing that is not so; nothing is released then."""
    if not readiness.ready or not readiness.cells:
        raise Failure("release", f"{readiness.commit[:12]} is not ready to be released", todo=NOTHING_RELEASED)
    trust = own_trust(home)
    if trust is None or settings.signing.profile == "none":
        raise Failure(
            "release", "what is released has to be signed", found=f'[signing] profile = "{settings.signing.profile}"',
            todo=f"{NOTHING_RELEASED} Choose a profile and build the commit again: docs/provenance.md.",
        )  # fmt: skip
    # A fresh one: it has not looked at any file yet.
    store = Store(farm_settings.store_place(settings, home), patient=True)
    wanted = [(answer, matrix.by_builder_name[answer.builder]) for answer in readiness.cells]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        looked = [_look(store, pool, cell, _record(store, readiness.commit, answer)) for answer, cell in wanted]
        cells, epochs = [], []
        for record, claims, found in looked:
            with _of(record):
                cells.append(_checked(home, settings, store, trust, record, claims, found))
                epochs.append(claims.plan.plan.epoch)
                told = ", ".join(f"{one.flavour} {size(one.archive.size)}" for one in cells[-1].archives)
                say(f"{record.builder} #{record.number}: {told}; as reported, recorded and signed")
        if len(set(epochs)) > 1:
            raise Failure(
                "release", "the builds disagree about when the commit was made", wanted="one time",
                found=", ".join(map(str, sorted(set(epochs)))), todo=NOTHING_RELEASED,
            )  # fmt: skip
        with programs_of(home.repository, readiness.commit) as programs:
            cells = _again(pool, programs, store, cells, say)
    base = choice.base_of(settings.signing, farm_settings.page_url(settings))
    source = choice.source_of(settings.signing, farm_settings.repository_url(settings, home))
    return Collection("pymint/collection/1", readiness.commit, epochs[0], source, base, list(readiness.notes), cells)


def _record(store: Store, commit: str, answer: CellAnswer) -> ArchiveRecord:
    record = store.find(answer.builder, answer.number) if answer.number is not None else None
    if record is None or (record.builder, record.number) != (answer.builder, answer.number):
        raise Failure(
            "release", f"{answer.builder} #{answer.number}: no archive of it is recorded",
            found="nothing in the index" if record is None else f"the record of {record.builder} #{record.number}",
            todo=f"{NOTHING_RELEASED} Build that cell of {commit[:12]} again.",
        )  # fmt: skip
    if record.commit != commit:
        raise Failure(
            "release", f"{answer.builder} #{answer.number} is of another commit", wanted=commit, found=record.commit,
            todo=NOTHING_RELEASED,
        )  # fmt: skip
    return record


@contextmanager
def _of(record: ArchiveRecord) -> Iterator[None]:
    """What fails inside is told with the build, and the worker, that it is about."""
    try:
        yield
    except Failure as failure:
        raise Failure(
            "release", f"{record.builder} #{record.number} of worker {record.worker}: {failure.what}",
            wanted=failure.wanted, found=failure.found,
            todo=f"{NOTHING_RELEASED} {failure.todo if failure.where != 'record' else 'Build that cell again.'}",
        ) from failure  # fmt: skip


def _all(pool: ThreadPoolExecutor, jobs: Sequence[Callable[[], T]]) -> list[T]:
    """What the jobs return, in their order. The first that fails ends those that have not begun; those that have are
    waited for, since they work in a directory that is deleted after this.
    """
    futures = [pool.submit(job) for job in jobs]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()
        wait(futures)


def _look(
    store: Store, pool: ThreadPoolExecutor, cell: Cell, record: ArchiveRecord
) -> tuple[ArchiveRecord, Claims, Mapping[Flavour, Bytes]]:
    """Hashes every file of a build, archives also inside, and reads its reports from what was hashed."""
    with _of(record):
        said = (record.cell.version, record.cell.target, record.cell.variant)
        wanted = (cell.version.minor, cell.target.triple, cell.variant.name)
        if said != wanted:
            raise Failure("release", "the record is of another cell", wanted=str(wanted), found=str(said), todo="")
        flavours = _flavours(record)
        found = _all(pool, [lambda one=one: _bytes(store, one) for one in flavours.values()])  # type: ignore[misc]
        others = [*record.reports, *_bundles(store, record).values()]
        _all(pool, [lambda one=one: _checked_file(store, one) for one in others])  # type: ignore[misc]
        return record, stored_claims(store, record), dict(zip(flavours, found, strict=True))


def _flavours(record: ArchiveRecord) -> dict[Flavour, Stored]:
    return {"full": record.archive, **{one.flavour: one.archive for one in record.derived}}


def _checked_file(store: Store, stored: Stored) -> Path:
    path = store.checked(stored)
    if (found := path.stat().st_size) != stored.size:
        raise Failure(
            "store", f"{stored.name} has another size than its record says", wanted=f"{stored.size} bytes",
            found=f"{found} bytes", todo="The record was changed. Build that commit again.",
        )  # fmt: skip
    return path


def _bytes(store: Store, stored: Stored) -> Bytes:
    path = _checked_file(store, stored)
    return Bytes((stored.sha256, stored.size), tar_digest(path, Path(stored.name).suffix))


def _bundles(store: Store, record: ArchiveRecord) -> dict[str, Stored]:
    """By the archive's name. Raises Failure when one is missing."""
    attestation = store.attested(record)
    signed = {one.name: one for one in attestation.bundles} if attestation is not None else {}
    for one in record.archives():
        if one.name + SUFFIX not in signed:
            raise Failure(
                "release", f"{one.name} has no bundle", wanted=one.name + SUFFIX, found=", ".join(signed) or "none",
                todo=f"Sign the build by hand: python -m master.signing {record.buildid} (docs/provenance.md).",
            )  # fmt: skip
    return {one.name: signed[one.name + SUFFIX] for one in record.archives()}


def _same(what: str, wanted: object, found: object) -> None:
    if wanted != found:
        raise Failure(
            "record", what, wanted=str(wanted), found=str(found), todo="Look at who can write the store's index."
        )


def _checked(
    home: Home,
    settings: Settings,
    store: Store,
    trust: Trust,
    record: ArchiveRecord,
    claims: Claims,
    found: Mapping[Flavour, Bytes],
) -> CheckedCell:
    """Holds what was found of a build's bytes against reports, record and bundles. Raises Failure."""
    cell, plan = record.cell, claims.plan.plan
    submission = Submission(
        store.root, record.builder, record.number, record.buildid, record.worker, cell.version, cell.target,
        cell.variant, record.commit, record.branch,
    )  # fmt: skip
    compare(claims, submission, found["full"])
    compare_derived(claims, found)
    check_judged(claims.archive, {one.name: one.sha256 for one in record.reports})
    tars = {"full": record.tar_sha256, **{one.flavour: one.tar_sha256 for one in record.derived}}
    names = {"full": claims.archive.name, **{one.flavour: one.name for one in claims.derive.archives}}
    for flavour, stored in _flavours(record).items():
        _same(f"the record has another name for {flavour} than its report", names[flavour], stored.name)
        _same(f"the record has another tar for {flavour} than it holds", found[flavour].tar[0], tars[flavour])
    _same("the record names another FIPS provider than the report", claims.archive.provider, record.provider)
    _same("the record names another Python than the plan", plan.python_version, record.python_version)
    _same("the record has other sources than the plan", plan.pins, record.pins)
    identity = names_of(home, settings, record, dry_run=False)
    wanted = Wanted(identity.builder, record.commit, identity.source, cell.target, cell.version, cell.variant)
    bundles = _bundles(store, record)
    archives = []
    for flavour, stored in _flavours(record).items():
        bundle = bundles[stored.name]
        verify(
            stored.name, stored.sha256, decode(store.path_of(bundle.sha256).read_bytes(), bundle.name), trust, wanted
        )
        archives.append(CheckedArchive(flavour, stored, found[flavour].tar[0], bundle))
    return CheckedCell(
        record, archives, claims.prove.provider_sha256, claims.validate.glibc_floor,
        claims.validate.provider_glibc_floor, identity.builder,
    )  # fmt: skip


def _again(
    pool: ThreadPoolExecutor,
    programs: Programs,
    store: Store,
    cells: Sequence[CheckedCell],
    say: Callable[[str], None],
) -> list[CheckedCell]:
    """Validates every smaller archive again, and proves those that run here. Raises Failure."""

    def judge(cell: CheckedCell, one: CheckedArchive) -> CheckedArchive:
        if one.flavour == "full":
            return one
        path, name = store.path_of(one.archive.sha256), one.archive.name
        with _of(cell.record):
            valid = programs.validate(path, name)
            took = valid.measure.cpu_s
            _same(f"other bytes were validated again than {name} holds", one.tar_sha256, valid.tar_sha256)
            proven = one.flavour != "debug_symbols" and cell.record.cell.target == native_target()
            if proven:
                proof = programs.prove(path, name)
                took += proof.measure.cpu_s
                _same(f"other bytes were proven again than {name} holds", one.tar_sha256, proof.tar_sha256)
                _same(f"{name} holds another FIPS module", cell.provider_sha256, proof.provider_sha256)
        done = "valid" + (", and its FIPS mode proven" if proven else "")
        say(f"{name}: {done}, again; {seconds(took)} of CPU")
        return CheckedArchive(one.flavour, one.archive, one.tar_sha256, one.bundle, True, proven)

    jobs = [lambda cell=cell, one=one: judge(cell, one) for cell in cells for one in cell.archives]
    judged = iter(_all(pool, jobs))
    foreign = sorted({cell.record.cell.target for cell in cells} - {native_target()})
    if foreign:
        say(f"not run again here, since this machine runs none of it: {', '.join(foreign)}")
    return [
        CheckedCell(
            cell.record, [next(judged) for _ in cell.archives], cell.provider_sha256, cell.glibc_floor,
            cell.provider_glibc_floor, cell.builder_id,
        )
        for cell in cells
    ]  # fmt: skip
