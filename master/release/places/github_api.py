"""The dozen requests to GitHub's API that a release needs, and what its answers mean.

Nothing is tried twice in here: after an error only a look at what GitHub holds tells whether a request was carried out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import httpx

from master.release.places.base import Trouble
from workers.errors import Failure

VERSION = "2022-11-28"
PAGE = 100
# The server's own limit of a silent connection; an upload that goes on may take as long as it likes.
TIMEOUT = httpx.Timeout(60, connect=20)
# A limit of requests an hour is told by the time when it ends.
LONGEST_WAIT_S = 3700.0
_BRIEF_WAIT_S = 60.0


@dataclass(frozen=True)
class Answer:
    """status, and the JSON or {}."""

    status: int
    json: Any


def token_of(path: Path) -> str:
    """The token in a file. Raises Failure, which repeats nothing of it."""
    try:
        if path.stat().st_mode & 0o007:
            raise Failure(
                "publish", f"github: everybody on this machine may read {path}", wanted="mode 0600 or 0640",
                found=oct(path.stat().st_mode & 0o777), todo=f"chmod 600 {path}, and consider another token.",
            )  # fmt: skip
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(
            "publish", f"github: the token in {path} can't be read", found=getattr(error, "strerror", None),
            todo="See [release] github_token_file.",
        ) from None  # fmt: skip
    # Tokens come in several lengths and shapes, so only what no header can hold is refused.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Failure(
            "publish", f"github: {path} holds no token", wanted="the token on a line of its own",
            found="something else",
            todo="Write it anew; what it holds is not repeated here.",
        )  # fmt: skip
    return token


class Api:
    """A repository's releases. token_file is read with the first request."""

    def __init__(
        self, address: str, repository: str, token_file: Path, *, timeout: httpx.Timeout = TIMEOUT, uploads: int = 4
    ) -> None:
        self.address = address.rstrip("/")
        self.repository = repository
        self.token_file = token_file
        self._timeout = timeout
        self._uploads = uploads
        self._client: httpx.Client | None = None

    @property
    def client(self) -> httpx.Client:
        if self._client is None:
            headers = {
                "Authorization": f"Bearer {token_of(self.token_file)}", "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": VERSION, "User-Agent": "pymint",
            }  # fmt: skip
            limits = httpx.Limits(max_connections=self._uploads + 2)
            self._client = httpx.Client(headers=headers, timeout=self._timeout, limits=limits)
        return self._client

    def get(self, path: str, *, missing: bool = False, **query: str | int) -> Any:
        """The JSON at a path of the repository. missing: None for what is not there, rather than a Failure."""
        answer = self._request("GET", path, params=query, passing=(404,) if missing else ())
        return None if answer.status == 404 else answer.json

    def pages(self, path: str) -> Iterator[Any]:
        """The items of a list, however many pages it has."""
        page = 1
        while True:
            items = self.get(path, per_page=PAGE, page=page)
            yield from items
            if len(items) < PAGE:
                return
            page += 1

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._request("POST", path, json=body).json

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._request("PATCH", path, json=body).json

    def delete(self, path: str) -> None:
        """One that is gone already is no error."""
        self._request("DELETE", path, passing=(404,))

    def upload(self, template: str, name: str, media_type: str, size: int, content: Iterator[bytes]) -> Any:
        """Sends a file. template: `upload_url` of the release. Raises Trouble for a name that is there already."""
        url = template.partition("{")[0]
        self._trusted(url)
        headers = {"Content-Type": media_type, "Content-Length": str(size)}
        return self._request("POST", f"{url}?name={quote(name, safe='')}", content=content, headers=headers).json

    def download(self, path: str) -> Iterator[bytes]:
        """The bytes of an asset."""
        try:
            # The storage behind it is another host, to which httpx takes no token along.
            with self.client.stream(
                "GET", self._url(path), headers={"Accept": "application/octet-stream"}, follow_redirects=True
            ) as answer:
                if answer.status_code != 200:
                    answer.read()
                    self._refused("GET", path, answer)
                yield from answer.iter_bytes(1024 * 1024)
        except httpx.TransportError as error:
            raise Trouble(f"github: the connection broke ({type(error).__name__})") from error

    def _url(self, path: str) -> str:
        return path if path.startswith("http") else f"{self.address}/repos/{self.repository}/{path}".rstrip("/")

    def _trusted(self, url: str) -> None:
        """A token goes over TLS, or where the operator's own setting leads."""
        if not url.startswith("https://") and httpx.URL(url).host != httpx.URL(self.address).host:
            raise Failure(
                "publish", "github: uploads would go over a connection that anybody can read", wanted="https://",
                found=url, todo="Check [release] github_api.",
            )  # fmt: skip

    def _request(self, method: str, path: str, passing: tuple[int, ...] = (), **said: Any) -> Answer:
        try:
            answer = self.client.request(method, self._url(path), **said)
        except httpx.TransportError as error:
            # A server that turns a request away early may answer before it has all of it, or only hang up.
            raise Trouble(f"github: the connection broke ({type(error).__name__})") from error
        if not answer.is_success and answer.status_code not in passing:
            self._refused(method, path, answer)
        return Answer(answer.status_code, _json(answer))

    def _refused(self, method: str, path: str, answer: httpx.Response) -> NoReturn:
        """Raises what an answer means."""
        status, body = answer.status_code, _json(answer)
        message = _message(body)
        said = f"github: {method} {path.partition('?')[0]} was answered {status} {message}".rstrip()
        if status == 401:
            raise Failure(
                "publish", "github: the token is not accepted", found=f"401 {message}",
                todo=f"It may have expired: put a fresh one into {self.token_file} and start the release again.\n"
                "What was uploaded is kept.",
            )  # fmt: skip
        if status == 429 or (status == 403 and _limited(answer, message)):
            raise Trouble(said, _wait(answer))
        if status >= 500 or status == 408:
            raise Trouble(said)
        if status == 422 and _exists(body):
            raise Trouble(said, 0.0)
        if status in (403, 404):
            raise Failure(
                "publish", said, wanted=f"a token that may write contents of {self.repository}",
                todo="Check [release] github_repository and the token's permissions: docs/publishing.md.",
            )  # fmt: skip
        raise Failure("publish", said, todo="docs/publishing.md says what is there now and how to go on.")


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return {}


def _message(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    details = [one if isinstance(one, dict) else {"message": one} for one in body.get("errors") or []]
    errors = [str(one.get("message") or f"{one.get('field', '')} {one.get('code', '')}") for one in details]
    return " ".join([str(body.get("message", "")), *errors])[:300].strip()


def _exists(body: Any) -> bool:
    errors = body.get("errors") if isinstance(body, dict) else None
    return any(isinstance(one, dict) and one.get("code") == "already_exists" for one in errors or [])


def _limited(answer: httpx.Response, message: str) -> bool:
    return (
        "retry-after" in answer.headers
        or answer.headers.get("x-ratelimit-remaining") == "0"
        or "rate limit" in message.lower()
    )


def _wait(answer: httpx.Response) -> float:
    """Seconds: as long as was asked for, else until the limit ends, else a minute, which is the documented least."""
    after = answer.headers.get("retry-after", "")
    if after.isdigit():
        return min(float(after), LONGEST_WAIT_S)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return min(max(float(reset) - time.time(), 1.0), LONGEST_WAIT_S)
    return _BRIEF_WAIT_S
