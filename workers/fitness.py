"""Is a worker's machine fit for a build: disk, tools, memory. Looked at when a worker starts and before each build.

The master compares the clock, since it alone has another one: `moment` is what this machine's said.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from workers.errors import Failure
from workers.progress import size
from workers.reports.base import read_report, write_report
from workers.tools import BUILD_TOOLS, BUSY, Tool, version_of

MEMORY_BAD_GB = 2.0
# The number in what a tool says of itself: `Debian clang version 22.1.8 (...)`, `v5.36.0`, `GNU Make 4.3`.
_VERSION = re.compile(r"(?<![\w.])v?(\d+(?:\.\d+)+)")


@dataclass(frozen=True)
class Fitness:
    """What a machine said of itself. disk_*_gb, memory_gb: powers of 1000. moment: seconds since 1970 by its own clock.

    clock_offset_s: against the master's, put in by the master. tools: version by name. problems: one sentence each,
    with what to do; none: it is fit.
    """

    schema: Literal["pymint/doctor/1"]
    checked_at: str
    moment: float
    disk_free_gb: float
    disk_total_gb: float
    memory_gb: float
    clock_offset_s: float | None
    tools: dict[str, str]
    python: str
    host: str
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Seen:
    """What a tool said, and the file that said it: asked again when the file is another one."""

    file: str
    changed_ns: int
    size: int
    version: str


def number_in(said: str) -> str:
    """The version in a tool's own words; the words where there is none."""
    found = _VERSION.search(said)
    return found[1] if found else said[:60]


def disk_problem(place: Path, free_gb: float, wanted_gb: float) -> str | None:
    if free_gb >= wanted_gb:
        return None
    return (
        f"{place} has {free_gb:.1f} GB free, {wanted_gb:g} GB are wanted. Make room (`./mint prune` drops what nothing "
        "refers to), or lower disk_gb of this worker in the master's settings.toml."
    )


def clock_problem(offset_s: float, doubt_s: float, allowed_s: float) -> str | None:
    """doubt_s: how long the question was under way. A clock is off only beyond that."""
    if abs(offset_s) - doubt_s <= allowed_s:
        return None
    way = "ahead of" if offset_s > 0 else "behind"
    return (
        f"its clock is {abs(offset_s):.0f} s {way} the master's, {allowed_s:g} s are allowed. Turn on NTP on whichever "
        "is wrong (timedatectl set-ntp true; on a Mac: sudo sntp -sS time.apple.com)."
    )


def memory_problem(total_gb: float) -> str | None:
    if total_gb >= MEMORY_BAD_GB:
        return None
    return f"{total_gb:.1f} GB of memory; linking CPython takes {MEMORY_BAD_GB:g} GB or more. Give it more, or swap."


def tool_problem(tool: Tool) -> str:
    return f"{tool.name} is missing; it {tool.why}. `./mint doctor` in the worker's checkout says how to get it."


def _identity(tool: Tool) -> tuple[str, int, int] | None:
    found = shutil.which(tool.command[0])
    if found is None:
        return None
    real = Path(found).resolve()
    status = real.stat()
    return str(real), status.st_mtime_ns, status.st_size


def tool_versions(tools: Sequence[Tool], remembered: Path) -> dict[str, str | None]:
    """Each tool's version, None where it is missing. What did not change since the last look is not started again."""
    try:
        known = read_report(remembered, dict[str, _Seen])
    except Failure:
        known = {}
    found: dict[str, str | None] = {}
    seen: dict[str, _Seen] = {}
    for tool in tools:
        identity = _identity(tool) if tool.remembered else None
        old = known.get(tool.name)
        if identity is not None and old is not None and identity == (old.file, old.changed_ns, old.size):
            found[tool.name], seen[tool.name] = old.version, old
            continue
        said = version_of(tool)
        found[tool.name] = None if said is None else number_in(said)
        if said not in (None, BUSY) and identity is not None:
            seen[tool.name] = _Seen(*identity, number_in(str(said)))
    if seen != known:
        write_report(seen, remembered)
    return found


def existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists: where its bytes would go."""
    while not path.exists():
        path = path.parent
    return path


def examine(places: Sequence[Path], disk_gb: float, remembered: Path, tools: Sequence[Tool] = BUILD_TOOLS) -> Fitness:
    """Looks at this machine. places: where a build writes; the fullest one counts."""
    usages = [(shutil.disk_usage(existing(place)), place) for place in places]
    usage, place = min(usages, key=lambda one: one[0].free)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    problems = [disk_problem(place, usage.free / 1e9, disk_gb), memory_problem(memory)]
    try:
        versions = tool_versions(tools, remembered)
    except OSError as error:  # a disk so full that nothing can be remembered on it
        problems.append(f"{remembered} can't be written: {error.strerror}.")
        versions = {}
    else:
        problems += [tool_problem(tool) for tool in tools if versions[tool.name] is None]
    now = time.time()
    return Fitness(
        schema="pymint/doctor/1",
        checked_at=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        moment=round(now, 3),
        disk_free_gb=round(usage.free / 1e9, 2),
        disk_total_gb=round(usage.total / 1e9, 2),
        memory_gb=round(memory, 1),
        clock_offset_s=None,
        tools={name: version for name, version in versions.items() if version is not None},
        python=sys.version.split()[0],
        host=platform.node(),
        problems=[problem for problem in problems if problem is not None],
    )


def one_line(fitness: Fitness) -> str:
    """`fit: 83.1 GB free of 252.0 GB, clang 22.1.8`: what a step says."""
    clang = f", clang {fitness.tools['clang']}" if "clang" in fitness.tools else ""
    room = f"{size(int(fitness.disk_free_gb * 1e9))} free of {size(int(fitness.disk_total_gb * 1e9))}"
    return f"{fitness.host} is fit: {room}{clang}" if not fitness.problems else f"{fitness.host}: {fitness.problems[0]}"


def packed(fitness: Fitness) -> str:
    """On one line, for the worker's info."""
    return msgspec.json.encode(fitness, order="sorted").decode()
