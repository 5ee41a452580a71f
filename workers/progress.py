"""What a program shows while it works: lines for people, and event lines for the step that runs it.

A person gets one line a thing done, with what was decided and how long it took. A step sets `PYMINT_EVENTS=1` and gets,
between those lines, `::pymint {json}` events, which it takes out of the log (docs/architecture.md).
"""

from __future__ import annotations

import json
import os
import sys
from typing import TextIO

EVENT_PREFIX = "::pymint "


class Progress:
    """Prints lines and events to `stream` (standard output). Safe to use from several threads: a line is one write."""

    def __init__(self, stream: TextIO | None = None, *, events: bool | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._events = os.environ.get("PYMINT_EVENTS") == "1" if events is None else events

    def line(self, text: str) -> None:
        """One thing done or decided, for people."""
        self._write(text)

    def at(self, done: float, total: float, what: str) -> None:
        """How far the program is: `done` of `total`, in any unit that grows evenly; `what` is being worked on."""
        if self._events:
            event = {"event": "progress", "done": round(done, 3), "total": round(total, 3), "what": what}
            self._write(EVENT_PREFIX + json.dumps(event))

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def seconds(value: float) -> str:
    """0.3 s, 12 s, 4 min 05 s: as short as it stays telling."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{int(value) // 60} min {int(value) % 60:02d} s"


def counted(count: int, what: str, several: str = "") -> str:
    """1 pin, 12 pins: a number of things. several: what more than one is called, where that is not `what` with an s."""
    return f"{count} {what if count == 1 else several or f'{what}s'}"


def size(count: int) -> str:
    """1.2 GB, 340 MB, 12 kB, 17 bytes (powers of 1000)."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"
