"""Builders of pull requests: the same cells and stages, on their own workers, into their own store, unsigned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from buildbot.plugins import util
from buildbot.process.factory import BuildFactory

from master.builders import worker_stages
from master.pulls.keeping import PullKeeper
from master.pulls.names import CATEGORY, builder_name
from master.schedulers import Push
from master.settings import Settings, WorkerSettings, builds
from steps.checkout import Checkout
from steps.handover import Record, Upload
from steps.program import Limits
from workers.model import Cell

PROJECT = "pull-requests"
SCHEDULER = "pull-requests"
# A plan's report has 200 kB, and Buildbot's database keeps what was said in each.
_REPORT_BYTES = 4 * 1024 * 1024


def limits_of(settings: Settings) -> Limits:
    """Tighter than main's: what runs may have been written to never end, and to say more than anybody can keep."""
    chosen = settings.pull_requests
    silent_s, stage_s = int(60 * chosen.silent_minutes), int(60 * chosen.stage_minutes)
    return Limits(silent_s, stage_s, chosen.log_mb * 1_000_000, _REPORT_BYTES, settings.watch.floor_gb)


def pull_builder(
    cell: Cell, workers: Sequence[WorkerSettings], settings: Settings, repository: str, incoming: str,
    keeper: PullKeeper, page_url: str,
) -> Any:  # fmt: skip
    """workers: those for pull requests alone."""
    steps = [
        *worker_stages(settings, Checkout(repourl=repository, pull=True), limits_of(settings)),
        Upload(incoming, settings.pull_requests.max_archive_mb * 1_000_000),
        Record(incoming, keeper, page_url),
    ]
    return util.BuilderConfig(
        name=builder_name(cell),
        workernames=[worker.name for worker in workers if builds(worker, cell)],
        factory=BuildFactory(steps),
        tags=["pull-request", cell.target.triple, cell.version.minor, cell.variant.slug],
        properties={"version": cell.version.minor, "target": cell.target.triple, "variant": cell.variant.name},
        project=PROJECT,
        description=f"Pull requests: CPython {cell.version.minor} for {cell.target.triple}, {cell.variant.name}",
        collapseRequests=False,
    )


def pull_scheduler(cells: Sequence[Cell], repository: str) -> Any:
    """Builds what master/github/bridge.py makes known, which asked for a maintainer's word where one is needed."""
    return Push(
        name=SCHEDULER,
        change_filter=util.ChangeFilter(category=CATEGORY, repository=repository),
        treeStableTimer=None,
        builderNames=[builder_name(cell) for cell in cells],
    )


def pull_project() -> Any:
    return util.Project(name=PROJECT, slug=PROJECT, description="Unsigned, unreleased: heads of pull requests")
