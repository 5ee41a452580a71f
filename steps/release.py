"""The steps of a release: each is a stage of `python -m master.release`, a process of its own on the master's machine.

What is run, and what has to be known first, is handed in: steps know nothing of how a release is made.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from buildbot.process import buildstep
from twisted.internet import threads

from steps.checkout import check_request
from steps.program import Limits, ProgramCommand, Telling, failure_in
from steps.results import CANCELLED, SUCCESS
from workers.errors import Failure
from workers.progress import seconds
from workers.reports.base import decode

StageName = Literal["gate", "collect", "plan", "publish"]


@dataclass(frozen=True)
class StageReport:
    """What a stage leaves. summary: one line; links: title to address, whole or below the page's.

    properties: of the build.
    """

    schema: Literal["pymint/release-stage/1"]
    summary: str
    links: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What a release build was asked for. Only a request that says so in so many words is no dry run."""

    buildid: int
    tag: str
    commit: str
    dry_run: bool


@dataclass(frozen=True)
class Command:
    """How a stage is started, and where it leaves its report."""

    argv: list[str]
    directory: str
    environment: dict[str, str]
    report: Path


class Making(Protocol):
    """What the steps need of the master. repository: whose commits are released; page_url: with a slash at its end."""

    @property
    def repository(self) -> str: ...

    @property
    def page_url(self) -> str: ...

    def command(self, stage: StageName, wanted: Wanted) -> Command:
        """How a stage is started."""

    async def ready(self, reactor: Any, commit: str) -> None:
        """Brings the mirror up to date for a commit. Raises Failure."""


class ReleaseStage(Telling, buildstep.ShellMixin, buildstep.BuildStep):
    """Runs one stage, shows its lines as they come, and checks what it left.

    Proves: the stage ended well and left its report.
    Leaves: the report's links and properties on the build; a log `problem` when it failed.
    """

    stage: ClassVar[StageName]
    haltOnFailure = True
    flunkOnFailure = True
    logEnviron = False
    interruptSignal = "TERM"
    sigtermTime = 30

    def __init__(self, making: Making, limits: Limits | None = None, **kwargs: Any) -> None:
        limits = limits or Limits()
        kwargs = self.setupShellMixin({"timeout": limits.silent_s, "maxTime": limits.stage_s, **kwargs}, ["command"])
        super().__init__(**kwargs)
        self.making = making

    async def run(self) -> int:
        stamp = self.build.getSourceStamp("")
        try:
            check_request(stamp.repository, self.making.repository, stamp.branch, stamp.revision)
            tag, dry_run = self.getProperty("tag"), self.getProperty("dry_run")
            wanted = Wanted(self.build.buildid, str(tag or ""), stamp.revision, dry_run is not False)
            await self.prepare(wanted)
            return await self._run(self.making.command(self.stage, wanted))
        except Failure as failure:
            return await self.refuse(str(failure))

    async def prepare(self, wanted: Wanted) -> None:
        """What has to be there before the stage runs. Raises Failure."""

    async def _run(self, started: Command) -> int:
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
        report = decode(data, StageReport, started.report.name)
        for name, value in report.properties.items():
            self.setProperty(name, value, self.name)
        for title, address in report.links.items():
            await self.addURL(title, address if "://" in address else self.making.page_url + address)
        self.said = report.summary
        return SUCCESS

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


class Gate(ReleaseStage):
    """Asks again what the form asked: a rebuild and a trigger go past forms.

    Proves: every cell of the wanted set has a build of this commit that can be released, and the tag is free.
    Leaves: the gate's answer in the release's directory; links to the builds that count.
    """

    name = "gate"
    stage = "gate"

    async def prepare(self, wanted: Wanted) -> None:
        await self.making.ready(self.master.reactor, wanted.commit)


class Collect(ReleaseStage):
    """Hashes every stored byte of these builds again, and holds it against index, records, reports and bundles.

    Proves: what will be published is what was validated, proven and signed.
    Leaves: the collection in the release's directory.
    """

    name = "collect"
    stage = "collect"


class PlanRelease(ReleaseStage):
    """Names every file that is published, makes the indexes and pages, and signs the list of digests.

    Proves: nothing yet.
    Leaves: release-plan.json and all that it lists in the store; property `release_identity`; links to every file.
    """

    name = "plan"
    stage = "plan"


class Publish(ReleaseStage):
    """Brings what the plan lists to each place, audits it there, and makes it public; a dry run into a rehearsal.

    Proves: each place has every file of the plan with its digest, and nothing else.
    Leaves: the release; property `release_where`; links to it.
    """

    name = "publish"
    stage = "publish"


STAGES: tuple[type[ReleaseStage], ...] = (Gate, Collect, PlanRelease, Publish)
