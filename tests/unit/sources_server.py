"""A real HTTP server on loopback that misbehaves as it is told, and pins of what it serves."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from workers.progress import Progress
from workers.sources.pins import Distro, Pin

GOOD = bytes(range(256)) * 2048  # 512 kB


@dataclass
class Served:
    """What is at a path. Each list is used up, an entry a GET.

    statuses: answered instead of the file. cuts: how many bytes are sent before the connection is closed, with the
    whole length announced. no_length: the length is not said, the connection's end is the file's. head: what HEAD
    answers. sent: bytes that were written out, headers left out.
    """

    content: bytes = GOOD
    etag: str | None = '"one"'
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    no_length: bool = False
    head: int = 200
    sent: int = 0


@dataclass
class Server:
    """What is served, by path (no leading slash), and what was asked: method, path and headers of each request."""

    files: dict[str, Served] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def gets(self, path: str) -> list[dict[str, str]]:
        """The headers (lower case) of each GET of a path."""
        return [headers for method, asked, headers in self.requests if method == "GET" and asked == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Server

    def log_message(self, *_: Any) -> None:
        pass

    def _asked(self) -> Served | None:
        path = self.path.lstrip("/")
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.site.requests.append((self.command, path, headers))
        return self.site.files.get(path)

    def do_HEAD(self) -> None:
        served = self._asked()
        self.send_response(404 if served is None else served.head)
        self.send_header(
            "Content-Length", str(len(served.content)) if served is not None and served.head == 200 else "0"
        )
        self.end_headers()

    def do_GET(self) -> None:
        served = self._asked()
        status = 404 if served is None else served.statuses.pop(0) if served.statuses else 200
        if served is None or status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content, start = served.content, 0
        wanted = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if wanted and served.ranges and (condition is None or condition == served.etag):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if served.etag is not None:
            self.send_header("ETag", served.etag)
        if served.no_length:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if served.cuts:
            body = body[: served.cuts.pop(0)]
            self.close_connection = True
        try:
            for at in range(0, len(body), 1 << 16):
                served.sent += self.wfile.write(body[at : at + (1 << 16)])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


@contextmanager
def serving(**files: Served) -> Iterator[Server]:
    """A server for the block; `files` by path, in which `__` stands for a dot."""
    site = Server({path.replace("__", "."): served for path, served in files.items()})
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def pin(
    *urls: str,
    source: str = "zlib",
    version: str = "2.0",
    content: bytes = GOOD,
    size: int | None = -1,
    distro: Distro | None = None,
) -> Pin:
    """A pin of `content`; its size is left out with size=None."""
    return Pin(
        source=source,
        version=version,
        urls=urls,
        sha256=sha(content),
        size=len(content) if size == -1 else size,
        licences=("Zlib",),
        licence_files=("LICENSE",),
        cpe=None,
        purl=None,
        distro=distro,
        pypi=None,
    )


class Heard(Progress):
    """A Progress whose lines can be read."""

    def __init__(self, *, events: bool = False) -> None:
        self.text = io.StringIO()
        super().__init__(self.text, events=events)

    @property
    def lines(self) -> list[str]:
        return self.text.getvalue().splitlines()
