"""Is this machine fit to build? Each check says what it found and, where that is not good, how to mend it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from master.cli import ports
from master.cli.packages import command_for
from master.home import Home, cache_directory
from master.settings import Settings
from workers.errors import Failure
from workers.machine import native_target
from workers.progress import size
from workers.sandbox import ROOT, SIDE_BY_SIDE, sandbox_problem
from workers.tools import BUILD_TOOLS, Tool, version_of

Level = Literal["ok", "warn", "bad"]

# A cold pgo+lto build takes about 6 GB of store, build trees and cache; a farm of 21 cells grows to tens of GB.
DISK_GOOD, DISK_BAD = 50 * 10**9, 8 * 10**9
# Linking CPython with LTO is the largest process; make runs one compiler a processor beside it.
MEMORY_GOOD, MEMORY_BAD = 4 * 2**30, 2 * 2**30


@dataclass(frozen=True)
class Verdict:
    """bad: a build would fail. warn: it may. todo: how to mend it, for everything that is not ok."""

    name: str
    level: Level
    found: str
    todo: str = ""


def tool_verdict(tool: Tool, version: str | None) -> Verdict:
    if version is not None:
        return Verdict(tool.name, "ok", version)
    return Verdict(tool.name, "bad", f"missing; {tool.why}", command_for([tool.package]))


def disk_wanted(environment: Mapping[str, str] = os.environ) -> int:
    """Bytes that should be free: MINT_DISK_GB, 50 unless set. Below it is a warning, below DISK_BAD an error."""
    try:
        return int(float(environment.get("MINT_DISK_GB", "")) * 10**9)
    except (ValueError, OverflowError):
        return DISK_GOOD


def disk_verdict(name: str, place: Path, free: int, wanted: int) -> Verdict:
    found = f"{size(free)} free for {place}"
    todo = (
        f"{size(wanted)} are wanted: make room (`./mint prune` drops what nothing refers to) or set {name} elsewhere."
    )
    return Verdict("disk", "ok" if free >= wanted else "warn" if free >= DISK_BAD else "bad", found, todo)


def memory_verdict(total: int, processors: int) -> Verdict:
    found = f"{total / 2**30:.1f} GiB, {processors} processors"
    todo = "4 GiB are wanted; with less, set jobs = 1 in [build] of settings.toml and expect the LTO link to be slow."
    return Verdict("memory", "ok" if total >= MEMORY_GOOD else "warn" if total >= MEMORY_BAD else "bad", found, todo)


def clock_verdict(now: float, newest_commit: float | None, file_time: float) -> Verdict:
    """A clock that is behind makes make(1) rebuild or skip at random, and every certificate invalid."""
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if newest_commit is not None and now < newest_commit - 300:
        return Verdict("clock", "bad", f"{shown}, which is before the newest commit", "Set the clock, or turn on NTP.")
    if abs(file_time - now) > 60:
        behind = f"the disk's clock differs by {file_time - now:.0f} s"
        return Verdict("clock", "warn", f"{shown}, {behind}", "Keep MINT_HOME on a local disk.")
    return Verdict("clock", "ok", shown)


def memory_total() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists: where its bytes would go."""
    while not path.exists():
        path = path.parent
    return path


def writable(name: str, place: Path) -> Verdict | None:
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place):
            return None
    except OSError as error:
        return Verdict(name, "bad", f"{place} can't be written: {error.strerror}", f"Set {name} to a place of yours.")


def repository_verdict(checkout: Path) -> Verdict:
    asked = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    if asked.returncode == 0:
        return Verdict("checkout", "ok", f"{checkout} at {asked.stdout.strip()}")
    if "dubious ownership" in asked.stderr:
        todo = f"git config --global --add safe.directory {checkout}"
        return Verdict("checkout", "bad", f"{checkout} belongs to another user, so git refuses it", todo)
    todo = "Clone the repository with git; an unpacked archive has no commits to build."
    return Verdict("checkout", "bad", asked.stderr.strip().splitlines()[-1] if asked.stderr.strip() else "no git", todo)


def commit_time(checkout: Path) -> float | None:
    asked = subprocess.run(
        ["git", "-C", str(checkout), "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False
    )
    return float(asked.stdout) if asked.returncode == 0 and asked.stdout.strip() else None


def ports_of(settings: Settings) -> list[ports.Port]:
    return [
        ports.Port(settings.web.port, settings.web.interface, "web.port", "the web page"),
        ports.Port(settings.protocol.port, settings.protocol.interface, "protocol.port", "the workers' connection"),
    ]


def port_verdicts(settings: Settings, home: Home, ours_runs: bool) -> Iterator[Verdict]:
    for port in ports_of(settings):
        name = f"port {port.number}"
        if ours_runs:
            yield Verdict(name, "ok", f"{port.what}, held by this farm's master")
            continue
        try:
            ports.require_free(port, home.settings_file)
            yield Verdict(name, "ok", f"free for {port.what}")
        except Failure as failure:
            yield Verdict(name, "bad", failure.found or failure.what, failure.todo)


def machine_verdicts(home: Home) -> Iterator[Verdict]:
    """What a build needs of the machine, besides its tools."""
    yield Verdict("python", "ok", f"{sys.version.split()[0]} in {sys.prefix}")
    yield repository_verdict(home.checkout)
    for name, place in (("MINT_HOME", home.root), ("MINT_CACHE", cache_directory())):
        if refused := writable(name, place):
            yield refused
    yield disk_verdict("MINT_HOME", home.root, shutil.disk_usage(existing(home.root)).free, disk_wanted())
    yield memory_verdict(memory_total(), os.cpu_count() or 1)
    if native_target() is None:
        yield Verdict("target", "warn", f"{sys.platform} builds nothing by itself", "Connect a worker that does.")
    else:
        yield sandbox_verdict()
    with tempfile.NamedTemporaryFile(dir=existing(home.root)) as probe:
        yield clock_verdict(time.time(), commit_time(home.checkout), Path(probe.name).stat().st_mtime)


def sandbox_verdict() -> Verdict:
    problem = sandbox_problem()
    if problem is None:
        how = "namespaces can be made" if SIDE_BY_SIDE else f"sandbox-exec is there and {ROOT} is this user's"
        return Verdict("sandbox", "ok", f"{how}: recipes run without network and in fixed paths")
    return Verdict("sandbox", "bad", problem[0], problem[1])


def tool_verdicts() -> Iterator[Verdict]:
    for tool in BUILD_TOOLS:
        yield tool_verdict(tool, version_of(tool))
