"""Since when each worker is connected, or gone: Buildbot knows only whether it is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from buildbot.util.service import BuildbotService
from twisted.internet import defer

REMEMBERED = 20


@dataclass(frozen=True)
class Change:
    """connected or not, since when (seconds since 1970)."""

    connected: bool
    at: float


class Connections(BuildbotService):
    """Listens from the master's start on; what was before is not known. changes: by the worker's id, oldest first."""

    name = "connections"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes: dict[int, deque[Change]] = {}
        self._listening: list[Any] = []

    @defer.inlineCallbacks
    def startService(self) -> Any:
        yield super().startService()
        for kind in ("connected", "disconnected"):
            listening = yield self.master.mq.startConsuming(self._heard, ("workers", None, kind))
            self._listening.append(listening)

    @defer.inlineCallbacks
    def stopService(self) -> Any:
        for one in self._listening:
            yield one.stopConsuming()
        self._listening = []
        yield super().stopService()

    def _heard(self, key: tuple[str, ...], worker: dict[str, Any]) -> None:
        change = Change(key[-1] == "connected", float(self.master.reactor.seconds()))
        self.changes.setdefault(worker["workerid"], deque(maxlen=REMEMBERED)).append(change)


def known(master: Any) -> dict[int, tuple[Change, ...]]:
    """What that service of a master has heard."""
    service = master.service_manager.namedServices.get(Connections.name)
    return {} if service is None else {one: tuple(changes) for one, changes in service.changes.items()}
