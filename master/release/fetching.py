"""What a confined stage of a release needs of a store in a bucket is brought here before, since it has no network.

And what a dry run made, which could only be written here, is brought to the bucket after.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from master import settings as farm_settings
from master.blobs import KINDS
from master.home import Home
from master.release import kept
from master.release.model import Plan, Readiness
from master.release.stages import PLAN_MADE, READINESS
from master.settings import Settings
from master.store import Store, Stored
from steps.release import StageName
from workers.progress import counted, size
from workers.reports.base import read_report


def bring(home: Home, settings: Settings, stage: StageName, directory: Path, say: Callable[[str], None]) -> None:
    """Whatever the stage is going to read. Raises Failure, for a bucket that is away and for bytes that are damaged."""
    if settings.store.bucket is None:
        return
    store = Store(farm_settings.store_place(settings, home), patient=True)
    for kind in KINDS:
        store.refresh(kind)
    if stage in ("collect", "plan"):
        _builds(store, read_report(directory / READINESS, Readiness), say)
    if stage == "plan":
        for plan in kept.published(store.root):
            _assets(store, plan, role="index")
    if stage == "publish":
        plan = read_report(directory / PLAN_MADE, Plan)
        rehearsed(store, plan)
        _assets(store, plan)


def _builds(store: Store, readiness: Readiness, say: Callable[[str], None]) -> None:
    total = 0
    for answer in readiness.cells:
        record = store.find(answer.builder, answer.number) if answer.number is not None else None
        for one in store.files(record) if record is not None else ():
            store.checked(one)
            total += one.size
    say(f"{counted(len(readiness.cells), 'build')}, {size(total)}: here, from the bucket or from before")


def _assets(store: Store, plan: Plan, role: str | None = None) -> None:
    for one in plan.assets:
        if role is None or one.role == role:
            store.checked(Stored(one.name, one.sha256, one.size))


def rehearsed(store: Store, plan: Plan) -> None:
    """Brings a dry run's plan, and the files that were made for it, to the bucket."""
    for one in plan.assets:
        if one.role != "archive":
            store.put(store.checked(Stored(one.name, one.sha256, one.size)), one.name)
    store.share(kept.keep(store.root, plan))
