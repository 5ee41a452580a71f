"""The dozen requests to GitHub's API that a release needs, and what its answers mean.

Nothing is tried twice in here: after an error only a look at what GitHub holds tells whether a request was carried out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote

import httpx

from master.bucket.trouble import Trouble
from master.github.answers import headers_of, is_limited, json_of, message_of, wait_of
from master.github.credentials import Speaker, secret_of
from master.secrets.places import Place
from workers.errors import Failure

PAGE = 100
# The server's own limit of a silent connection; an upload that goes on may take as long as it likes.
TIMEOUT = httpx.Timeout(60, connect=20)


@dataclass(frozen=True)
class Answer:
    """status, and the JSON or {}."""

    status: int
    json: Any


class Api:
    """A repository's releases. token_file is read with the first request."""

    def __init__(
        self, address: str, repository: str, token_file: Place, *, timeout: httpx.Timeout = TIMEOUT, uploads: int = 4
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
            token = secret_of(self.token_file, "token", Speaker("publish", "github", "[release] github_token_file"))
            limits = httpx.Limits(max_connections=self._uploads + 2)
            self._client = httpx.Client(headers=headers_of(token), timeout=self._timeout, limits=limits)
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
        return Answer(answer.status_code, json_of(answer))

    def _refused(self, method: str, path: str, answer: httpx.Response) -> NoReturn:
        """Raises what an answer means."""
        status, body = answer.status_code, json_of(answer)
        message = message_of(body)
        said = f"github: {method} {path.partition('?')[0]} was answered {status} {message}".rstrip()
        if status == 401:
            raise Failure(
                "publish", "github: the token is not accepted", found=f"401 {message}",
                todo=f"It may have expired: put a fresh one into {self.token_file} and start the release again.\n"
                "What was uploaded is kept.",
            )  # fmt: skip
        if status == 429 or (status == 403 and is_limited(answer, message)):
            raise Trouble(said, wait_of(answer))
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


def _exists(body: Any) -> bool:
    errors = body.get("errors") if isinstance(body, dict) else None
    return any(isinstance(one, dict) and one.get("code") == "already_exists" for one in errors or [])
