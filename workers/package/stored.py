"""A finished archive in the worker's store, with the reports that judged it, so that nothing is judged twice."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from workers.reports.base import Measure
from workers.reports.build import Plan, PlannedFlavour
from workers.store import ObjectRecord, Store

# The judges: their reports stand beside the archive, and an archive is stored only when both said ok.
JUDGES = ("validate", "prove")
# What a derived archive has besides: the program that made it, and what was checked of its flavour.
KEPT = (*JUDGES, "derive", "checks")
NODE = "archive"


def tar_path(run: Path, plan: Plan) -> Path:
    """Where the packed, not yet compressed archive of a plan lies in its run directory."""
    return run / "package" / plan.archive_name.removesuffix(".zst")


@dataclass(frozen=True)
class StoredArchive:
    """What the store knows of an archive whose bytes were hashed just now. reports: JSON texts by program."""

    record: ObjectRecord
    path: Path
    tar_sha256: str
    tar_size: int
    members: int
    reports: dict[str, str]


@dataclass(frozen=True)
class _Facts:
    tar_sha256: str
    tar_size: str
    members: str


def find_stored(plan: Plan, store: Store) -> StoredArchive | None:
    """The plan's archive from the store; None when the plan did not see one, or it is no longer there or whole.

    The key of an archive covers the programs that judge it, so its stored reports are what they would say again.
    """
    return _find(plan.archive_key, store) if plan.archive_stored else None


def find_derived(plan: Plan, store: Store) -> list[tuple[PlannedFlavour, StoredArchive]] | None:
    """All that the plan derives, from the store; None unless it has every one of them: they are made together."""
    if not all(planned.stored for planned in plan.flavours):
        return None
    found = [(planned, _find(planned.key, store)) for planned in plan.flavours]
    whole = [(planned, stored) for planned, stored in found if stored is not None]
    return whole if len(whole) == len(found) else None


def _find(key: str, store: Store) -> StoredArchive | None:
    record = store.checked(key)
    if record is None:
        return None
    facts = msgspec.convert(record.facts, _Facts)
    return StoredArchive(
        record=record,
        path=store.path_of(record.digest),
        tar_sha256=facts.tar_sha256,
        tar_size=int(facts.tar_size),
        members=int(facts.members),
        reports={name: record.facts[name] for name in KEPT if name in record.facts},
    )


def keep(
    key: str, node: str, store: Store, archive: Path, scratch: Path, facts: dict[str, str], measure: Measure
) -> ObjectRecord:
    """Stores an archive under its key, from a second name or a copy of it in `scratch`. node: as `status` names it."""
    scratch.mkdir(parents=True, exist_ok=True)
    second = scratch / f"{key}.archive"
    second.unlink(missing_ok=True)
    place(archive, second)
    return store.add(key, node, second, measure, facts)


def place(source: Path, target: Path) -> None:
    """Gives a file a second name, or a copy where the two are on different file systems."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        temporary = target.with_name(f".{target.name}.copying")
        shutil.copyfile(source, temporary)
        temporary.rename(target)
