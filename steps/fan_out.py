"""The step of the `farm` builder: one request becomes a build of each chosen cell."""

from __future__ import annotations

from typing import Any

from buildbot.steps.trigger import Trigger

from steps.checkout import check_request
from steps.results import FAILURE
from workers.errors import Failure
from workers.progress import counted


class FanOut(Trigger):
    """Requests a build of each chosen cell, of the same commit, and waits for all of them.

    Proves: every chosen cell's build ended well.
    Leaves: links to the builds.
    """

    name = "fan-out"
    haltOnFailure = True
    flunkOnFailure = True

    def __init__(self, scheduler: str, repository: str, known: list[str], **kwargs: Any) -> None:
        super().__init__(schedulerNames=[scheduler], waitForFinish=True, updateSourceStamp=False, **kwargs)
        self.scheduler = scheduler
        self.repository = repository
        self.known = known
        self.problem: str | None = None

    async def run(self) -> int:
        stamp = self.build.getSourceStamp("")
        try:
            check_request(stamp.repository, self.repository, stamp.branch, stamp.revision)
            self._check_cells(self.getProperty("cells"))
        except Failure as failure:
            self.problem = str(failure)
            await self.addCompleteLog("problem", self.problem + "\n")
            return FAILURE
        return int(await super().run())

    def _check_cells(self, cells: Any) -> None:
        if not isinstance(cells, list) or not cells:
            raise Failure("farm", "no cell was chosen", todo="Force the build again from the form.")
        unknown = [name for name in cells if name not in self.known]
        if unknown:
            raise Failure("farm", f"no worker builds {', '.join(map(str, unknown))}", todo="Choose other cells.")

    def getSchedulersAndProperties(self) -> list[dict[str, Any]]:
        cells = {"cells": self.getProperty("cells")}
        return [{"sched_name": self.scheduler, "props_to_set": cells, "unimportant": False}]

    def getResultSummary(self) -> dict[str, str]:
        if self.problem is not None:
            return {"step": self.problem.splitlines()[0]}
        done = len(self._result_list)
        good = self._result_list.count(0)
        return {"step": f"{good} of {counted(done, 'cell')} built"}
