"""A recipe's world on macOS, which has no namespaces: the same paths on every machine, no network, one at a time.

Paths: /opt/pymint belongs to the worker's user and is on the same volume as its state (macOS lets no directory be made
in /). The directories of a run are moved there, and back when it ends, so their names are the same on every machine and
nothing in them is a link. So one run at a time has it, which a lock sees to; make has all processors in it.

Network and file system: `sandbox-exec` runs the recipe under a profile that lets it talk to this machine only and write
to its own directories. Apple calls the program deprecated, ships it with each macOS, and uses it itself.

Processes: the run is a process group, ended as a whole when its first process ends. What gets away from it (a daemon,
or the run of a program that was killed) still holds the lock, so the next run waits for it and shares no file with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from workers.errors import Failure

SANDBOX_EXEC = Path("/usr/bin/sandbox-exec")
# Sockets with a path in the run's own places alone: one of the system's resolves names.
_PROFILE = """(version 1)
(allow default)
(deny network*)
(allow network-bind (local ip "localhost:*"))
(allow network-inbound (local ip "localhost:*"))
(allow network-outbound (remote ip "localhost:*"))
(allow network*{places})
(deny file-write*)
(allow file-write* (subpath "/dev"){places})
"""
_ONE_RUN = threading.Lock()


@dataclass(frozen=True)
class Place:
    """A directory and the name that it has during a run. kept: it is shared with others, so a copy is taken there."""

    source: Path
    seen: Path
    writable: bool = False
    kept: bool = False


@dataclass(frozen=True)
class Outcome:
    """exit_code: as a shell gives it. wall_s, cpu_s: seconds. max_rss_kib: of the largest process, KiB."""

    exit_code: int
    wall_s: float
    cpu_s: float
    max_rss_kib: int


def problem(root: Path, program: Path = SANDBOX_EXEC) -> tuple[str, str] | None:
    """None where recipes can be run; else what was found, and what to do about it."""
    if not program.exists():
        return f"there is no {program}", "Every macOS up to now has it. See what this one has in its place."
    if not root.is_dir() or not os.access(root, os.W_OK):
        user = f"{os.getuid()}:{os.getgid()}"
        return f"{root} is not there or not this user's", f"Run: sudo mkdir -p {root} && sudo chown {user} {root}"
    return None


def profile(places: Sequence[Place]) -> str:
    """What sandbox-exec is told. Later lines win."""
    written = "".join(f' (subpath "{place.seen}")' for place in places if place.writable)
    return _PROFILE.format(places=written)


def run(
    command: Sequence[str],
    places: Sequence[Place],
    *,
    root: Path,
    directory: str,
    environment: Mapping[str, str],
    stream: BinaryIO,
    pass_fds: Sequence[int] = (),
    program: Path = SANDBOX_EXEC,
) -> Outcome:
    """Runs `command` in `directory` with the places where they are seen; waits for another run to end before.

    Raises Failure when the places can't be moved there.
    """
    with _lock(root) as lock, _arranged(places, root):
        started = time.monotonic()
        process = subprocess.Popen(
            [str(program), "-p", profile(places), *command],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            pass_fds=(*pass_fds, lock),
            start_new_session=True,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.returncode is None:
                process.wait()
    code = process.returncode
    unit = 1024 if sys.platform == "darwin" else 1  # there ru_maxrss is in bytes
    return Outcome(
        exit_code=code if code >= 0 else 128 - code,
        wall_s=round(time.monotonic() - started, 3),
        cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
        max_rss_kib=usage.ru_maxrss // unit,
    )


@contextlib.contextmanager
def _lock(root: Path) -> Iterator[int]:
    """The machine's one run. Its processes get the descriptor: the lock is free when the last of them has ended."""
    with _ONE_RUN:
        descriptor = os.open(root / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _arranged(places: Sequence[Place], root: Path) -> Iterator[None]:
    """Moves the places to where they are seen, and back in the end, also after a failure."""
    for left in root.iterdir():  # of a run whose program was killed: its directories are nobody's any more
        if left.name != ".lock":
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    moved: list[Place] = []
    seen: dict[Path, Path] = {}
    try:
        for place in places:
            source = place.source.resolve()
            if source in seen:
                place.seen.symlink_to(seen[source])
            elif place.kept:
                shutil.copytree(source, place.seen, symlinks=True)
            else:
                _move(source, place.seen)
                moved.append(Place(source, place.seen))
            seen.setdefault(source, place.seen)
        yield
    finally:
        for place in reversed(moved):
            _move(place.seen, place.source)


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        raise Failure(
            "sandbox",
            f"{source} can't be moved to {target}",
            wanted="both on one volume, and both this user's",
            found=error.strerror or str(error),
            todo="Keep the worker's state on the volume of /opt, which is the one of /Users.",
        ) from error
