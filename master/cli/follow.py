"""Follows a build to its end, over a killed worker or master if it must."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from master.cli import daemons
from master.cli.context import Farm
from master.cli.display import Display
from master.cli.rest import CANCELLED, RETRY, Rest, Unreachable
from master.cli.starting import bring_up
from master.cli.views import Build, Step, build_of, lines_of, steps_of
from workers.errors import Failure

POLL_S = 0.5
# A master that compiles beside itself may take seconds to answer; one that is dead is seen by its process.
SILENT_MASTER_S = 300.0
LINES_AT_ONCE = 2000


@dataclass
class _LogReader:
    """Reads a build's stdio logs on from where it was."""

    rest: Rest
    offsets: dict[int, int] = field(default_factory=dict)
    logs: dict[int, int] = field(default_factory=dict)

    def new_lines(self, step: Step) -> list[str]:
        if step.id not in self.logs:
            found = [row["logid"] for row in self.rest.rows("logs", f"steps/{step.id}/logs") if row["slug"] == "stdio"]
            if not found:
                return []
            self.logs[step.id] = found[0]
        log = self.logs[step.id]
        offset = self.offsets.get(log, 0)
        chunks = self.rest.rows("logchunks", f"logs/{log}/contents", offset=offset, limit=LINES_AT_ONCE)
        content = "".join(chunk["content"] for chunk in chunks)
        self.offsets[log] = offset + content.count("\n")
        return lines_of(content)


class Follower:
    """Follows one build request; a build that has to be begun again is followed in its place."""

    def __init__(self, farm: Farm, rest: Rest, request: int, display: Display) -> None:
        self.farm = farm
        self.request = request
        self.build: Build | None = None
        self._rest = rest
        self._display = display
        self._reader = _LogReader(rest)
        self._read_to_end: set[int] = set()
        self._answered = time.monotonic()
        self._waiting_said = False

    def run(self) -> int:
        """Buildbot's result code of the last build. Raises Failure when the farm is gone for good."""
        while True:
            try:
                result = self._look()
                self._answered = time.monotonic()
            except Unreachable as silence:
                self._unreachable(silence)
                result = None
            if result is not None:
                return result
            self._mend_worker()
            time.sleep(POLL_S)

    def _look(self) -> int | None:
        """One look at the build; its result once it has ended and will not be begun again."""
        request = self._rest.rows("buildrequests", f"buildrequests/{self.request}")[0]
        builds = [build_of(row) for row in self._rest.rows("builds", f"buildrequests/{self.request}/builds")]
        newest = max(builds, key=lambda build: build.id, default=None)
        if newest is None:
            return self._queued(request["complete"], request["results"])
        if self.build is None or newest.id != self.build.id:
            again = "" if self.build is None else "begun again: "
            self._display.say(f"{again}{newest.page(self.farm.page)}")
        self.build = newest
        steps = steps_of(self._rest, newest)
        for step in steps:
            if step.started is not None and step.id not in self._read_to_end:
                self._display.lines(step, self._reader.new_lines(step))
                if step.result is not None:
                    self._read_to_end.add(step.id)
                    self._display.ended(step)
        self._display.steps(steps)
        if newest.result is None or (newest.result == RETRY and not request["complete"]):
            return None
        return newest.result

    def _queued(self, complete: bool, result: int) -> int | None:
        if complete:
            return result if result >= 0 else CANCELLED
        if not self._waiting_said:
            self._waiting_said = True
            busy = [build_of(row).id for row in self._rest.rows("builds", "builds", complete="false")]
            others = f" (it works on build {', '.join(map(str, busy))})" if busy else ""
            self._display.say(f"waiting for the worker{others} ...")
        return None

    def _unreachable(self, silence: Unreachable) -> None:
        master = daemons.master_daemon(self.farm.home)
        if master.crashed():
            self._display.say("the master was killed: starting it again")
            bring_up(self.farm, self._display.say, known=self._rest)
            self._answered = time.monotonic()
        elif master.running() is None:
            raise Failure(
                "master",
                "the farm was taken down",
                todo="The build is begun again when it is up: ./mint up; then ./mint status says which to follow.",
            ) from silence
        elif time.monotonic() - self._answered > SILENT_MASTER_S:
            raise silence

    def _mend_worker(self) -> None:
        if daemons.worker_daemon(self.farm.home).crashed():
            self._display.say("the worker was killed: starting it again")
            bring_up(self.farm, self._display.say, known=self._rest)
