"""The master's eye on itself, as a service: the pages that tell others how it is, and what it counts for them."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from buildbot.process.results import FAILURE
from buildbot.util.service import BuildbotService
from twisted.internet import defer, task
from twisted.python import log
from twisted.web import resource, server

from master import settings as farm_settings
from master.home import Home
from master.release.page import Ask
from master.settings import Settings
from master.watch.figures import Reading
from master.watch.measuring import Measuring, Places
from master.watch.metrics import Counted, Measured, text_of
from master.watch.page import HealthPage, MetricsPage
from master.watch.vitals import Limits

TURN_S = 1.0
REMEMBERED_TURNS = 60


class Watch(BuildbotService):
    """Puts `/health` and `/metrics` below the web server's root, or `/metrics` on a port of its own. What is counted is
    kept over reconfigurations.
    """

    name = "watch"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.counted = Counted()
        self.turns: deque[float] = deque(maxlen=REMEMBERED_TURNS)
        self.builders: dict[int, str] = {}
        self._listening: list[Any] = []
        self._port: tuple[int, Any] | None = None

    @defer.inlineCallbacks
    def reconfigService(self, places: Places, limits: Limits, workers: list[str], branch: str, gate: Ask,
                        port: int | None) -> Any:  # fmt: skip
        yield super().reconfigService()
        self.measuring = Measuring(places, limits)
        self.reading = Reading(
            store=places.store, incoming=places.incoming, database=places.database, names=workers, branch=branch,
            gate=gate,
        )  # fmt: skip
        root = self.master.www.apps.get("base").resource
        root.putChild(b"health", HealthPage(self.measuring, self.master))
        yield self._listen(port, root)

    @defer.inlineCallbacks
    def _listen(self, port: int | None, root: Any) -> Any:
        if self._port is not None and self._port[0] != port:
            yield self._port[1].stopListening()
            self._port = None
        page = MetricsPage(self.metrics)
        if port is None:
            root.putChild(b"metrics", page)
            return
        root.putChild(b"metrics", resource.Resource())
        if self._port is None:
            own = resource.Resource()
            own.putChild(b"metrics", page)
            listening = self.master.reactor.listenTCP(port, server.Site(own), interface="127.0.0.1")
            self._port = (port, listening)

    @defer.inlineCallbacks
    def startService(self) -> Any:
        yield super().startService()
        self._turned = time.monotonic()
        self._turning = task.LoopingCall(self._turn)
        self._turning.start(TURN_S)
        consume = self.master.mq.startConsuming
        self._listening = [
            (yield consume(self._build_ended, ("builds", None, "finished"))),
            (yield consume(self._step_ended, ("steps", None, "finished"))),
        ]

    @defer.inlineCallbacks
    def stopService(self) -> Any:
        if self._turning.running:
            self._turning.stop()
        for one in self._listening:
            yield one.stopConsuming()
        if self._port is not None:
            yield self._port[1].stopListening()
            self._port = None
        yield super().stopService()

    def _turn(self) -> None:
        now = time.monotonic()
        self.turns.append(max(0.0, now - self._turned - TURN_S))
        self._turned = now

    @defer.inlineCallbacks
    def _build_ended(self, _: Any, build: dict[str, Any]) -> Any:
        try:
            number = build["builderid"]
            if number not in self.builders:
                known = yield self.master.data.get(("builders", str(number)))
                self.builders[number] = known["name"]
            started = build["started_at"]  # through a router it comes as seconds
            took = time.time() - (started if isinstance(started, int) else started.timestamp())
            self.counted.build_ended(self.builders[number], build["results"], took)
        except Exception:  # whatever is wrong with a figure, builds go on
            log.err(None, "watch: a build's end could not be counted")

    def _step_ended(self, _: Any, step: dict[str, Any]) -> None:
        if step["results"] == FAILURE:
            self.counted.step_failed(step["name"])

    async def metrics(self) -> bytes:
        began = time.monotonic()
        checkup = await self.measuring.checkup(self.master)
        figures = await self.reading.figures(self.master)
        lag = max(self.turns, default=0.0)
        took = time.monotonic() - began
        return text_of(self.counted, Measured(figures, self.measuring.vitals, checkup, lag, took))


def watch_of(home: Home, chosen: Settings, gate: Ask) -> Watch:
    store = farm_settings.store_place(chosen, home)
    database = home.database if chosen.database.url is None else None
    places = Places(store.root, farm_settings.uploads_path(chosen, home), database, store.bucket)
    workers = [one.name for one in farm_settings.workers_of(chosen) if farm_settings.stays(one)]
    return Watch(
        places=places, limits=Limits(chosen.repository.poll_s, int(chosen.health.disk_gb * 10**9)),
        workers=workers, branch=chosen.repository.branch, gate=gate,
        port=chosen.metrics.port,
    )  # fmt: skip
