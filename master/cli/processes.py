"""The processes of this machine, as far as starting and ending our own needs to know them.

A process is known by its number and the moment it began, so that a number which the system gave to something else
meanwhile is never taken for ours.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from master.home import write_file

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """began: what the system says of the moment, in a form of its own; only compared."""

    pid: int
    parent: int
    began: str


def _from_proc(pid: int) -> Process | None:
    try:
        # The name stands in brackets and may hold spaces and brackets itself: proc_pid_stat(5).
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in "ZX":  # ended, only not yet waited for
        return None
    return Process(pid, int(fields[1]), fields[19])


def _from_ps() -> list[Process]:
    """Where there is no /proc (macOS)."""
    listed = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,stat=,lstart="], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    rows = (line.split(None, 3) for line in listed.stdout.splitlines())
    return [Process(int(row[0]), int(row[1]), row[3]) for row in rows if len(row) == 4 and not row[2].startswith("Z")]


def every() -> list[Process]:
    """All processes that run now."""
    if not sys.platform.startswith("linux"):
        return _from_ps()
    found = (_from_proc(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return [process for process in found if process is not None]


def now(pid: int) -> Process | None:
    """The process that has this number at this moment, or None."""
    if sys.platform.startswith("linux"):
        return _from_proc(pid)
    return next((process for process in _from_ps() if process.pid == pid), None)


def alive(process: Process) -> bool:
    found = now(process.pid)
    return found is not None and found.began == process.began


def below(roots: Iterable[int], processes: Iterable[Process]) -> list[Process]:
    """All descendants of `roots`, children before their own children. The roots are not among them."""
    children: dict[int, list[Process]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    waiting = list(roots)
    while waiting:
        for child in children.get(waiting.pop(0), []):
            found.append(child)
            waiting.append(child.pid)
    return found


def marked(name: str, value: str) -> list[Process]:
    """Processes of this user that were started with `name=value` in the environment (Linux; elsewhere none)."""
    wanted = f"{name}={value}".encode()
    found = []
    for process in every() if sys.platform.startswith("linux") else []:
        try:
            environment = (PROC / str(process.pid) / "environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            found.append(process)
    return found


def end(processes: list[Process], *, seconds: float, first: signal.Signals = signal.SIGTERM) -> list[Process]:
    """Asks each to end, waits up to `seconds`, then kills. Returns those that had to be killed."""
    _send(processes, first)
    if wait_until(lambda: not any(map(alive, processes)), seconds):
        return []
    left = [process for process in processes if alive(process)]
    _send(left, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, left)), 10)
    return left


def _send(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        if alive(process):
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue


def wait_until(condition: Callable[[], bool], seconds: float, *, pause: float = 0.1) -> bool:
    """Whether the condition came true within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def remember(path: Path, process: Process) -> None:
    write_file(path, msgspec.json.encode(process) + b"\n")


def remembered(path: Path) -> Process | None:
    """The process of a pid file if that very one still runs; None for no file, a broken one or a number reused."""
    try:
        process = msgspec.json.decode(path.read_bytes(), type=Process)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
    return process if alive(process) else None
