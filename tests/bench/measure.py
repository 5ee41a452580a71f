"""Takes samples: one process each, two interpreters turn by turn."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import order_of
from tests.bench.materials import Materials
from tests.bench.result import Pair, Phase
from tests.bench.tasks import MEASURED, Task

# The longest sample on the slowest machine that was tried took 9 s.
TIMEOUT_S = 180


class Unmeasurable(Exception):
    """A task does not run with an interpreter; the text says why, in one line."""


@dataclass(frozen=True)
class Bench:
    """Where and how samples are taken. `seconds`: user CPU that one sample should take. `scratch`: HOME of the runs.

    `extra_path`: what else both interpreters import from (lib2to3 from 3.13 on).
    """

    materials: Materials
    scratch: Path
    seconds: float
    extra_path: tuple[Path, ...] = ()

    def sample(self, python: Path, task: Task, *, loops: int, seed: int, fips: bool = False) -> tuple[int, float]:
        """Runs `task` once; (loops, user CPU seconds). loops 0: as many as take about `seconds`. Raises Unmeasurable.

        seed: of str hashes. The two samples of a pair share it, so that they do the same work.
        """
        script = self.materials.benchmarks / task.script if task.script else MEASURED / "rows.py"
        try:
            ran = subprocess.run(
                [python, script, *task.arguments],
                cwd=self.scratch,
                env=self._environment(loops, seed, fips),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise Unmeasurable(f"no end after {TIMEOUT_S} s") from error
        lines = [line for line in ran.stdout.splitlines() if line.startswith("::bench ")]
        if ran.returncode or not lines:
            last = ran.stderr.strip().splitlines()
            raise Unmeasurable(f"ended with {ran.returncode}: {last[-1] if last else 'it said nothing'}")
        said = json.loads(lines[-1].removeprefix("::bench "))
        if said["seconds"] <= 0:
            raise Unmeasurable("took no user CPU time that this machine could tell")
        return said["loops"], said["seconds"]

    def _environment(self, loops: int, seed: int, fips: bool) -> Mapping[str, str]:
        """The whole environment: nothing of the caller's reaches a sample."""
        path = (MEASURED, self.materials.libraries, *self.extra_path)
        return {
            "PATH": os.defpath,
            "HOME": str(self.scratch),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONHASHSEED": str(seed),
            "PYTHONNOUSERSITE": "1",
            "PYTHONPATH": os.pathsep.join(str(each) for each in path),
            "BENCH_LOOPS": str(loops),
            "BENCH_SECONDS": str(self.seconds),
            "BENCH_DATA": str(self.materials.data),
            **({"BENCH_FIPS": "1"} if fips else {}),
        }

    def pair(self, phase: Phase, task: Task, round_number: int, loops: int, sides: tuple[Path, Path]) -> Pair:
        """One pair, in the order of its round. sides: the interpreters of baseline and candidate. Raises Unmeasurable.

        A FIPS row runs its second side in FIPS mode.
        """
        times: dict[str, float] = {}
        for side in order_of(round_number):
            python = sides[0] if side == "baseline" else sides[1]
            fips = task.fips and side == "candidate"
            times[side] = self.sample(python, task, loops=loops, seed=round_number + 1, fips=fips)[1]
        load = round(os.getloadavg()[0], 1)
        return Pair(phase, task.name, round_number, loops, times["baseline"], times["candidate"], load)
