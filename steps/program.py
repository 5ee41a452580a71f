"""The step that all stages share: it runs a worker's program, shows how far it is, and checks the report it leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar
from weakref import WeakKeyDictionary

from buildbot.process import buildstep
from buildbot.process.remotecommand import RemoteShellCommand
from buildbot.steps.worker import CompositeStepMixin
from twisted.internet import defer

from steps.results import CANCELLED, FAILURE, SUCCESS
from steps.transfer import read_file
from steps.ward import give_back_if_the_machines
from workers.errors import Failure
from workers.progress import EVENT_PREFIX, seconds, size
from workers.reports.base import decode

R = TypeVar("R")

# A validation report of a full archive is about 100 kB, a plan about 200 kB.
REPORT_LIMIT = 16 * 1024 * 1024
NODE_LOG_LIMIT = 32 * 1024 * 1024
# A stage has some thirty nodes. A directory with a million empty logs would be a million questions to the worker.
NODE_LOGS = 100
NODE_LOG = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,80}\.log\Z")
ENVIRONMENT = {"PYMINT_EVENTS": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
# The node logs that a build's page has already: a failed stage shows what is left.
SHOWN: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Limits:
    """After how many seconds a program is ended: without output, and in all.

    log_bytes: after how much output, None where the log's own limit is enough; of the logs of a stage's nodes together
    no more is kept. report_bytes: the largest report that is read. floor_gb: below so little free space it is ended.
    """

    silent_s: int = 90 * 60
    stage_s: int = 6 * 3600
    log_bytes: int | None = None
    report_bytes: int = REPORT_LIMIT
    floor_gb: float = 2.0


class ProgramCommand(RemoteShellCommand):
    """A shell command whose event lines go to `on_event` instead of the log."""

    on_event: Any = None
    log_bytes: int | None = None
    written = 0

    @property
    def flooded(self) -> bool:
        """Whether it has written more than it may, and was asked to end."""
        return self.log_bytes is not None and self.written > self.log_bytes

    def _counted(self, text: str) -> bool:
        """Whether a piece of output is still to be kept. The first one too many ends the program."""
        before = self.flooded
        self.written += len(text)
        if self.flooded and not before:
            ended = defer.maybeDeferred(self.interrupt, "it has written too much")
            ended.addErrback(lambda _: None)  # it has ended by itself meanwhile
        return not self.flooded

    def _without_events(self, text: str) -> str:
        if not self._counted(text):
            return ""
        kept = []
        for line in text.splitlines(keepends=True):
            if line.startswith(EVENT_PREFIX):
                self.on_event(line[len(EVENT_PREFIX) :])
            else:
                kept.append(line)
        return "".join(kept)

    def addStdout(self, data: str) -> Any:
        kept = self._without_events(data)
        return super().addStdout(kept) if kept else defer.succeed(None)

    def add_stdout_lines(self, data: str, is_flushed: bool) -> Any:
        kept = self._without_events(data)
        return super().add_stdout_lines(kept, is_flushed) if kept else defer.succeed(None)

    def addStderr(self, data: str) -> Any:
        return super().addStderr(data) if self._counted(data) else defer.succeed(None)

    def add_stderr_lines(self, data: str, is_flushed: bool) -> Any:
        return super().add_stderr_lines(data, is_flushed) if self._counted(data) else defer.succeed(None)


def progress_of(event: str) -> tuple[str, int] | None:
    """What is being worked on and how far it is in percent, from an event's JSON; None when it says neither."""
    try:
        said = json.loads(event)
        if said["event"] != "progress" or not said["total"]:
            return None
        return str(said["what"])[:120], max(0, min(100, int(100 * said["done"] / said["total"])))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def failure_in(stderr: str) -> str:
    """The last Failure in what a program wrote to standard error: a line and the indented ones below it.

    A traceback is returned whole; anything else by its last lines.
    """
    lines = stderr.rstrip().splitlines()
    if "Traceback (most recent call last):" in lines:
        return "\n".join(lines[len(lines) - 1 - lines[::-1].index("Traceback (most recent call last):") :])
    start = len(lines) - 1
    while start > 0 and lines[start].startswith("  "):
        start -= 1
    return "\n".join(lines[max(start, 0) :]) if start < len(lines) - 1 else "\n".join(lines[-20:])


def headline(problem: str) -> str:
    """One line that says what went wrong: a Failure's first, a traceback's last."""
    lines = [line for line in problem.splitlines() if line.strip()]
    if not lines:
        return "failed without a word"
    return (lines[-1] if lines[0].startswith("Traceback") else lines[0])[:300]


class Telling:
    """What a step that runs a program of ours says: how far it is, and in the end one line."""

    name: Any
    results: Any
    addCompleteLog: Any
    updateSummary: Any
    at: tuple[str, int] | None = None
    said: str | None = None

    def _event(self, text: str) -> None:
        at = progress_of(text)
        if at is not None and at != self.at:
            self.at = at
            self.updateSummary()

    async def refuse(self, problem: str) -> int:
        """Ends the step as failed, with the problem as a log and its first line as the summary."""
        await self.addCompleteLog("problem", problem + "\n")
        self.said = headline(problem)
        return FAILURE

    def getCurrentSummary(self) -> dict[str, str]:
        if self.at is None:
            return {"step": f"{self.name}: running"}
        what, percent = self.at
        return {"step": f"{what or self.name}, {percent} %"}

    def getResultSummary(self) -> dict[str, str]:
        if self.said is not None:
            return {"step": self.said}
        return {"step": f"{self.name}: stopped" if self.results == CANCELLED else str(self.name)}


class WorkerProgram(Telling, buildstep.ShellMixin, CompositeStepMixin, buildstep.BuildStep, Generic[R]):
    """Runs `python -m workers PROGRAM` in the checkout.

    Proves: the program ended well and left a report of the kind that this master knows, and the report says so too.
    Leaves: the report as build data under the step's name; logs `problem` and one a node that was built.
    """

    program: ClassVar[str]
    report: ClassVar[type]
    report_name: ClassVar[str]
    haltOnFailure = True
    flunkOnFailure = True
    logEnviron = False
    interruptSignal = "TERM"
    sigtermTime = 30

    def __init__(self, options: Sequence[str] = (), limits: Limits | None = None, **kwargs: Any) -> None:
        limits = limits or Limits()
        kwargs = self.setupShellMixin({"timeout": limits.silent_s, "maxTime": limits.stage_s, **kwargs}, ["command"])
        super().__init__(**kwargs)
        self.options = list(options)
        self.limits = limits

    def arguments(self) -> list[str]:
        """What this stage adds to the program's options."""
        return []

    def summary(self, report: R) -> str:
        """One line about what was done."""
        raise NotImplementedError

    def objection(self, report: R) -> str | None:
        """Why a report that says that all went well is not accepted, if so."""
        return None

    async def keep(self, report: R) -> None:
        """What else is made of the report: properties, logs. Also called with the report of a failure."""

    @property
    def run_directory(self) -> str:
        """One a build, so that what a killed worker's program still writes never gets into another build's."""
        return f"../run/{self.build.buildid}"

    async def run(self) -> int:
        try:
            command = await self._command()
        except Failure as failure:
            return await self.refuse(str(failure))
        await self.runCommand(command)
        if (command.interrupted and not command.flooded) or self.stopped:
            return CANCELLED
        done = not command.didFail() and not command.flooded
        report_path = f"{self.run_directory}/reports/{self.report_name}.json"
        data = await read_file(self, report_path, self.limits.report_bytes)
        problem = None if done else self._problem(command)
        try:
            report: Any = await self._take(data)
        except Failure as failure:
            # A program that failed may have had no time for a report: then its own words matter.
            return await self._refuse_or_give_back(problem or str(failure))
        if problem is None and not report.ok:
            problem = f"{self.name}: the program ended well, but its report says that it did not"
        await self._node_logs(report, failed=problem is not None)
        await self.keep(report)
        problem = problem or self.objection(report)
        if problem is not None:
            return await self._refuse_or_give_back(getattr(report, "failed", None) or problem)
        self.said = self.summary(report)
        return SUCCESS

    async def _refuse_or_give_back(self, problem: str) -> int:
        """What only this machine lacks is no fault of the commit's: another worker gets the build."""
        await self.refuse(problem)
        return await give_back_if_the_machines(self, problem)

    async def _command(self) -> ProgramCommand:
        info = self.worker.info
        python, state, cache = (info.getProperty(f"pymint_{name}") for name in ("python", "state", "cache"))
        if not (python and state and cache):
            raise Failure(
                "worker",
                f"{self.worker.workername} does not say where its programs work",
                wanted="pymint_python, pymint_state and pymint_cache in its info directory",
                found="none",
                todo="Start it with workers/service/buildbot.tac of this checkout.",
            )
        places = ["--run", self.run_directory, "--state", state.strip(), "--cache", cache.strip()]
        argv = [python.strip(), "-m", "workers", self.program, *places, *self.arguments(), *self.options]
        log = await self.addLog("stdio")
        command = ProgramCommand(
            self.workdir, argv, env={**ENVIRONMENT, "PYMINT_FLOOR_GB": str(self.limits.floor_gb)},
            timeout=self.timeout, maxTime=self.maxTime, sigtermTime=self.sigtermTime, logEnviron=False, usePTY=False,
            interruptSignal=self.interruptSignal, collectStderr=True, decodeRC={0: SUCCESS},
        )  # fmt: skip
        command.on_event = self._event
        command.log_bytes = self.limits.log_bytes
        command.useLog(log, True)
        return command

    def _problem(self, command: ProgramCommand) -> str:
        if command.flooded:
            return str(
                Failure(
                    self.name, "ended because it wrote too much", wanted=f"at most {size(command.log_bytes or 0)}",
                    found=f"{size(command.written)} and more",
                    todo="If it has that much to say, raise [pull_requests] log_mb in settings.toml.",
                )
            )  # fmt: skip
        if self.timed_out:
            silent = command.remote_failure_reason == "timeout_without_output"
            limit = self.timeout if silent else self.maxTime
            return str(
                Failure(
                    self.name, f"ended after {seconds(limit or 0)}{' without any output' if silent else ''}",
                    todo="If that is how long it takes here, raise [build] "
                    f"{'silent_minutes' if silent else 'stage_minutes'} in settings.toml.",
                )
            )  # fmt: skip
        return failure_in(command.stderr) or f"{self.name}: the program ended with exit code {command.rc}"

    async def _take(self, data: bytes | None) -> Any:
        if data is None:
            raise Failure(
                self.name, "the program left no report",
                wanted=f"reports/{self.report_name}.json", found="no such file",
                todo="The commit being built and the master's own checkout may differ too much; see the log.",
            )  # fmt: skip
        report: Any = decode(data, self.report, f"{self.report_name}.json of {self.worker.workername}")
        await self.setBuildData(self.name, data, "pymint")
        return report

    async def _node_logs(self, report: Any, failed: bool) -> None:
        """One log a node that was built here. After a failure, whatever logs there are: the failed node has one too."""
        wanted = {f"{node.name}.log" for node in getattr(report, "nodes", []) if getattr(node, "log", None)}
        if failed and hasattr(report, "nodes"):
            listed = await self.runGlob(f"{self.build.workdir}/{self.run_directory}/logs/*.log", abandonOnFailure=False)
            wanted |= {path.rpartition("/")[2] for path in listed or []} - SHOWN.get(self.build, set())
        left = self.limits.log_bytes
        for name in sorted(filter(NODE_LOG.match, wanted))[:NODE_LOGS]:
            allowed = NODE_LOG_LIMIT if left is None else min(left, NODE_LOG_LIMIT)
            if not allowed:
                break
            data = await read_file(self, f"{self.run_directory}/logs/{name}", allowed, cut=True)
            if data is not None:
                left = None if left is None else left - len(data)
                await self.addCompleteLog(name.removesuffix(".log"), data.decode("utf-8", "replace"))
        SHOWN.setdefault(self.build, set()).update(wanted)
