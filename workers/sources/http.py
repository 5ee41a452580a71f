"""Files from HTTP servers: whether one is there, and a download that resumes, retries and never trusts what arrives."""

from __future__ import annotations

import email.utils
import functools
import hashlib
import random
import re
import ssl
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from workers.sources.meter import Meter
from workers.sources.outcome import Missed, Wrong
from workers.sources.pins import PinnedFile

_ATTEMPTS = 5
_LONGEST_WAIT_S = 20.0
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


@dataclass
class Web:
    """An HTTP client for one run of a program: knows which hosts do not answer, and does not ask them again.

    first_wait_s: the pause before the first retry, doubled for each further one.
    """

    first_wait_s: float = 0.5
    client: httpx.Client = field(default_factory=lambda: _client())
    _dead: dict[str, str] = field(default_factory=dict)
    _locks: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def probe(self, url: str, file: PinnedFile) -> str | None:
        """None when the server offers a file of the pinned size, else why not. Asks quickly and reads no content."""
        host = urlsplit(url).netloc
        with self._locks[host]:
            if host in self._dead:
                return self._dead[host]
            try:
                return self._probed(url, file)
            except httpx.TransportError as error:
                self._dead[host] = f"{_host(url)} does not answer ({_reason(error)})"
                return self._dead[host]
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                return f"{_host(url)}: {_reason(error)}"

    def _probed(self, url: str, file: PinnedFile) -> str | None:
        timeout = httpx.Timeout(4.0, connect=3.0)
        answer = self.client.head(url, timeout=timeout)
        length = answer.headers.get("content-length")
        if answer.status_code in {403, 405, 501}:  # servers that refuse HEAD, among them such as sign their URLs
            with self.client.stream("GET", url, headers={"Range": "bytes=0-0"}, timeout=timeout) as answer:
                length = answer.headers.get("content-range", "").rpartition("/")[2] or answer.headers.get(
                    "content-length"
                )
        if answer.status_code not in {200, 206}:
            return f"{_host(url)} answers {answer.status_code}"
        count = number_in(length or "")
        if file.size is not None and count is not None and count != file.size:
            return f"{_host(url)} has {length} bytes under that name, not {file.size}"
        return None

    def download(self, url: str, file: PinnedFile, partial: Path, meter: Meter) -> str:
        """Leaves the pinned bytes in `partial`, continuing what is there already; returns the URL for people.

        Raises Missed when the server can't be reached or does not deliver after all retries, what came so far being
        kept, and Wrong when it delivers something else, which is thrown away.
        """
        host = urlsplit(url).netloc
        if host in self._dead:
            raise Missed(self._dead[host])
        validator: str | None = None
        resumed = partial.exists() and partial.stat().st_size > 0
        wait = self.first_wait_s
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                validator = self._attempt(url, file, partial, validator, meter)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if attempt >= 2 or _hopeless(error):
                    self._dead[host] = f"{_host(url)} does not answer ({_reason(error)})"
                    raise Missed(self._dead[host]) from error
                problem = _reason(error)
            except _Transient as error:
                validator = error.validator or validator
                problem = str(error)
                wait = max(wait, min(error.wait_s, _LONGEST_WAIT_S))
            except httpx.TransportError as error:
                problem = _reason(error)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise Missed(f"{_host(url)}: {_reason(error)}") from error
            else:
                found, count = _digest(partial)
                if found == file.sha256:
                    return redacted(url)
                partial.unlink()
                meter.forget(file.sha256)
                if not resumed:
                    raise Wrong(redacted(url), found, count)
                # What was there from an earlier run may have come from elsewhere: once more from the start.
                resumed, validator = False, None
                continue
            if attempt == _ATTEMPTS:
                raise Missed(f"{_host(url)} gave up {_ATTEMPTS} times, last: {problem}")
            meter.line(f"{file.names[0]}: {problem}; asking again in {wait:.1f} s")
            meter.sleep(wait * random.uniform(0.8, 1.2))
            wait *= 2
        raise Missed(f"{_host(url)} did not deliver the pinned bytes")

    def _attempt(self, url: str, file: PinnedFile, partial: Path, validator: str | None, meter: Meter) -> str | None:
        """One request that adds to `partial` what is missing. Returns the validator for If-Range of the next one."""
        have = partial.stat().st_size if partial.exists() else 0
        if file.size is not None and have >= file.size:
            if have == file.size:
                return validator
            partial.unlink()
            have = 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if validator is not None:
                headers["If-Range"] = validator
        with self.client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == 416:
                partial.unlink(missing_ok=True)
                raise _Transient("it has no more bytes than are here already", None)
            if answer.status_code in _TRANSIENT:
                raise _Transient(f"{_host(url)} answers {answer.status_code}", validator, _retry_after(answer.headers))
            if answer.status_code not in {200, 206}:
                raise Missed(f"{_host(url)} answers {answer.status_code}")
            start = have if answer.status_code == 206 and _starts_at(answer.headers, have) else 0
            if answer.status_code == 206 and start != have:
                raise _Transient("it sent another range than it was asked for", None)
            return _receive(answer, url, file, partial, start, meter)


class _Transient(Exception):
    """A failure that may pass: `validator` for resuming, `wait_s` if the server said how long to wait."""

    def __init__(self, problem: str, validator: str | None, wait_s: float = 0.0) -> None:
        super().__init__(problem)
        self.validator = validator
        self.wait_s = wait_s


def _receive(answer: httpx.Response, url: str, file: PinnedFile, partial: Path, start: int, meter: Meter) -> str | None:
    """Writes the content behind the first `start` bytes of `partial`; returns the answer's validator."""
    validator = _validator(answer.headers)
    length = number_in(answer.headers.get("content-length", ""))
    announced = None if length is None else start + length
    if file.size is not None and announced is not None and announced != file.size:
        partial.unlink(missing_ok=True)
        raise Wrong(redacted(url), None, announced)
    count = start
    with partial.open("r+b" if start else "wb") as stream:
        stream.seek(start)
        stream.truncate()
        meter.reached(file.sha256, count)
        try:
            for chunk in answer.iter_raw():  # in pieces of a size, a broken connection would lose the last one
                stream.write(chunk)
                count += len(chunk)
                if file.size is not None and count > file.size:
                    break
                meter.reached(file.sha256, count)
        except httpx.TransportError as error:
            raise _Transient(f"the connection broke after {count} bytes ({_reason(error)})", validator) from error
    if file.size is not None and count > file.size:
        partial.unlink()
        meter.forget(file.sha256)
        raise Wrong(redacted(url), None, count, more=True)
    wanted = file.size if file.size is not None else announced
    if wanted is not None and count < wanted:
        raise _Transient(f"the connection ended after {count} of {wanted} bytes", validator)
    return validator


def _client() -> httpx.Client:
    """Proxies come from the environment, trusted certificates from the machine, as they are set up there."""
    return httpx.Client(
        verify=_trust(),
        follow_redirects=True,
        timeout=httpx.Timeout(30.0, connect=10.0),
        limits=httpx.Limits(max_connections=16),
        headers={"User-Agent": "pymint"},
    )


@functools.cache
def _trust() -> ssl.SSLContext:
    """The certificates that the machine trusts, a company's own among them; where it has none, those that httpx has."""
    paths = ssl.get_default_verify_paths()
    return ssl.create_default_context() if paths.cafile or paths.capath else httpx.create_ssl_context()


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest(), path.stat().st_size


def _validator(headers: httpx.Headers) -> str | None:
    """A strong ETag, else Last-Modified: what If-Range takes (RFC 9110, 13.1.5)."""
    etag = headers.get("etag")
    if etag is not None and not etag.startswith("W/"):
        return str(etag)
    modified = headers.get("last-modified")
    return None if modified is None else str(modified)


def _starts_at(headers: httpx.Headers, start: int) -> bool:
    return str(headers.get("content-range", "")).startswith(f"bytes {start}-")


def number_in(header: str) -> int | None:
    """The number that a header is; None for anything else, and for one that no file or pause is as large as."""
    return int(header) if re.fullmatch(r"[0-9]{1,18}", header) else None


def _retry_after(headers: httpx.Headers) -> float:
    """Seconds that the server asks to wait, 0 when it does not say."""
    value = headers.get("retry-after", "")
    if (seconds := number_in(value)) is not None:
        return float(seconds)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _hopeless(error: httpx.TransportError) -> bool:
    """Whether asking again can't help: the name is unknown, or nobody listens."""
    text = str(error).lower()
    return any(sign in text for sign in ("name or service", "name resolution", "no address", "refused", "unreachable"))


def _reason(error: Exception) -> str:
    """What happened, without the number that the system has for it."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.hostname or url if parts.port is None else f"{parts.hostname}:{parts.port}"


def redacted(url: str) -> str:
    """The URL without a user's name and password, which must not get into logs."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
