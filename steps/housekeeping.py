"""The step of the nightly housekeeping: a process of its own on the master's machine, so that nothing waits for it."""

from __future__ import annotations

from typing import Any

from buildbot.process import buildstep

from steps.program import Telling, failure_in
from steps.results import CANCELLED, SUCCESS


class Housekeep(Telling, buildstep.ShellMixin, buildstep.BuildStep):
    """Runs the housekeeping, shows its lines as they come.

    Proves: nothing.
    Leaves: the last line as the summary; a log `problem` when it failed.
    """

    name = "housekeeping"
    haltOnFailure = True
    flunkOnFailure = True
    logEnviron = False

    def __init__(self, argv: list[str], directory: str, environment: dict[str, str], **kwargs: Any) -> None:
        kwargs = self.setupShellMixin({"timeout": None, "maxTime": 12 * 3600, "sigtermTime": 30, **kwargs}, ["command"])
        super().__init__(**kwargs)
        self.argv = argv
        self.directory = directory
        self.environment = environment

    async def run(self) -> int:
        command = await self.makeRemoteShellCommand(
            command=self.argv, workdir=self.directory, env=self.environment, collectStdout=True, collectStderr=True,
            logEnviron=False, interruptSignal="TERM",
        )  # fmt: skip
        await self.runCommand(command)
        if command.interrupted or self.stopped:
            return CANCELLED
        if command.didFail():
            return await self.refuse(failure_in(command.stderr) or f"housekeeping: ended with {command.rc}")
        self.said = (command.stdout.strip().splitlines() or ["nothing to do"])[-1]
        return SUCCESS
