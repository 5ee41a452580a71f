"""The step that a process of the master's own machine is: it shows the lines that come, and checks what is left."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from buildbot.process import buildstep
from twisted.internet import threads

from steps.program import Limits, ProgramCommand, Telling, failure_in
from steps.results import CANCELLED, SUCCESS
from workers.progress import seconds
from workers.reports.base import decode

R = TypeVar("R")


@dataclass(frozen=True)
class Command:
    """How a stage is started, and where it leaves its report."""

    argv: list[str]
    directory: str
    environment: dict[str, str]
    report: Path


class MasterProcess(Telling, buildstep.ShellMixin, buildstep.BuildStep):
    """Runs a stage as a process of its own.

    Proves: it ended well and left its report.
    Leaves: a log `problem` when it failed.
    """

    haltOnFailure = True
    flunkOnFailure = True
    logEnviron = False
    interruptSignal = "TERM"
    sigtermTime = 30

    def __init__(self, limits: Limits | None = None, **kwargs: Any) -> None:
        limits = limits or Limits()
        kwargs = self.setupShellMixin({"timeout": limits.silent_s, "maxTime": limits.stage_s, **kwargs}, ["command"])
        super().__init__(**kwargs)

    async def outcome(self, started: Command, kind: type[R]) -> R | int:
        """The report that the process left; Buildbot's result where it left none. Raises Failure for a wrong one."""
        log = await self.addLog("stdio")
        command = ProgramCommand(
            started.directory, started.argv, env=started.environment, timeout=self.timeout, maxTime=self.maxTime,
            sigtermTime=self.sigtermTime, logEnviron=False, usePTY=False, interruptSignal=self.interruptSignal,
            collectStderr=True, decodeRC={0: SUCCESS},
        )  # fmt: skip
        command.on_event = self._event
        command.useLog(log, True)
        await threads.deferToThread(_forget, started.report)
        await self.runCommand(command)
        if command.interrupted or self.stopped:
            return CANCELLED
        if command.didFail():
            return await self.refuse(self._problem(command))
        try:
            data = await threads.deferToThread(started.report.read_bytes)
        except OSError as error:
            return await self.refuse(f"{self.name}: the stage left no report: {error}")
        return decode(data, kind, started.report.name)

    def _problem(self, command: ProgramCommand) -> str:
        if self.timed_out:
            silent = command.remote_failure_reason == "timeout_without_output"
            limit = (self.timeout if silent else self.maxTime) or 0
            return f"{self.name}: ended after {seconds(limit)}{' without any output' if silent else ''}"
        said = failure_in(command.stderr)
        # Above 128: the process that confines a stage tells a signal as a shell does.
        if command.rc is None or command.rc < 0 or command.rc > 128 or not said:
            said = f"{self.name}: the process was ended from outside (exit code {command.rc})\n"
            said += "  A rebuild of this build takes it up where it stopped."
        return said


def _forget(report: Path) -> None:
    """A report of an earlier try of the same build is none of this one."""
    with contextlib.suppress(FileNotFoundError):
        report.unlink()
