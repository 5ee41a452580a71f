"""The result file: everything that a reader needs to judge the figures, and everything that a run needs to go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from tests.bench.figures import Estimate, Verdict

Phase = Literal["a/a", "a/b", "rows"]

# With fewer pairs of any benchmark there is no verdict: the interval of a median of few is too narrow to be true.
ROUNDS = 8


@dataclass(frozen=True)
class Interpreter:
    """One of the two. `executable`: its real path. `sha256`: of that file. `flags`: configure and compiler flags, as
    its own sysconfig tells them. `fips`: PYTHON_FIPS=1 turns OpenSSL's FIPS mode on."""

    executable: str
    sha256: str
    version: str
    minor: str
    compiler: str
    flags: dict[str, str]
    openssl: str
    fips: bool


@dataclass(frozen=True)
class Machine:
    """Where it ran. `load`: the one-minute load average when the run began."""

    cpu: str
    cpus: int
    kernel: str
    memory_gib: float
    load: float


@dataclass(frozen=True)
class Pair:
    """Two samples taken one after the other: user CPU seconds of `loops` loops each.

    `load`: one-minute load average at the time.
    """

    phase: Phase
    task: str
    round: int
    loops: int
    baseline_s: float
    candidate_s: float
    load: float

    @property
    def ratio(self) -> float:
        return self.baseline_s / self.candidate_s


@dataclass(frozen=True)
class Row:
    """A benchmark's figures. Times are medians, in milliseconds of user CPU a loop. `noise`: the same from A/A."""

    baseline_ms: float
    candidate_ms: float
    pairs: int
    estimate: Estimate
    noise: Estimate | None


@dataclass(frozen=True)
class Result:
    """One comparison. `loops`: task → loops a sample. `left_out`: task → why it was not measured."""

    schema: Literal["pymint/bench/1"]
    command: list[str]
    started: str
    finished: str | None
    baseline: Interpreter
    candidate: Interpreter
    machine: Machine
    packages: dict[str, str]
    seconds: float
    rounds: int
    loops: dict[str, int]
    left_out: dict[str, str]
    rows: dict[str, Row]
    noise: Estimate | None
    total: Estimate | None
    verdict: Verdict | None
    pairs: list[Pair]


def ratios(pairs: Iterable[Pair], phase: Phase, left_out: Mapping[str, str]) -> dict[str, list[float]]:
    """task → ratios of a phase's pairs, in the order in which they were taken."""
    found: dict[str, list[float]] = {}
    for pair in pairs:
        if pair.phase == phase and pair.task not in left_out:
            found.setdefault(pair.task, []).append(pair.ratio)
    return found


def milliseconds(pairs: Iterable[Pair]) -> tuple[float, float]:
    """The medians of both sides' times, for one loop."""
    listed = list(pairs)
    return (
        1000 * median(pair.baseline_s / pair.loops for pair in listed),
        1000 * median(pair.candidate_s / pair.loops for pair in listed),
    )


def rounds_of(result: Result, phase: Phase) -> int:
    """How many pairs the benchmark with the fewest of them has in a phase."""
    taken = ratios(result.pairs, phase, result.left_out)
    return min((len(each) for each in taken.values()), default=0)


def shortfalls(result: Result) -> list[str]:
    """In which points the run is less than the protocol asks for; empty when it is all of it."""
    phases: tuple[Phase, ...] = ("a/a", "a/b")
    found = [f"{phase}: {n} of {ROUNDS} rounds" for phase in phases if (n := rounds_of(result, phase)) < ROUNDS]
    found.extend(f"left out: {name}: {why}" for name, why in sorted(result.left_out.items()))
    return found
