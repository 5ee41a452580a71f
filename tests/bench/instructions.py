"""`python -m tests.bench.instructions BASELINE_PYTHON CANDIDATE_PYTHON`: what a start costs, counted instead of timed.

Callgrind's counts repeat to a hundredth of a percent on the busiest machine. They know nothing of caches, of wrongly
guessed branches or of page faults: an alarm for those who change the build, and a map of where to look. Who is faster
is told by the times beside them and by `tests.bench.compare`. docs/performance.md has more.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from master.home import cache_directory
from tests.bench import materials as materials_module
from tests.bench.result import Interpreter
from tests.bench.tasks import BENCHMARKS, MEASURED
from workers.errors import Failure
from workers.toolchain import find_tool

# Large ones, which between them import a third of the standard library.
TEN_MODULES = (
    "asyncio, decimal, email.message, http.client, json, logging, multiprocessing, sqlite3, unittest, "
    "xml.etree.ElementTree"
)
STARTS: Mapping[str, tuple[str, ...]] = {
    "-S -c pass": ("-S", "-c", "pass"),
    "-c pass": ("-c", "pass"),
    "import ssl": ("-c", "import ssl"),
    "ten modules": ("-c", f"import {TEN_MODULES}"),
}


@dataclass(frozen=True)
class Cost:
    """One command with one interpreter. cpu_ms: user and system time, median; faults: pages that it had to ask for."""

    instructions: int
    cpu_ms: float
    faults: int


def stand_in(python: Interpreter, place: Path) -> Path:
    """An interpreter at `place` with the same code and library but no debug sections, and an empty environment of it.

    Valgrind 3.19 gives up on clang's DWARF 5.
    """
    executable = Path(python.executable)
    tree = place / "tree"
    (tree / "bin").mkdir(parents=True)
    for entry in executable.parent.parent.iterdir():
        if entry.name != "bin":
            (tree / entry.name).symlink_to(entry)
    stripped = tree / "bin" / f"python{python.minor}"
    subprocess.run([find_tool("llvm-strip"), "--strip-debug", executable, "-o", stripped], check=True)
    (place / "environment" / "bin").mkdir(parents=True)
    (place / "environment" / "lib" / f"python{python.minor}" / "site-packages").mkdir(parents=True)
    (place / "environment" / "pyvenv.cfg").write_text(f"home = {stripped.parent}\n")
    link = place / "environment" / "bin" / "python"
    link.symlink_to(stripped)
    return link


def environment(place: Path, libraries: Sequence[Path]) -> dict[str, str]:
    """All that a command gets. Bytecode goes below `place`: both sides have all of it, and no tree is written to."""
    return {
        "PATH": os.defpath,
        "HOME": str(place),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONPYCACHEPREFIX": str(place / "pyc"),
        "PYTHONPATH": os.pathsep.join(map(str, libraries)),
        "BENCH_LOOPS": "1",
        "BENCH_SECONDS": "1",
    }


def counted(command: Sequence[object], place: Path, libraries: Sequence[Path], repeats: int) -> Cost:
    """Runs `command` once for its bytecode, once under callgrind, and `repeats` times for time and page faults.

    Raises Failure when it does not run.
    """
    surroundings = environment(place, libraries)
    plain = [str(part) for part in command]
    counter = ["setarch", "-R", "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *plain]
    for wanted in (plain, counter):
        ran = subprocess.run(wanted, cwd=place, env=surroundings, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise Failure("bench", f"{' '.join(plain)} failed", found=ran.stderr.strip()[-800:], todo="Run it by hand.")
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if found is None:
        raise Failure("bench", "callgrind did not count", found=ran.stderr.strip()[-800:], todo="Another valgrind?")
    times, faults = [], []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(plain, cwd=place, env=surroundings, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
        faults.append(after.ru_minflt - before.ru_minflt)
    return Cost(int(found[1]), statistics.median(times), int(statistics.median(faults)))


def lines(rows: Mapping[str, tuple[Cost, Cost]]) -> list[str]:
    """The table; a ratio above 1: the candidate takes less. Pure."""
    shown = [f"{'':20} {'baseline':>14} {'candidate':>14} {'ratio':>7} {'CPU ms':>15} {'ratio':>7} {'page faults':>13}"]
    for name, (baseline, candidate) in rows.items():
        shown.append(
            f"{name:20} {baseline.instructions:14,} {candidate.instructions:14,} "
            f"{baseline.instructions / candidate.instructions:7.3f} "
            f"{baseline.cpu_ms:7.2f} {candidate.cpu_ms:7.2f} {baseline.cpu_ms / max(candidate.cpu_ms, 0.01):7.3f} "
            f"{baseline.faults:6} {candidate.faults:6}"
        )
    return shown


@click.command()
@click.argument("baseline", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("candidate", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--repeats", default=40, show_default=True, help="Starts of each command whose time is taken.")
@click.option("--benchmark", "names", multiple=True, help="Also one loop of this benchmark; can be repeated.")
def main(baseline: Path, candidate: Path, repeats: int, names: tuple[str, ...]) -> None:
    """Counts the instructions of starts, imports and benchmarks, of two interpreters of the same minor version."""
    try:
        for tool in ("valgrind", "setarch"):
            if shutil.which(tool) is None:
                raise Failure("bench", f"{tool} is missing", todo="On Debian and Ubuntu: apt-get install valgrind")
        sides = [materials_module.interpreter(python) for python in (baseline, candidate)]
        materials_module.same_minor(*sides)
        commands: dict[str, tuple[object, ...]] = dict(STARTS)
        libraries: tuple[Path, ...] = ()
        if names:
            materials = materials_module.fetch(cache_directory() / "bench")
            libraries = (MEASURED, materials.libraries)
            chosen = [task for task in BENCHMARKS if task.name in names]
            commands |= {task.name: (materials.benchmarks / str(task.script), *task.arguments) for task in chosen}
        rows: dict[str, tuple[Cost, Cost]] = {}
        with tempfile.TemporaryDirectory(prefix="pymint-bench.") as scratch:
            places = [Path(scratch) / name for name in ("baseline", "candidate")]
            pythons = [stand_in(side, place) for side, place in zip(sides, places, strict=True)]
            for name, command in commands.items():
                start = name in STARTS
                both = [
                    counted([python, *command], place, () if start else libraries, repeats if start else 1)
                    for python, place in zip(pythons, places, strict=True)
                ]
                rows[name] = (both[0], both[1])
        click.echo("\n".join(lines(rows)))
    except Failure as failure:
        click.echo(str(failure), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
