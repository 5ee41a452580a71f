"""`python -m tests.bench.compare BASELINE_PYTHON CANDIDATE_PYTHON`: is the second interpreter faster than the first?

The method and its limits are in docs/performance.md. Nothing here is a test: no figure fails anything.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from master.home import cache_directory
from tests.bench import materials as materials_module
from tests.bench.figures import estimate, loops_for, verdict_of
from tests.bench.measure import Bench, Unmeasurable
from tests.bench.result import ROUNDS, Interpreter, Pair, Phase, Result, Row, milliseconds, ratios, rounds_of
from tests.bench.show import text_of
from tests.bench.tasks import BENCHMARKS, FIPS_ROW, ROWS, Task
from workers.errors import Failure
from workers.reports.base import read_report, write_report

# By when, as shares of the time limit, a phase starts no further pair. What one leaves over, the next one has.
SHARES: dict[Phase, float] = {"a/a": 0.38, "a/b": 0.8, "rows": 1.0}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Run:
    """A comparison under way. `result` grows; after each round it is written to `file`, from which a run can go on."""

    result: Result
    file: Path | None
    limit: float
    started: float = field(default_factory=time.monotonic)

    def save(self) -> None:
        if self.file is not None:
            write_report(self.result, self.file)

    def leave_out(self, task: Task, why: Unmeasurable) -> None:
        click.echo(f"  {task.name} is left out: {why}")
        self.result = replace(self.result, left_out={**self.result.left_out, task.name: str(why)})

    def wanted(self, tasks: tuple[Task, ...]) -> list[Task]:
        return [task for task in tasks if task.name not in self.result.left_out]

    def calibrate(self, bench: Bench, tasks: tuple[Task, ...], sides: tuple[Path, Path]) -> None:
        """Works out each task's loops with the baseline, and lets the candidate write its .pyc files."""
        for task in self.wanted(tasks):
            if task.name in self.result.loops:
                continue
            try:
                loops, seconds = bench.sample(sides[0], task, loops=0, seed=1)
                found = loops_for(bench.seconds, loops, seconds)
                # As many loops, though only its .pyc files are wanted: one may be too short for the clock.
                bench.sample(sides[1], task, loops=found, seed=1, fips=task.fips)
            except Unmeasurable as why:
                self.leave_out(task, why)
                continue
            self.result = replace(self.result, loops={**self.result.loops, task.name: found})
        self.save()

    def phase(self, bench: Bench, phase: Phase, tasks: tuple[Task, ...], sides: dict[str, tuple[Path, Path]]) -> None:
        """All rounds of a phase; a round is one pair of each task, so that each task sees the whole time's weather."""
        until = self.started + self.limit * SHARES[phase]
        for number in range(self.result.rounds):
            done = {pair.task for pair in self.result.pairs if (pair.phase, pair.round) == (phase, number)}
            missing = [task for task in self.wanted(tasks) if task.name not in done]
            if not missing:
                continue
            begun = time.monotonic()
            for task in missing:
                # The first round is finished whatever it takes: with a benchmark missing, the total is of another set.
                if number and time.monotonic() > until:
                    click.echo(f"  {phase}: the time limit ends it in round {number + 1} of {self.result.rounds}")
                    self.save()
                    return
                try:
                    pair = bench.pair(phase, task, number, self.result.loops[task.name], sides[task.name])
                except Unmeasurable as why:
                    self.leave_out(task, why)
                    continue
                self.result = replace(self.result, pairs=[*self.result.pairs, pair])
            self.save()
            load = self.result.pairs[-1].load if self.result.pairs else 0.0
            took = time.monotonic() - begun
            click.echo(f"  {phase}: round {number + 1} of {self.result.rounds}, {took:.0f} s, load {load}")


def judged(result: Result) -> Result:
    """The result with its figures, from the pairs that it holds. Pure."""
    same = ratios(result.pairs, "a/a", result.left_out)
    different = ratios(result.pairs, "a/b", result.left_out)
    noise = estimate(same) if same else None
    total = estimate(different) if different else None
    enough = min(rounds_of(result, "a/a"), rounds_of(result, "a/b")) >= ROUNDS
    return replace(
        result,
        rows={
            **{name: row_of(result, name, "a/b", each, same.get(name)) for name, each in different.items()},
            **{
                name: row_of(result, name, "rows", each, None)
                for name, each in ratios(result.pairs, "rows", result.left_out).items()
            },
        },
        noise=noise,
        total=total,
        verdict=verdict_of(total, noise.spread) if total and noise and enough else None,
    )


def row_of(result: Result, name: str, phase: Phase, each: list[float], same: list[float] | None) -> Row:
    taken: list[Pair] = [pair for pair in result.pairs if pair.phase == phase and pair.task == name]
    baseline, candidate = milliseconds(taken)
    return Row(baseline, candidate, len(each), estimate({name: each}), estimate({name: same}) if same else None)


def begin(baseline: Interpreter, candidate: Interpreter, packages: dict[str, str], seconds: float) -> Result:
    return Result(
        schema="pymint/bench/1",
        command=["python", "-m", "tests.bench.compare", *sys.argv[1:]],
        started=now(),
        finished=None,
        baseline=baseline,
        candidate=candidate,
        machine=materials_module.machine(),
        packages=packages,
        seconds=seconds,
        rounds=ROUNDS,
        loops={},
        left_out={},
        rows={},
        noise=None,
        total=None,
        verdict=None,
        pairs=[],
    )


def resumed(fresh: Result, file: Path | None) -> Result:
    """What an earlier run of the same comparison left in `file`, or `fresh`. Raises Failure if it is of another one."""
    if file is None or not file.exists():
        return fresh
    found = read_report(file, Result)
    for what in ("baseline", "candidate", "packages", "seconds"):
        if getattr(found, what) != getattr(fresh, what):
            raise Failure(
                "bench",
                f"{file} holds another comparison, whose {what} differs",
                wanted=str(getattr(fresh, what))[:200],
                found=str(getattr(found, what))[:200],
                todo="Give another file's name, or delete that one.",
            )
    return found


def run(result: Result, file: Path | None, limit: float, materials: materials_module.Materials) -> Result:
    """Measures what `result` does not hold yet, within about `limit` seconds, and returns it judged."""
    going = Run(result, file, limit)
    with tempfile.TemporaryDirectory(prefix="pymint-bench.") as name:
        scratch = Path(name)
        baseline = materials_module.environment_of(result.baseline, scratch / "baseline")
        candidate = materials_module.environment_of(result.candidate, scratch / "candidate")
        extra = materials_module.lib2to3_source(baseline, materials)
        bench = Bench(materials, scratch, result.seconds, (extra,) if extra else ())
        rows = (*ROWS, FIPS_ROW) if result.candidate.fips else ROWS
        both = {task.name: (baseline, candidate) for task in (*BENCHMARKS, *ROWS)}
        both[FIPS_ROW.name] = (candidate, candidate)
        click.echo("finding out how often each benchmark has to run")
        going.calibrate(bench, BENCHMARKS, (baseline, candidate))
        click.echo("the baseline against itself")
        going.phase(bench, "a/a", BENCHMARKS, {task.name: (baseline, baseline) for task in BENCHMARKS})
        noise = judged(going.result).noise
        if noise:
            click.echo(f"  noise floor: ratio {noise.ratio:.3f}, 95 % interval {noise.low:.3f} to {noise.high:.3f}")
        click.echo("the candidate against the baseline")
        going.phase(bench, "a/b", BENCHMARKS, both)
        click.echo("hashes, codecs, start-up")
        going.calibrate(bench, tuple(row for row in rows if not row.fips), (baseline, candidate))
        if result.candidate.fips:
            going.calibrate(bench, (FIPS_ROW,), (candidate, candidate))
        going.phase(bench, "rows", rows, both)
    going.result = replace(judged(going.result), finished=now())
    going.save()
    return going.result


@click.command()
@click.argument("baseline", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("candidate", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rounds", default=ROUNDS, show_default=True, help="Pairs of each benchmark, A/A and A/B alike.")
@click.option("--seconds", default=0.3, show_default=True, help="User CPU that one sample takes, about.")
@click.option("--limit", default=720.0, show_default=True, help="Seconds after which no further pair is begun.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Result file; goes on from it.")
def main(baseline: Path, candidate: Path, rounds: int, seconds: float, limit: float, file: Path | None) -> None:
    """Compares two interpreters of the same minor version by user CPU time."""
    try:
        materials = materials_module.fetch(cache_directory() / "bench")
        first, second = materials_module.interpreter(baseline), materials_module.interpreter(candidate)
        materials_module.same_minor(first, second)
        result = resumed(begin(first, second, materials.packages, seconds), file)
        click.echo(text_of(run(replace(result, rounds=rounds), file, limit, materials)))
    except Failure as failure:
        click.echo(str(failure), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
