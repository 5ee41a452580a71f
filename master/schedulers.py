"""What starts builds: each push to the branch, the two forms, and the farm's fan-out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildbot.plugins import changes, schedulers, util

from master.forms import FORCED_PRIORITY, forms_of
from master.mirror import Mirror
from workers.model import Cell

PUSH = "push"
CHOSEN_CELLS = "chosen-cells"


def poller(url: str, branch: str, interval_s: int, workdir: Path) -> Any:
    """Looks for new commits. From the first look on, each commit is a change, those made while it was down too."""
    return changes.GitPoller(
        name="repository",
        repourl=url,
        branches=[branch],
        project="",
        pollInterval=interval_s,
        pollAtLaunch=True,
        workdir=str(workdir),
    )


def schedulers_of(
    worked: Sequence[Cell], pushed: Sequence[Cell], mirror: Mirror, branch: str
) -> list[Any]:  # fmt: skip
    """Every commit is built, so none may wait for a quieter tree: a commit without builds could not be released."""
    found: list[Any] = []
    if pushed:
        found.append(
            schedulers.SingleBranchScheduler(
                name=PUSH,
                change_filter=util.ChangeFilter(branch=branch, repository=mirror.url),
                treeStableTimer=None,
                builderNames=[cell.builder_name for cell in pushed],
            )
        )
    if worked:
        found.append(
            schedulers.Triggerable(
                name=CHOSEN_CELLS, builderNames=util.Property("cells", default=[]), priority=FORCED_PRIORITY
            )
        )
        found.extend(forms_of(worked, mirror, branch))
    return found
