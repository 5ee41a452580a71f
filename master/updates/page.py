"""`/pins/FILE`: what the last look at the pins left, as JSON, for everybody. The page is master/pages/pins.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.internet import threads
from twisted.web import resource, server

from master.archives import harden
from master.updates.candidates import ADVISORIES, CANDIDATES, LOOK

FILES = (LOOK, ADVISORIES, CANDIDATES)
_USER = re.compile(rb'(://)[^/"\s]*@')


def for_everybody(data: bytes) -> bytes:
    """A report without the names and passwords that addresses in it have: those by which a mirror lets the farm in."""
    return _USER.sub(rb"\1", data)


class PinsFiles(resource.Resource):
    """updates: the directory where the stages leave their reports."""

    isLeaf = True

    def __init__(self, updates: Path) -> None:
        super().__init__()
        self.updates = updates

    def render_GET(self, request: Any) -> Any:
        harden(request)
        path = [part.decode("utf-8", "replace") for part in request.postpath]
        if len(path) == 1 and path[0] in FILES:
            return self._later(request, self.updates / path[0])
        if path in ([], [""]):
            request.redirect(b"../pages/pins" if path else b"pages/pins")
            return b""
        return _text(request, 404, f"pins/, or pins/ and one of {', '.join(FILES)}")

    def _later(self, request: Any, file: Path) -> Any:
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        def send(data: bytes) -> None:
            if not gone:
                request.setHeader(b"content-type", b"application/json")
                request.write(for_everybody(data))
                request.finish()

        def broken(failure: Any) -> None:
            missing = failure.check(FileNotFoundError)
            text = "nothing was looked for yet" if missing else repr(failure.value)
            if not gone:
                request.write(_text(request, 404 if missing else 500, text))
                request.finish()

        threads.deferToThread(file.read_bytes).addCallbacks(send, broken)
        return server.NOT_DONE_YET


def _text(request: Any, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return f"{text}\n".encode()
