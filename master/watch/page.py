"""`/health`: is the master well, as JSON; 200 when it is, 503 when it is not. `/metrics`: its figures."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from twisted.internet import defer
from twisted.python import log
from twisted.web import resource, server

from master.archives import harden
from master.watch.measuring import Measuring
from master.watch.vitals import Checkup


class HealthPage(resource.Resource):
    """Read-only, for whoever reaches the page. It names places on the master's disk, and no secret."""

    isLeaf = True

    def __init__(self, measuring: Measuring, master: Any) -> None:
        super().__init__()
        self.measuring = measuring
        self.master = master

    def render_GET(self, request: Any) -> Any:
        harden(request)
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"cache-control", b"no-store")
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        def send(found: Checkup) -> None:
            if not gone:
                request.setResponseCode(200 if found.healthy else 503)
                request.write(msgspec.json.encode(found) + b"\n")
                request.finish()

        self.measuring.checkup(self.master).addCallback(send)
        return server.NOT_DONE_YET

    def render_HEAD(self, request: Any) -> Any:
        return self.render_GET(request)


class MetricsPage(resource.Resource):
    """`/metrics`, for Prometheus. Read-only."""

    isLeaf = True

    def __init__(self, metrics: Callable[[], Coroutine[Any, Any, bytes]]) -> None:
        super().__init__()
        self.metrics = metrics

    def render_GET(self, request: Any) -> Any:
        harden(request)
        request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode())
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        def send(text: bytes) -> None:
            if not gone:
                request.write(text)
                request.finish()

        def broken(failure: Any) -> None:
            log.err(failure, "watch: the metrics could not be read")
            request.setResponseCode(500)
            request.setHeader(b"content-type", b"text/plain; charset=utf-8")
            send(b"the metrics could not be read; twistd.log says why\n")

        defer.Deferred.fromCoroutine(self.metrics()).addCallbacks(send, broken)
        return server.NOT_DONE_YET
