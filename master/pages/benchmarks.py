"""How fast an archive's interpreter was measured to be, kept beside the archives: for the page of trends.

Benchmarks are run by hand on a machine that does nothing else (docs/performance.md); their results are kept here, and
only those of bytes that this farm has recorded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from master.home import Home, write_file
from master.pages.contents import opened
from master.store import ArchiveRecord, Store, Stored
from workers.errors import Failure
from workers.reports.base import decode, read_report

_INTERPRETER = re.compile(r"python/(install/)?bin/python3[.0-9a-z]*\Z")


@dataclass(frozen=True)
class Interpreter:
    """sha256: of its executable."""

    sha256: str
    version: str
    compiler: str


@dataclass(frozen=True)
class Estimate:
    """Baseline's time over candidate's, and the ends of its 95 % interval: above 1 the candidate is faster."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Benchmark:
    """What the page needs of a result of `python -m tests.bench.compare`. total: None until all is measured."""

    schema: Literal["pymint/bench/1"]
    baseline: Interpreter
    candidate: Interpreter
    total: Estimate | None
    verdict: str | None

    @property
    def against(self) -> str:
        """The other interpreter, in a few words: figures against different ones are different lines."""
        return f"against {self.baseline.version} ({self.baseline.compiler.strip('[]').split(']')[0].strip()})"


def place_of(home: Home, builder: str, number: int) -> Path:
    return home.benchmarks / builder / f"{int(number)}.json"


def keep(home: Home, store: Store, result: Path, builder: str, number: int) -> str:
    """Keeps a result for a recorded build. Returns in words what was measured of which archive.

    Raises Failure when there is no such build, the result is unfinished, or the interpreter is of another archive.
    """
    found = read_report(result, Benchmark)
    record = store.find(builder, number)
    if record is None:
        raise Failure(
            "benchmark", f"there is no archive of {builder} build {number}", wanted="a build that was recorded",
            todo="The page of the cell's builder lists its builds; `archives/` those that have an archive.",
        )  # fmt: skip
    if found.total is None:
        raise Failure(
            "benchmark", f"{result.name} holds no total yet", wanted="a comparison that was finished",
            todo="Run `python -m tests.bench.compare` again with the same --json: it goes on where it ended.",
        )  # fmt: skip
    stored = _measured(store, record, found.candidate.sha256)
    if stored is None:
        raise Failure(
            "benchmark", "the measured interpreter is not of this build",
            wanted=f"an interpreter of {', '.join(one.name for one in record.archives())}",
            found=f"sha256 {found.candidate.sha256}, {found.candidate.version}",
            todo="Measure what `./mint verify` finds in the archive, unpacked and not changed.",
        )  # fmt: skip
    write_file(place_of(home, builder, number), result.read_bytes())
    total = found.total
    return f"{stored.name}: {total.ratio:.3f} times as fast ({total.low:.3f} to {total.high:.3f}) {found.against}"


def kept(home: Home, builder: str, number: int) -> Benchmark | None:
    """The result for a build; None when none was kept, or what lies there can't be read: it decides nothing."""
    path = place_of(home, builder, number)
    try:
        return decode(path.read_bytes(), Benchmark, path.name)
    except (OSError, Failure):
        return None


def _measured(store: Store, record: ArchiveRecord, digest: str) -> Stored | None:
    for stored in record.archives():
        if digest in set(interpreters(store.checked(stored), stored.name)):
            return stored
    return None


def interpreters(path: Path, name: str) -> Iterator[str]:
    """The sha256 of each interpreter in an archive. Raises Failure when it can't be read."""
    with opened(path, name) as tar:
        for member in tar:
            data = tar.extractfile(member) if member.isreg() and _INTERPRETER.match(member.name) else None
            if data is not None:
                yield hashlib.file_digest(data, "sha256").hexdigest()  # type: ignore[arg-type]
            tar.members = []  # type: ignore[attr-defined]  # else every member stays in memory
