"""Runs an archive's interpreter in an environment that holds nothing but what a check puts there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.machine import is_emulated
from workers.progress import size

# A loaded machine is no finding: one process takes well under a second on a quiet one.
TIMEOUT_S = 180.0
# qemu-user takes 12 times the CPU for a start of the FIPS provider (measured, 7.2: 0.83 s for 0.07 s).
EMULATED_TIMEOUT_S = 12 * TIMEOUT_S
# What an archive's programs say is read whole into memory, and an answer that is cut is none.
MOST_SAID = 64_000_000


@dataclass(frozen=True)
class Ran:
    """What a process left. code: its exit code, negative for a signal, None when it did not start or did not end, or
    wrote more than `MOST_SAID` bytes, of which nothing is read then.

    cpu_s: seconds of CPU, user and system, of the process and of its children that it waited for.
    """

    code: int | None
    out: str
    err: str
    cpu_s: float

    @property
    def last(self) -> str:
        """The last line it wrote, of its errors if it wrote any: for a person to read."""
        for text in (self.err, self.out):
            lines = [line for line in text.splitlines() if line.strip()]
            if lines:
                return lines[-1].strip()
        return "nothing was written"


def _end_all(group: int) -> None:
    """Ends every process of a group; there may be none left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for one that has only ended
        os.killpg(group, signal.SIGKILL)


def run(
    program: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    cwd: Path | str = "/",
    argv0: str | None = None,
    timeout_s: float | None = None,
) -> Ran:
    """Runs a program to its end, and ends what it leaves running.

    Its environment is `environment` and nothing else; `argv0` is what it is called.
    timeout_s: by default what is ample for one process on this machine, emulated or not.
    """
    patience = timeout_s or (EMULATED_TIMEOUT_S if is_emulated(program) else TIMEOUT_S)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                [argv0 if argv0 is not None else str(program), *arguments],
                executable=str(program),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=dict(environment or {}),
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            return Ran(None, "", f"{program.name} can't be started: {error.strerror}", 0.0)
        late = threading.Event()

        def end() -> None:
            late.set()
            _end_all(process.pid)

        timer = threading.Timer(patience, end)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
            _end_all(process.pid)  # nothing that it started outlives it
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu_s = usage.ru_utime + usage.ru_stime
        if (wrote := sum(stream.seek(0, os.SEEK_END) for stream in (out, err))) > MOST_SAID:
            return Ran(None, "", f"it wrote {size(wrote)}: more than the {size(MOST_SAID)} that are read", cpu_s)
        out.seek(0)
        err.seek(0)
        said, complained = (stream.read().decode("utf-8", "replace") for stream in (out, err))
        if late.is_set():
            return Ran(None, said, f"no answer within {patience:.0f} s", cpu_s)
        return Ran(process.returncode, said, complained, cpu_s)
