"""Ends a master that runs and does no work, so that what supervises it starts it again; tells systemd that it lives.

Two ways to be such a master: the event loop does not turn any more, and Buildbot stopped all its services and left the
process there (it does so when several masters lose their router: "Guru meditation"). Neither ends by itself, and a
supervisor sees a process that is alive. So a thread looks, which needs nothing of what may hang.
"""

from __future__ import annotations

import faulthandler
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.application import service
from twisted.internet import task
from twisted.python import log

# The longest that a turn of the loop was ever seen to take is some seconds; a swapping machine takes longer.
HANG_S = 120.0
# How long a master may be without its services before that counts: a restart of them takes seconds.
IDLE_S = 60.0
PAUSE_S = 2.0
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


def notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Tells systemd: sd_notify(3). False where nobody asked for it, or nobody listens."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address or address[0] not in "/@":
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as one:
            one.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
    except OSError:
        return False
    return True


@dataclass
class Pulse:
    """What the thread judges by. Times by time.monotonic(). idle_since: since when the master works no more."""

    beat: float
    looked: float
    idle_since: float | None = None

    def verdict(self, now: float, hang_s: float, idle_s: float, pause_s: float) -> str:
        """Why the process has to end; "" while it has not.

        A thread that slept far longer than it meant to was stopped together with everything else (a suspended machine,
        SIGSTOP): then nothing is known yet, and counting begins anew.
        """
        if now - self.looked > 5 * pause_s:
            self.beat = now
            self.idle_since = None if self.idle_since is None else now
        self.looked = now
        if now - self.beat > hang_s:
            return f"the event loop did not turn for {now - self.beat:.0f} s"
        if self.idle_since is not None and now - self.idle_since > idle_s:
            return f"Buildbot stopped its services {now - self.idle_since:.0f} s ago and was not asked to"
        return ""


class Watchdog(service.Service):
    """idle: asked in every second's turn of the loop, whether the master was up and works no more.

    ready: whether it is up. end: called with the reason, from the thread; it does not come back.
    """

    name = "watchdog"

    def __init__(
        self, ready: Callable[[], bool], idle: Callable[[], bool], *, end: Callable[[str], None] | None = None,
        hang_s: float = HANG_S, idle_s: float = IDLE_S, pause_s: float = PAUSE_S,
    ) -> None:  # fmt: skip
        self._ready = ready
        self._idle = idle
        self._end = end or end_now
        self._hang_s, self._idle_s, self._pause_s = hang_s, idle_s, pause_s
        self._stop = threading.Event()
        self._told_ready = False

    def startService(self) -> None:
        super().startService()
        now = time.monotonic()
        self._pulse = Pulse(now, now)
        self._beating = task.LoopingCall(self._beat)
        self._beating.start(min(1.0, self._pause_s))
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stopService(self) -> Any:
        notify("STOPPING=1")
        self._stop.set()
        if self._beating.running:
            self._beating.stop()
        return super().stopService()

    def _beat(self) -> None:
        now = time.monotonic()
        self._pulse.beat = now
        if not self._idle():
            self._pulse.idle_since = None
        elif self._pulse.idle_since is None:
            self._pulse.idle_since = now
        if not self._told_ready and self._ready():
            self._told_ready = True
            notify("READY=1")

    def _watch(self) -> None:
        while not self._stop.wait(self._pause_s):
            problem = self._pulse.verdict(time.monotonic(), self._hang_s, self._idle_s, self._pause_s)
            if problem:
                self._end(problem)
                return
            notify("WATCHDOG=1")


def end_now(problem: str) -> None:
    """Says why, shows where every thread is, and ends the process at once: whatever hangs could not be asked."""
    notify(f"STATUS=ended by its watchdog: {problem}")
    text = f"watchdog: {problem}; this process ends, so that it is started again"
    log.msg(text)
    print(text, file=sys.stderr, flush=True)
    faulthandler.dump_traceback(all_threads=True)
    os._exit(EXIT_CODE)


def of_master(master: Any) -> Watchdog:
    """For a BuildMaster: up once it was initialized; idle when its services stopped and nobody sent SIGTERM."""
    was_up: list[bool] = []

    def ready() -> bool:
        if master._master_initialized and master.running and not was_up:
            was_up.append(True)
        return bool(was_up)

    def idle() -> bool:
        return ready() and not master.running and not master._got_sigterm

    return Watchdog(ready, idle)
