"""What starts builds: each push to the branch, the forms, and the farm's fan-out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildbot.changes import changes as changes_module
from buildbot.plugins import schedulers, util
from twisted.internet import defer

from master.forms import FORCED_PRIORITY, forms_of
from master.mirror import Mirror
from master.release.form import Gate, form_of
from master.watch.polling import Poller
from workers.model import Cell

PUSH = "push"
CHOSEN_CELLS = "chosen-cells"

# How many changes the push scheduler remembers as handled; more than a burst of commits ever has.
REMEMBERED = 500


def poller(url: str, branch: str, interval_s: int, workdir: Path) -> Any:
    """Looks for new commits. From the first look on, each commit is a change, those made while it was down too."""
    return Poller(
        name="repository",
        repourl=url,
        branches=[branch],
        project="",
        pollInterval=interval_s,
        pollAtLaunch=True,
        workdir=str(workdir),
    )


class Push(schedulers.SingleBranchScheduler):
    """Builds every change, also one that was found while this scheduler did not listen.

    Buildbot's own hears of a change once, by a message: one that the poller finds while the master starts (pollers
    start before schedulers), or just before the master is killed, would never be built.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Other branches' changes, which are never handled: not looked at a second time by this process.
        self.passed_over: set[int] = set()

    @defer.inlineCallbacks
    def activate(self) -> Any:
        # One that comes in between the two would be remembered, and the older ones taken for handled and forgotten.
        yield self._change_consumption_lock.run(self._activate)

    @defer.inlineCallbacks
    def _activate(self) -> Any:
        yield super().activate()
        if self.enabled:
            yield self._catch_up()

    @defer.inlineCallbacks
    def unheard(self, changes: Sequence[int]) -> Any:
        """Those of the newest changes, by their ids, that it neither handled nor passed over."""
        handled = yield self.getState("handled", [])
        return {one for one in changes if one > min(handled, default=0)} - set(handled) - self.passed_over

    @defer.inlineCallbacks
    def catch_up(self) -> Any:
        """Builds the changes that it has not heard of."""
        if self.enabled:
            yield self._change_consumption_lock.run(self._catch_up)

    @defer.inlineCallbacks
    def _catch_up(self) -> Any:
        handled = yield self.getState("handled", [])
        newest = yield self.master.data.get(("changes",), order=["-changeid"], limit=REMEMBERED)
        for found in reversed(newest):
            # What is older than all that is remembered was handled, and forgotten.
            if found["changeid"] > min(handled, default=0):
                model = yield self.master.db.changes.getChange(found["changeid"])
                change = yield changes_module.Change.fromChdict(self.master, model)
                if self.change_filter.filter_change(change):
                    yield self.gotChange(change, True)
                else:
                    self.passed_over.add(found["changeid"])

    @defer.inlineCallbacks
    def gotChange(self, change: Any, important: bool) -> Any:
        """Called one at a time, under the lock that Buildbot's scheduler has for it."""
        handled = yield self.getState("handled", [])
        if change.number in handled:
            return
        yield super().gotChange(change, important)
        yield self.setState("handled", [*handled, change.number][-REMEMBERED:])


def schedulers_of(worked: Sequence[Cell], pushed: Sequence[Cell], mirror: Mirror, branch: str, gate: Gate) -> list[Any]:
    """Every commit is built, so none may wait for a quieter tree: a commit without builds could not be released."""
    found: list[Any] = []
    if pushed:
        found.append(
            Push(
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
        found.append(form_of(mirror, branch, gate))
    return found
