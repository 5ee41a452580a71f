"""A builder for each cell that has a worker, the farm's fan-out, and the projects that group them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildbot.data import resultspec
from buildbot.plugins import util
from buildbot.process.factory import BuildFactory

from master.access import RELEASE
from master.forms import FARM
from master.record import Keeper
from master.release.releasing import Releasing
from master.schedulers import CHOSEN_CELLS
from master.settings import Settings, WorkerSettings, builds
from master.signing.attester import Attester
from master.updates import looking_after
from steps import release, stages
from steps.attest import Attest
from steps.checkout import Checkout
from steps.fan_out import FanOut
from steps.fit import Fit
from steps.handover import Record, Upload
from steps.program import Limits
from workers.model import Cell, Version


@dataclass(frozen=True)
class Places:
    """What the steps need of the master: repository, where uploads go, who keeps and who signs, the page's address."""

    repository: str
    incoming: str
    keeper: Keeper
    page_url: str
    attester: Attester


def source_options(settings: Settings) -> list[str]:
    """The options of `plan` and `sources` that say where sources may come from."""
    chosen = settings.sources
    options = [f"--mirror={mirror}" for mirror in chosen.mirrors]
    if chosen.offline:
        options.append(f"--offline={chosen.offline}")
    options += [] if chosen.distro else ["--no-distro"]
    options += [] if chosen.upstream else ["--no-upstream"]
    return options


def fips_options(settings: Settings) -> list[str]:
    """The options of `plan` that say how the FIPS provider is built."""
    options = [f"--fips-procedure={settings.fips.procedure}"]
    options += [] if settings.fips.slh_dsa else ["--no-slh-dsa"]
    return options


def suite_options(settings: Settings) -> list[str]:
    """The options of `test`: how much of CPython's own suite runs, where that is not left to the matrix."""
    options = [f"--extent={settings.suite.extent}"] if settings.suite.extent else []
    return options + ([f"--jobs={settings.build.jobs}"] if settings.build.jobs else [])


def worker_stages(settings: Settings, checkout: Checkout, limits: Limits) -> list[Any]:
    """What runs on a worker, from its look at itself on: the same for branches and for pull requests."""
    sources = source_options(settings)
    jobs = [f"--jobs={settings.build.jobs}"] if settings.build.jobs else []
    return [
        Fit(settings.watch.clock_s),
        checkout,
        stages.Plan([*sources, *fips_options(settings)], limits, require_validated=settings.fips.require_validated),
        stages.Sources(sources, limits),
        stages.Dependencies(jobs, limits),
        stages.Openssl(jobs, limits),
        stages.FipsProvider(jobs, limits),
        stages.Cpython(jobs, limits),
        stages.Package([], limits),
        stages.Validate([], limits),
        stages.ProveFips([], limits),
        stages.RunSuite(suite_options(settings), limits),
        stages.Archive([], limits),
        stages.Derive(jobs, limits),
        stages.ValidateFlavours([], limits),
        stages.ProveFlavours([], limits),
    ]


def cell_factory(settings: Settings, places: Places) -> BuildFactory:
    """The stages of docs/architecture.md, in that order and with those names."""
    build = settings.build
    limits = Limits(60 * build.silent_minutes, 60 * build.stage_minutes, floor_gb=settings.watch.floor_gb)
    steps = [
        *worker_stages(settings, Checkout(repourl=places.repository), limits),
        Upload(places.incoming, settings.store.max_archive_mb * 1_000_000),
        Record(places.incoming, places.keeper, places.page_url, 60 * settings.store.patience_minutes),
        Attest(places.attester, places.page_url),
    ]
    return BuildFactory(steps)


def cell_builder(cell: Cell, workers: Sequence[WorkerSettings], settings: Settings, places: Places) -> Any:
    return util.BuilderConfig(
        name=cell.builder_name,
        workernames=[worker.name for worker in workers if builds(worker, cell)],
        factory=cell_factory(settings, places),
        tags=[cell.target.triple, cell.version.minor, cell.variant.slug],
        properties={
            "version": cell.version.minor,
            "target": cell.target.triple,
            "variant": cell.variant.name,
        },
        project=project_of(cell.version),
        description=f"CPython {cell.version.minor} for {cell.target.triple}, {cell.variant.name}",
        # Two requests of one commit with different options are two builds, and every commit gets its own.
        collapseRequests=False,
    )


def farm_builder(cells: Sequence[Cell], repository: str, inside: str) -> Any:
    """inside: the worker in the master. The fan-out only waits, so it takes no worker from the cells that it waits for;
    a release works on the master's store, with the master's keys."""
    names = [cell.builder_name for cell in cells]
    return util.BuilderConfig(
        name=FARM,
        workernames=[inside],
        factory=BuildFactory([FanOut(CHOSEN_CELLS, repository, names)]),
        tags=["farm"],
        description="Builds any choice of cells of one commit in one go",
        collapseRequests=False,
    )


def release_builder(settings: Settings, releasing: Releasing, inside: str) -> Any:
    """One release at a time, whatever was requested; in the master, as its stages are processes of this machine."""
    limits = Limits(60 * settings.build.silent_minutes, 60 * settings.build.stage_minutes)
    return util.BuilderConfig(
        name=RELEASE,
        workernames=[inside],
        factory=BuildFactory([stage(releasing, limits) for stage in release.STAGES]),
        locks=[util.MasterLock(RELEASE).access("exclusive")],
        canStartBuild=no_other_runs if settings.masters else None,
        tags=["release"],
        description="Releases a commit: checks, plans, signs and publishes what was built of it",
        collapseRequests=False,
    )


async def no_other_runs(builder: Any, _worker: Any, _request: Any) -> bool:
    """Whether no master is at a build of this builder: the lock is this master's alone, and one that was lost in the
    middle of a release is waited for until it is back, or expired."""
    builderid = await builder.getBuilderId()
    running = [resultspec.Filter("complete", "eq", [False])]
    return not await builder.master.data.get(("builders", builderid, "builds"), filters=running)


def pins_builder(settings: Settings, looking: looking_after.LookingAfter, inside: str) -> Any:
    """In the master, as its stages are processes of this machine, which alone may push."""
    limits = Limits(60 * settings.build.silent_minutes, 60 * settings.build.stage_minutes)
    return looking_after.builder(looking, settings.updates, limits, inside, CHOSEN_CELLS)


def project_of(version: Version) -> str:
    return f"cpython-{version.minor}"


def projects_of(versions: Mapping[str, Version], waiting: Sequence[Cell]) -> list[Any]:
    """One a version. Its description names the cells that wait for a worker: no builder, so nothing queues them."""
    found = []
    for version in versions.values():
        names = [cell.builder_name for cell in waiting if cell.version == version]
        text = f"Waiting for a worker: {', '.join(names)}" if names else "Every cell has a worker"
        found.append(
            util.Project(name=project_of(version), slug=project_of(version).replace(".", "-"), description=text)
        )
    return found
