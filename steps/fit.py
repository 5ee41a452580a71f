"""The first step: is the worker's machine fit for a build at all? If not, another worker gets it."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from buildbot.process import buildstep
from buildbot.process.remotecommand import RemoteShellCommand

from steps.program import Telling, failure_in, headline
from steps.results import CANCELLED, RETRY, SUCCESS
from steps.ward import ward_of
from workers.errors import Failure
from workers.fitness import Fitness, clock_problem, one_line
from workers.reports.base import decode

LIMIT_S = 300


class Fit(Telling, buildstep.BuildStep):
    """Runs the doctor of the worker's own checkout.

    Proves: disk, memory and tools are there, and the worker's clock is the master's.
    Leaves: what the doctor found, with the worker (`pymint_doctor`). A build that an unfit worker was given goes back
    to the queue, and the ward keeps that worker out of the way.
    """

    name = "fit"
    haltOnFailure = True
    flunkOnFailure = True

    def __init__(self, clock_s: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clock_s = clock_s

    async def run(self) -> int:
        try:
            command, asked = self._command()
        except Failure as failure:
            return await self.refuse(str(failure))
        command.useLog(await self.addLog("stdio"), True)
        await self.runCommand(command)
        if command.interrupted or self.stopped:
            return CANCELLED
        answered = time.time()
        fitness: Fitness | None = None
        try:
            said = decode(command.stdout.encode(), Fitness, "what the doctor said")
            fitness = self._with_the_clock(said, asked, answered)
            problem = "\n".join(fitness.problems)
        except Failure as failure:
            problem = failure_in(command.stderr) or str(failure)
        ward = ward_of(self.master)
        if problem:
            result = RETRY if ward is None else await ward.unfit(self.worker, self.build, fitness, problem)
            await self.refuse(problem)
            self.said = f"{self.worker.workername} is not fit: {headline(problem)}"
            return result
        if fitness is not None:
            self.said = one_line(fitness)
            if ward is not None:
                ward.fit(self.worker, fitness)
        return SUCCESS

    def _command(self) -> tuple[RemoteShellCommand, float]:
        """What is run there, and when it was asked for, by the master's clock."""
        info = self.worker.info
        said = {name: info.getProperty(f"pymint_{name}") for name in ("python", "state", "cache", "checkout")}
        if not all(said.values()):
            missing = ", ".join(f"pymint_{name}" for name, value in said.items() if not value)
            raise Failure(
                "worker", f"{self.worker.workername} does not say where its programs work",
                wanted="pymint_python, pymint_state, pymint_cache and pymint_checkout in its info directory",
                found=f"no {missing}",
                todo="Start it with workers/service/buildbot.tac of this checkout: docs/workers.md.",
            )  # fmt: skip
        python, state, cache, checkout = (str(value).strip() for value in said.values())
        argv = [python, "-m", "workers", "doctor", f"--state={state}", f"--cache={cache}"]
        argv.append(f"--disk-gb={self.getProperty('disk_gb', 50)}")
        command = RemoteShellCommand(
            checkout, argv, env={"PYTHONDONTWRITEBYTECODE": "1"}, timeout=LIMIT_S, maxTime=LIMIT_S, logEnviron=False,
            usePTY=False, collectStdout=True, collectStderr=True, decodeRC={0: SUCCESS, 1: SUCCESS},
        )  # fmt: skip
        return command, time.time()

    def _with_the_clock(self, fitness: Fitness, asked: float, answered: float) -> Fitness:
        """The machine's moment lies somewhere between asking and answer, so that much is in doubt."""
        offset, doubt = fitness.moment - (asked + answered) / 2, (answered - asked) / 2
        problem = clock_problem(offset, doubt, self.clock_s)
        problems = [*fitness.problems, *([problem] if problem else [])]
        return dataclasses.replace(fitness, clock_offset_s=round(offset, 2), problems=problems)
