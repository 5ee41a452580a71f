"""How much a request may bring along, whoever sends it: looked at while it arrives, so that nothing larger is kept."""

from __future__ import annotations

from typing import Any

from twisted.web import server

# The largest that is wanted are deliveries of GitHub: a push of two thousand commits has two or three million bytes.
# What is larger, up to GitHub's own 25 MB, is found by looking. Forms have a few kB.
LARGEST = 5_000_000
_ANSWER = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BoundedRequest(server.Request):
    """Answers 413 as soon as a body is too large, by what it announces or by what has come, and hangs up."""

    received = 0
    refused = False

    def gotLength(self, length: int | None) -> None:
        if length is not None and length > LARGEST:
            self._refuse()
            length = 0
        super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > LARGEST:
            self._refuse()
        if not self.refused:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> Any:
        if not self.refused:
            super().requestReceived(command, path, version)

    def _refuse(self) -> None:
        if not self.refused:
            self.refused = True
            self.channel.transport.write(_ANSWER)
            self.channel.loseConnection()
