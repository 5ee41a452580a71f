"""What is not pinned yet, from HTTP servers: lists and tarballs, read with a bound and never believed by themselves."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from workers.sources.http import Web, redacted
from workers.sources.outcome import Missed

# python.org's index of all versions has 60 kB; 100 releases of OpenSSL with all their files 2 MB.
LIST_LIMIT = 16 << 20
SIGNATURE_LIMIT = 1 << 20
_DEADLINE_S = 60.0
_TARBALL_DEADLINE_S = 1800.0


@dataclass
class Reader:
    """Reads from servers; one that did not answer is not asked again in this run. Safe to use from threads."""

    client: httpx.Client = field(default_factory=lambda: Web().client)
    _dead: dict[str, str] = field(default_factory=dict)
    _locks: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def text(self, url: str, limit: int = LIST_LIMIT, headers: Mapping[str, str] | None = None) -> tuple[bytes, str]:
        """What is at the URL, and at which address in the end. Raises Missed, which says why not."""
        with self._locks[urlsplit(url).netloc]:
            with self._asking(url):
                with self.client.stream("GET", url, headers=dict(headers or {}), timeout=_PATIENCE) as answer:
                    _checked(answer, url)
                    data = bytearray()
                    until = time.monotonic() + _DEADLINE_S
                    for chunk in answer.iter_bytes():
                        data += chunk
                        if len(data) > limit:
                            raise Missed(f"{_host(url)} sends more than {limit} bytes")
                        if time.monotonic() > until:
                            raise Missed(f"{_host(url)} takes longer than {_DEADLINE_S:.0f} s")
                    return bytes(data), str(answer.url)

    def exists(self, url: str) -> bool:
        """Whether a server has a file; asks without reading it. Raises Missed when that can't be known."""
        with self._locks[urlsplit(url).netloc]:
            with self._asking(url):
                with self.client.stream("GET", url, headers={"Range": "bytes=0-0"}, timeout=_PATIENCE) as answer:
                    if answer.status_code in {404, 410}:
                        return False
                    _checked(answer, url)
                    return True

    def tarball(self, url: str, into: Path, limit: int) -> str:
        """Reads a file whose digest nobody knows yet; returns the address for people.

        Raises Missed when it does not come whole, or is larger than `limit` bytes; then nothing is left.
        """
        try:
            with self._asking(url):
                with self.client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
                    _checked(answer, url)
                    self._receive(answer, url, into, limit)
        except BaseException:
            into.unlink(missing_ok=True)
            raise
        return redacted(url)

    def _receive(self, answer: httpx.Response, url: str, into: Path, limit: int) -> None:
        length = answer.headers.get("content-length", "")
        if length.isdigit() and int(length) > limit:
            raise Missed(f"{_host(url)} has {length} bytes there, more than {limit}")
        count, until = 0, time.monotonic() + _TARBALL_DEADLINE_S
        with into.open("wb") as stream:
            for chunk in answer.iter_raw():
                count += len(chunk)
                if count > limit:
                    raise Missed(f"{_host(url)} sends more than {limit} bytes")
                if time.monotonic() > until:
                    raise Missed(f"{_host(url)} takes longer than {_TARBALL_DEADLINE_S:.0f} s")
                stream.write(chunk)
        if length.isdigit() and count != int(length):
            raise Missed(f"{_host(url)} sent {count} of {length} bytes")

    def _asking(self, url: str) -> _Asking:
        host = urlsplit(url).netloc
        if host in self._dead:
            raise Missed(self._dead[host])
        return _Asking(url, self._dead)


@dataclass
class _Asking:
    """Turns what goes wrong with a server into Missed, and remembers one that can't be reached."""

    url: str
    dead: dict[str, str]

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            self.dead[urlsplit(self.url).netloc] = said = f"{_host(self.url)} does not answer ({_reason(error)})"
            raise Missed(said) from error
        if isinstance(error, httpx.HTTPError | httpx.InvalidURL):
            raise Missed(f"{_host(self.url)}: {_reason(error)}") from error


_PATIENCE = httpx.Timeout(20.0, connect=5.0)


def _checked(answer: httpx.Response, url: str) -> None:
    """Raises Missed for an answer that is not the thing itself, or that left https on its way."""
    if answer.status_code not in {200, 206}:
        limited = answer.headers.get("x-ratelimit-remaining") == "0"
        raise Missed(f"{_host(url)} answers {answer.status_code}{' (its rate limit is used up)' if limited else ''}")
    if urlsplit(url).scheme == "https" and answer.url.scheme != "https":
        raise Missed(f"{_host(url)} redirects to a plain http address")


def _reason(error: Exception) -> str:
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.hostname or url if parts.port is None else f"{parts.hostname}:{parts.port}"


def digest_in(path: Path, algorithm: str) -> str:
    """A file's digest by an algorithm of hashlib, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
