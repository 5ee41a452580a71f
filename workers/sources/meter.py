"""How far the downloads are, over all of them, and the one place where they can be told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.progress import Progress


class Stopped(Exception):
    """The program is ending; a download that sees this leaves what it has for the next run."""


class Meter:
    """Adds up bytes over parallel downloads and shows them at most five times a second. Safe to use from threads.

    total: bytes; 0 when it is not known how much there will be, then nothing is shown.
    """

    def __init__(self, progress: Progress, total: int, what: str = "sources") -> None:
        self._progress = progress
        self._total = total
        self._what = what
        self._done: dict[str, int] = {}
        self._shown = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def line(self, text: str) -> None:
        self._progress.line(text)

    def stop(self) -> None:
        """Makes every download end with Stopped at its next chunk."""
        self._stop.set()

    def reached(self, key: str, count: int) -> None:
        """`key` has `count` bytes now. Raises Stopped when the program is ending."""
        if self._stop.is_set():
            raise Stopped
        if self._total == 0:
            return
        with self._lock:
            self._done[key] = count
            now = time.monotonic()
            if now - self._shown < 0.2 and sum(self._done.values()) < self._total:
                return
            self._shown = now
            done = sum(self._done.values())
        self._progress.at(min(done, self._total), self._total, self._what)

    def forget(self, key: str) -> None:
        """What `key` had was thrown away."""
        with self._lock:
            self._done.pop(key, None)

    def sleep(self, seconds: float) -> None:
        """Waits, unless the program is ending: then raises Stopped."""
        if self._stop.wait(seconds):
            raise Stopped

    @contextmanager
    def watching(self, key: str, directory: Path) -> Iterator[None]:
        """Follows the size of what another program downloads into `directory`."""
        ended = threading.Event()

        def follow() -> None:
            while not ended.wait(0.3):
                with _gone_is_fine():
                    self.reached(key, sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()))

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    """Files come and go while another program works; and stopping is not the follower's business."""
    try:
        yield
    except (FileNotFoundError, Stopped):
        return


@contextmanager
def stopping(meter: Meter) -> Iterator[None]:
    """Stops the downloads when the block ends early, so that its threads can end too."""
    try:
        yield
    except BaseException:
        meter.stop()
        raise
