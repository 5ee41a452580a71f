"""One GNU make jobserver for all recipes that run side by side.

The protocol (GNU make manual, "POSIX Jobserver Interaction"): a pipe holds one byte for each free job slot; whoever
starts a job takes a byte first and gives it back afterwards. Each make owns one slot of its own from the start, so the
driver takes a byte for each recipe that it starts. Then at most `jobs` compilers run at any time, whatever runs.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator


class Jobserver:
    """`jobs` slots, shared by every make that gets `makeflags` and inherits `descriptors`."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._read, self._write = os.pipe()
        os.write(self._write, b"+" * jobs)

    @property
    def descriptors(self) -> tuple[int, int]:
        return self._read, self._write

    @property
    def makeflags(self) -> str:
        # The leading space says that no single-letter flags precede; the same text works for make 4.2 to 4.4.
        return f" -j{self.jobs} --jobserver-auth={self._read},{self._write}"

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Holds one slot: the one that a recipe's first make counts as its own. Waits until one is free."""
        token = self._take()
        try:
            yield
        finally:
            os.write(self._write, token)

    def _take(self) -> bytes:
        """A byte from the pipe. GNU make makes its read end non-blocking, for all who share it, and may be quicker."""
        while True:
            select.select([self._read], [], [])
            with contextlib.suppress(BlockingIOError):
                return os.read(self._read, 1)

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)
