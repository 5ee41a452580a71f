"""Watches the room on a worker's disk while a program runs, and ends it while there is still some left.

A disk that is filled to the last byte stops everything on that machine: git, logs, the worker itself. So a step says
with `PYMINT_FLOOR_GB` how much has to stay, and a program that goes below it is ended with a Failure that says so, what
it has started with it, and what it had half made is taken away.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from workers.errors import Failure

LOOK_S = 1.0
# For what was killed to be gone: an unmount, a core that is not written.
_GONE_S = 10.0
_half_made: set[Path] = set()


@contextlib.contextmanager
def half_made(directory: Path) -> Iterator[None]:
    """What lies there while the block runs is of no use to anybody unless the block ends."""
    _half_made.add(directory)
    try:
        yield
    finally:
        _half_made.discard(directory)


@contextlib.contextmanager
def in_use(directory: Path, *, alone: bool = False) -> Iterator[None]:
    """Tells `prune` that a living program works in a directory, which has to be there. Gone with the process.

    alone: waits until no other one does, and keeps others waiting.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def is_in_use(path: Path) -> bool:
    """Whether a living program works there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def floor_of(environment: Mapping[str, str] = os.environ) -> int:
    """Bytes that have to stay free; 0 where nobody said."""
    try:
        return int(float(environment.get("PYMINT_FLOOR_GB", "")) * 1e9)
    except (ValueError, OverflowError):
        return 0


def too_full(places: Sequence[Path], floor: int) -> Failure | None:
    """A Failure for the first of the places whose file system has less than `floor` bytes free."""
    for place in places:
        free = shutil.disk_usage(place).free
        if free < floor:
            return Failure(
                "disk",
                f"the disk of {place} filled up while this ran, which was ended before it was full",
                wanted=f"{floor / 1e9:g} GB free at all times",
                found=f"{free / 1e9:.2f} GB free",
                todo="What was half made is gone again. Make room (`./mint prune` drops what nothing refers to), or "
                "use\na larger disk. floor_gb in [watch] of settings.toml is how much has to stay.",
            )
    return None


@contextlib.contextmanager
def watched(places: Sequence[Path], floor: int, end: Callable[[Failure], None] | None = None) -> Iterator[None]:
    """Looks every second while the block runs. Below the floor this process ends, and all that it started.

    end: what is done instead, for tests.
    """
    if floor <= 0:
        yield
        return
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(LOOK_S):
            try:
                failure = too_full(places, floor)
            except OSError:  # a directory that the program itself has just taken away
                continue
            if failure is not None:
                (end or _end)(failure)
                return

    thread = threading.Thread(target=look, name="room", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _end(failure: Failure) -> None:
    """From a thread, while the main one waits for a compiler: no exception would reach that one in time."""
    kill_below(os.getpid())
    for directory in list(_half_made):
        shutil.rmtree(directory, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.write(f"{failure}\n")
    sys.stderr.flush()
    os._exit(1)


def kill_below(root: int) -> None:
    """Kills all that a process has started, and what that started, until nothing of it is left."""
    deadline = time.monotonic() + _GONE_S
    while (children := _below(root)) and time.monotonic() < deadline:
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.05)


def _below(root: int) -> list[int]:
    """The living descendants of a process."""
    children: dict[int, list[int]] = {}
    for pid, parent, state in _by_the_kernel() if sys.platform == "linux" else _by_ps():
        if not state.startswith("Z"):
            children.setdefault(parent, []).append(pid)
    found: list[int] = []
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.append(child)
            waiting.append(child)
    return found


def _by_the_kernel() -> Iterator[tuple[int, int, str]]:
    """Number, parent and state of every process: a small Debian has no `ps`."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, parent = path.read_text(errors="replace").rpartition(")")[2].split()[:2]
            yield int(path.parent.name), int(parent), state


def _by_ps() -> Iterator[tuple[int, int, str]]:
    with subprocess.Popen(
        ["ps", "-axo", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True, env={"LC_ALL": "C", "PATH": os.defpath}
    ) as process:
        listed, _ = process.communicate()
    for line in listed.splitlines():
        pid, parent, state = line.split(None, 2)
        if int(pid) != process.pid:
            yield int(pid), int(parent), state
