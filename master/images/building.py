"""The builders that make images, one for each architecture, and what starts them."""

from __future__ import annotations

from functools import partial
from typing import Any

from buildbot.plugins import schedulers, util
from buildbot.process.factory import BuildFactory

from master.forms import CellForce, Revision, shared
from master.home import Home
from master.images import kept
from master.mirror import Mirror
from master.settings import Settings, WorkerSettings, workers_of
from steps.checkout import Checkout
from steps.fit import Fit
from steps.image import MakeImage
from steps.program import Limits

PUSH_IMAGES = "push-images"
FORCE_IMAGES = "force-images"
# What goes into images: their data, the pins of the virtual environment, and the worker itself.
IMPORTANT = ("cpython-unix/images/", "constraints.txt", "workers/")


def builder_name(architecture: str) -> str:
    """`images-x86_64`: by the processor's name as targets have it."""
    return f"images-{architecture}"


def by_architecture(settings: Settings) -> dict[str, list[WorkerSettings]]:
    """The workers that make images, by the processor that they are natively."""
    found: dict[str, list[WorkerSettings]] = {}
    for worker in workers_of(settings):
        if worker.name in settings.images.workers:
            for target in worker.targets:
                if target.endswith("-linux-gnu"):
                    found.setdefault(target.partition("-")[0], []).append(worker)
    return found


def is_important(change: Any) -> bool:
    """Whether a commit may have changed an image. The worker finds out; the digest of the inputs decides."""
    return any(file.startswith(IMPORTANT) for file in change.files)


def builders_of(settings: Settings, home: Home, repository: str) -> list[Any]:
    build, chosen = settings.build, settings.images
    limits = Limits(60 * build.silent_minutes, 60 * build.stage_minutes, settings.watch.floor_gb)
    options = [f"--engine={chosen.engine}", f"--keep={chosen.keep}"]
    options += [f"--registry={chosen.registry}"] if chosen.registry else []
    keep = partial(kept.keep, home.images_file)
    made = [MakeImage(name, keep, options, limits) for name in chosen.names]
    return [
        util.BuilderConfig(
            name=builder_name(architecture),
            workernames=[worker.name for worker in workers],
            factory=BuildFactory([Fit(settings.watch.clock_s), Checkout(repourl=repository), *made]),
            tags=["images"],
            description=f"Makes the Linux environments of cpython-unix/images for {architecture}",
            collapseRequests=False,
        )
        for architecture, workers in by_architecture(settings).items()
    ]


def schedulers_of(settings: Settings, mirror: Mirror, branch: str) -> list[Any]:
    """A push that may have changed an image makes them anew, and so does the form."""
    names = [builder_name(architecture) for architecture in by_architecture(settings)]
    if not names:
        return []
    return [
        schedulers.SingleBranchScheduler(
            name=PUSH_IMAGES,
            change_filter=util.ChangeFilter(branch=branch, repository=mirror.url),
            treeStableTimer=None,
            fileIsImportant=is_important,
            onlyImportant=True,
            builderNames=names,
        ),
        CellForce(
            name=FORCE_IMAGES,
            builderNames=names,
            buttonName="Make images",
            label="Make the build environments",
            **shared(mirror, branch, Revision(mirror, branch)),
        ),
    ]
