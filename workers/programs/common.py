"""What the programs share: their options, and how a Failure ends one."""

from __future__ import annotations

import errno
import functools
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from workers import room
from workers.errors import Failure
from workers.reports.base import Measure, read_report
from workers.reports.build import Plan

F = TypeVar("F", bound=Callable[..., Any])
# No room on the disk, or none for this user.
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Places:
    """Where a program works: the run directory, the worker's state, the cache of sources. Absolute paths."""

    run: Path
    state: Path
    cache: Path

    @property
    def reports(self) -> Path:
        return self.run / "reports"

    @property
    def logs(self) -> Path:
        return self.run / "logs"

    def plan(self) -> Plan:
        """The plan of this run. Raises Failure when `plan` has not run here."""
        return read_report(self.run / "plan.json", Plan)


def places(function: F) -> F:
    """Adds --run, --state and --cache to a click command, which then gets them as one `places` argument."""

    @click.option("--run", "run_dir", type=click.Path(path_type=Path), required=True, help="The run directory.")
    @click.option("--state", type=click.Path(path_type=Path), required=True, help="The worker's state directory.")
    @click.option("--cache", type=click.Path(path_type=Path), required=True, help="Where downloaded sources are kept.")
    @functools.wraps(function)
    def wrapped(*args: Any, run_dir: Path, state: Path, cache: Path, **kwargs: Any) -> Any:
        where = Places(run_dir.resolve(), state.resolve(), cache.resolve())
        for directory in (where.run, where.state, where.cache):
            _make(directory)
        with room.watched((where.run, where.state, where.cache), room.floor_of()):
            return function(*args, places=where, **kwargs)

    return failing_plainly(wrapped)  # type: ignore[return-value]


def _make(directory: Path) -> None:
    """Raises Failure where this user may not, or something else has that name; OSError on a full disk."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise Failure(
            "places",
            f"{directory} can't be made",
            wanted="a directory that this user writes to",
            found=error.strerror or str(error),
            todo="Give this user the right to, take away what is in its place, or name another one.",
        ) from error


def failing_plainly(function: F) -> F:
    """Prints a Failure as it is meant to be read, on standard error, and ends the program with 1."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Failure as failure:
            sys.stdout.flush()
            click.echo(str(failure), err=True)
            sys.exit(1)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            sys.stdout.flush()
            full = Failure(
                "disk",
                f"no space left while writing {error.filename or 'a file'}",
                todo="Make room (`./mint prune` drops what nothing refers to) and run the same command again.\n"
                "Nothing half-written is taken for whole.",
            )
            click.echo(str(full), err=True)
            sys.exit(1)

    return wrapped  # type: ignore[return-value]


def write_page(text: str, path: Path) -> None:
    """Writes a report's page, so that what stands under the name is whole; makes the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(path)


class Stopwatch:
    """Wall and CPU time of this process and its ended children since it was made."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._cpu = self._cpu_now()

    @staticmethod
    def _cpu_now() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    def measure(self) -> Measure:
        """Seconds so far, and the largest peak memory of this process or of any ended child."""
        peak = max(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        )
        if sys.platform == "darwin":  # there ru_maxrss is in bytes
            peak //= 1024
        return Measure(
            wall_s=round(time.monotonic() - self._wall, 3),
            cpu_s=round(self._cpu_now() - self._cpu, 3),
            max_rss_kib=peak,
        )
