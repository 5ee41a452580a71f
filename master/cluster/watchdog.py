"""Ends a master that can't do its work any more, so that what supervises it starts it again.

A master that lost the router stops all its services and closes its ports, and Buildbot leaves the process there, alive.
One that finds no router when it starts tries once, and waits for ever: so it starts only when there is one.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from buildbot.wamp.connector import MasterService
from twisted.internet import reactor, task
from twisted.python import log

# sysexits(3), EX_TEMPFAIL: trying again helps.
CODE = 75
LOOK_S = 1.0
# What Buildbot stops meanwhile: builds are given back, workers disconnected.
STOPPING_S = 20.0
NO_ROUTER_S = 60.0
PAUSE_S = 0.5


def end(why: str, *, at_once: bool = False) -> None:
    """Ends this process. at_once: without giving anything back, which is somebody else's by now."""
    log.msg(f"watchdog: {why}: ending, to be started again")
    print(f"watchdog: {why}", file=sys.stderr, flush=True)
    if at_once:
        os._exit(CODE)
    # The reactor's own end waits for threads, which may wait for a database.
    reactor.callLater(STOPPING_S, os._exit, CODE)
    reactor.stop()


def await_router(url: str) -> None:
    """Returns when somebody listens at a router's address. Before the reactor runs: a signal ends the process."""
    parts = urlsplit(url)
    place = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
    said = False
    while True:
        try:
            socket.create_connection(place, timeout=5).close()
            return
        except OSError as error:
            if not said:
                print(f"watchdog: waiting for the router at {url}: {error}", file=sys.stderr, flush=True)
                said = True
        time.sleep(PAUSE_S)


class Watch:
    """Of one master: lost is what `step` says once it can't go on."""

    def __init__(self, master: Any) -> None:
        self.master = master
        self.met = False
        self.without = 0.0
        self.stopping = 0.0

    def step(self) -> None:
        """A second has passed."""
        wamp = self.master.wamp
        if wamp.app is None or self.master._got_sigterm:
            return
        session = wamp.service
        if session is None:
            self.without += LOOK_S
            if self.without > NO_ROUTER_S:
                end(f"no router answers at {wamp.router_url}", at_once=True)
            return
        if not session.is_attached():
            self.stopping += LOOK_S
            if not self.master.running or self.stopping > STOPPING_S:
                end(f"the router at {wamp.router_url} was lost", at_once=True)


def _left(session: Any, details: Any) -> None:
    """In place of Buildbot's: that stops all services in good order, which cancels the builds that run, for ever."""
    if not session.leaving:
        end(f"the router was lost: {details}", at_once=True)


def watch(master: Any) -> None:
    """Looks every second. Costs nothing where there is no router."""
    MasterService.onLeave = _left
    loop = task.LoopingCall(Watch(master).step)
    reactor.callWhenRunning(lambda: loop.start(LOOK_S, now=False).addErrback(log.err, "watchdog"))
