"""The half-dozen requests to GitHub's API that pull requests and statuses need. Blocking: call them from a thread.

Nothing is tried twice in here: `master/github/bridge.py` comes back later, with what is then the newest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from master.github.answers import headers_of, is_limited, json_of, message_of, wait_of
from master.github.credentials import Speaker, secret_of
from master.github.events import COMMIT, LOGIN
from master.github.statuses import Status
from master.secrets.places import Place
from workers.errors import Failure

TIMEOUT = httpx.Timeout(20, connect=10)
PAGE = 100
# A thousand open pull requests, or comments on one. A request beyond is looked at when the hook tells of it. Of
# comments the newest are looked at, so a word that was just said is found, however many came before it.
PAGES = 10
SPEAKER = Speaker("github", "github", "[github] token_file")


class Trouble(Exception):
    """What may be gone in a moment. wait_s: how long GitHub asked for, None when it did not say."""

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.wait_s = wait_s


class Unwanted(Exception):
    """GitHub will never take this one: the commit or the comment is not there, or it has had too many. For the log."""


@dataclass(frozen=True)
class Pull:
    """A pull request as it stands. source: OWNER/NAME of where its branch is, None where that is gone."""

    number: int
    state: str
    head: str
    base: str
    source: str | None


@dataclass(frozen=True)
class Comment:
    """A comment on a pull request. id: of GitHub; login: whose."""

    id: int
    login: str
    body: str


class Api:
    """A repository. token_file is read for each request, so that a fresh token needs no restart."""

    def __init__(
        self, address: str, repository: str, token_file: Place, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.address = address.rstrip("/")
        self.repository = repository
        self.token_file = token_file
        self._client = httpx.Client(timeout=TIMEOUT, transport=transport)

    def pull(self, number: int) -> Pull | None:
        """None when there is none of that number."""
        answer = self._request("GET", f"pulls/{number}", missing=True)
        return None if answer is None else _pull(answer)

    def open_pulls(self, base: str) -> list[Pull]:
        """Those that want to go into the branch `base`."""
        return [_pull(one) for one in self._pages("pulls", {"state": "open", "base": base})]

    def comments(self, number: int) -> Iterator[Comment]:
        """Those on a pull request, the newest first; of very many those of the last ten pages.

        GitHub tells the oldest first, and with each page the number of the last one.
        """
        path = f"issues/{number}/comments"
        first, last = self._page(path, 1)
        for page in range(last, max(0, last - PAGES), -1):
            yield from (_comment(one) for one in reversed(first if page == 1 else self._page(path, page)[0]))

    def may_write(self, login: str) -> bool:
        """Whether somebody may push to the repository, by GitHub's word of now."""
        if not LOGIN.match(login):
            return False
        answer = self._request("GET", f"collaborators/{quote(login, safe='')}/permission", missing=True)
        return isinstance(answer, dict) and answer.get("permission") in ("admin", "write")

    def set_status(self, commit: str, status: Status) -> None:
        """Raises Unwanted when GitHub has no such commit."""
        body = {
            "state": status.state, "context": status.context, "description": status.description,
            "target_url": status.url,
        }  # fmt: skip
        self._request("POST", f"statuses/{commit}", body)

    def add_comment(self, number: int, body: str) -> Comment:
        return _comment(self._request("POST", f"issues/{number}/comments", {"body": body}))

    def change_comment(self, comment: int, body: str) -> bool:
        """Whether it was there to be changed."""
        return self._request("PATCH", f"issues/comments/{comment}", {"body": body}, missing=True) is not None

    def _pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Any]:
        for page in range(1, PAGES + 1):
            items, last = self._page(path, page, query)
            yield from items
            if page >= last:
                return

    def _page(self, path: str, page: int, query: Mapping[str, str] | None = None) -> tuple[list[Any], int]:
        """What is on a page, and the number of the last one."""
        asked = {**(query or {}), "per_page": str(PAGE), "page": str(page)}
        answer = self._answer("GET", path, query=asked)
        items = None if answer is None else json_of(answer)
        if answer is None or not isinstance(items, list):
            raise Trouble(f"GET {path} was answered by something else than a list")
        url = answer.links.get("last", {}).get("url", "")
        last = re.search(r"[?&]page=(\d{1,6})(?:&|\Z)", url)
        return items, int(last[1]) if last is not None else page

    def _request(self, method: str, path: str, body: object = None, *, missing: bool = False) -> Any:
        """The JSON of the answer. missing: None for what is not there."""
        answer = self._answer(method, path, body, missing=missing)
        return None if answer is None else json_of(answer)

    def _answer(
        self, method: str, path: str, body: object = None, *, missing: bool = False,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response | None:  # fmt: skip
        token = secret_of(self.token_file, "token", SPEAKER)
        url = f"{self.address}/repos/{self.repository}/{path}"
        try:
            answer = self._client.request(method, url, params=query, json=body, headers=headers_of(token))
        except httpx.TransportError as error:
            # The error's own text may name the proxy with its password.
            raise Trouble(f"{method} {path}: the connection broke ({type(error).__name__})") from None
        if answer.is_success:
            return answer
        if answer.status_code == 404 and missing:
            return None
        raise _meaning(f"{method} {path}", answer, self.token_file)


def _meaning(asked: str, answer: httpx.Response, token_file: Place) -> Exception:
    status, message = answer.status_code, message_of(json_of(answer))
    said = f"{asked} was answered {status} {message}".rstrip()
    if status == 429 or (status == 403 and is_limited(answer, message)):
        return Trouble(said, wait_of(answer))
    if status >= 500 or status == 408:
        return Trouble(said)
    if status == 422:
        return Unwanted(said)
    if status == 401:
        return Failure(
            "github", "the token is not accepted", found=f"401 {message}",
            todo=f"It may have expired: put a fresh one into {token_file}. The farm tries again by itself.",
        )  # fmt: skip
    return Failure(
        "github", said, wanted="an answer as docs/github.md has it",
        todo="Check [github] repository and the token's permissions. The farm tries again by itself.",
    )  # fmt: skip


def _pull(raw: Any) -> Pull:
    try:
        source = raw["head"].get("repo") or {}
        pull = msgspec.convert(
            {"number": raw["number"], "state": raw["state"], "head": raw["head"]["sha"], "base": raw["base"]["ref"],
             "source": source.get("full_name")}, Pull,
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise Trouble(f"a pull request was answered that is none ({type(error).__name__})") from error
    if not COMMIT.match(pull.head) or pull.number < 1:
        raise Trouble("a pull request was answered whose head is no commit")
    return pull


def _comment(raw: Any) -> Comment:
    try:
        login = (raw.get("user") or {}).get("login") or ""
        return msgspec.convert({"id": raw["id"], "login": login, "body": raw.get("body") or ""}, Comment)
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise Trouble(f"a comment was answered that is none ({type(error).__name__})") from error
