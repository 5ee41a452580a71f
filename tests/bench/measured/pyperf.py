"""What pyperformance's benchmarks import as `pyperf`: the calls that they make, with CPU time as the clock.

Stands first on PYTHONPATH of the measured interpreter. The real pyperf measures wall time in processes that it starts
itself; here each process is one sample and the harness decides which interpreter has its turn. Only the standard
library is used, so that both interpreters load the same file and nothing else.

In:  BENCH_LOOPS (0: find out how many take BENCH_SECONDS), BENCH_SECONDS.
Out: the last line of standard output, `::bench {"name": …, "loops": …, "seconds": …}`; user CPU of all loops, of a
command's also the kernel's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

# A tenth of the loops first, untimed: 3.11 and later specialise a function's code after some calls of it.
WARM_UP_SHARE = 10


def perf_counter() -> float:
    """Seconds of user CPU of this process: what a busy neighbour changes least."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def python_implementation() -> str:
    """Asked by benchmarks that know PyPy."""
    return platform.python_implementation().lower()


class Runner:
    """One sample of each benchmark that the script asks for: the scripts run here ask for one."""

    def __init__(self, **_: object) -> None:
        self.metadata: dict[str, object] = {}
        self.argparser = argparse.ArgumentParser()
        self._loops = int(os.environ["BENCH_LOOPS"])
        self._seconds = float(os.environ["BENCH_SECONDS"])

    def parse_args(self) -> argparse.Namespace:
        return self.argparser.parse_args()

    def bench_time_func(self, name: str, function: Callable[..., float], *args: Any, inner_loops: int = 1) -> None:
        """`function(loops, *args)` takes its own time."""
        self._sample(name, lambda loops: function(loops, *args))

    def bench_func(self, name: str, function: Callable[..., object], *args: Any, inner_loops: int = 1) -> None:
        def timed(loops: int) -> float:
            start = perf_counter()
            for _ in range(loops):
                function(*args)
            return perf_counter() - start

        self._sample(name, timed)

    def bench_async_func(self, name: str, function: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
        import asyncio  # not at the top: one benchmark of twenty needs it, and it is slow to import

        async def several(loops: int) -> float:
            start = perf_counter()
            for _ in range(loops):
                await function(*args)
            return perf_counter() - start

        self._sample(name, lambda loops: asyncio.run(several(loops)))

    def bench_command(self, name: str, command: Sequence[str]) -> None:
        """The CPU time of the processes started, not of this one: the kernel's share too.

        A third of a start is the kernel's, mapping pages, and how it divides so short a time is a guess from its ticks.
        """

        def spent() -> float:
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            return used.ru_utime + used.ru_stime

        def timed(loops: int) -> float:
            start = spent()
            for _ in range(loops):
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
            return spent() - start

        self._sample(name, timed)

    def _sample(self, name: str, timed: Callable[[int], float]) -> None:
        loops = self._loops
        if loops:
            if loops >= WARM_UP_SHARE:
                timed(loops // WARM_UP_SHARE)
            seconds = timed(loops)
        else:
            loops, seconds = self._calibrate(timed)
        sys.stdout.write("\n::bench " + json.dumps({"name": name, "loops": loops, "seconds": seconds}) + "\n")
        sys.stdout.flush()

    def _calibrate(self, timed: Callable[[int], float]) -> tuple[int, float]:
        """Doubles the loops until they take a third of what is wanted: long enough to work the rest out."""
        loops = 1
        seconds = timed(loops)
        while seconds < self._seconds / 3:
            loops *= 2
            seconds = timed(loops)
        return loops, seconds
