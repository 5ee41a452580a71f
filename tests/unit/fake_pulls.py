"""A GitHub with pull requests, comments, permissions and statuses, and the deliveries of its webhook.

What it knows of the real one: a comment and a pull request share their numbers, a status of an unknown commit is 422, a
permission of somebody who is none is 404, pages, and of the payloads the fields that GitHub documents.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from master.github.events import signature_of
from tests.unit.fake_github import REPOSITORY, Answered, FakeGitHub, Handler

SECRET = "a-webhook-secret-of-thirty-two-letters"
FORK = "mallory/pythons"
OWN_LOGIN = "pymint-bot"


@dataclass
class Said:
    """A comment."""

    id: int
    number: int
    login: str
    body: str
    edits: int = 0


@dataclass(eq=False)
class FakePulls(FakeGitHub):
    """pulls: by number, as the API tells them. permissions: of those who have one. statuses: in the order they came."""

    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, Said] = field(default_factory=dict)
    permissions: dict[str, str] = field(default_factory=dict)
    statuses: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(PullsHandler)

    def open_pull(self, number: int, head: str, source: str | None = FORK, base: str = "main") -> dict[str, Any]:
        repo = None if source is None else {"full_name": source, "fork": source != REPOSITORY}
        self.commits.add(head)
        self.pulls[number] = {
            "number": number, "state": "open", "title": "a <b>title</b>", "user": {"login": "mallory"},
            "head": {"ref": "topic", "sha": head, "repo": repo},
            "base": {"ref": base, "sha": "0" * 40, "repo": {"full_name": REPOSITORY}},
        }  # fmt: skip
        return self.pulls[number]

    def say(self, number: int, login: str, body: str) -> Said:
        said = Said(self.next_id(), number, login, body)
        self.comments[said.id] = said
        return said

    def of(self, commit: str) -> dict[str, str]:
        """The newest state of each context of a commit."""
        with self.lock:
            return {context: state for sha, context, state, _, _ in self.statuses if sha == commit}

    def comment_of(self, number: int) -> str:
        """The farm's comment on a pull request; there is never more than one."""
        with self.lock:
            found = [one for one in self.comments.values() if one.number == number and one.login == OWN_LOGIN]
        assert len(found) <= 1, [one.body for one in found]
        return found[0].body if found else ""


class PullsHandler(Handler):
    server: FakePulls

    def _said(self, one: Said) -> dict[str, Any]:
        return {"id": one.id, "user": {"login": one.login, "type": "User"}, "body": one.body}

    def _api(self, path: str, body: dict[str, Any]) -> Answered:
        hub = self.server
        match self.command, path.split("/"):
            case "GET", ["pulls"]:
                query = self._query()
                found = [one for one in hub.pulls.values() if one["state"] == query.get("state", "open")]
                return self._page([one for one in found if one["base"]["ref"] == query.get("base", "main")])
            case "GET", ["pulls", number] if int(number) in hub.pulls:
                return Answered(200, hub.pulls[int(number)])
            case "GET", ["issues", number, "comments"]:
                return self._page([self._said(one) for one in hub.comments.values() if one.number == int(number)])
            case "POST", ["issues", number, "comments"] if int(number) in hub.pulls:
                return Answered(201, self._said(hub.say(int(number), OWN_LOGIN, body["body"])))
            case "PATCH", ["issues", "comments", number] if int(number) in hub.comments:
                one = hub.comments[int(number)]
                one.body, one.edits = body["body"], one.edits + 1
                return Answered(200, self._said(one))
            case "GET", ["collaborators", login, "permission"] if login in hub.permissions:
                return Answered(200, {"permission": hub.permissions[login], "user": {"login": login}})
            case "POST", ["statuses", commit]:
                if commit not in hub.commits:
                    return Answered(422, {"message": f"No commit found for SHA: {commit}"})
                if body["state"] not in ("pending", "success", "failure", "error") or len(body["description"]) > 140:
                    return Answered(422, {"message": "Validation Failed"})
                said = (commit, body["context"], body["state"], body["description"], body["target_url"])
                hub.statuses.append(said)
                return Answered(201, {"id": hub.next_id(), "state": body["state"], "context": body["context"]})
        return super()._api(path, body)


def delivery(
    event: str, payload: Any, *, secret: str = SECRET, identity: str | None = None, without: tuple[str, ...] = ()
) -> tuple[bytes, dict[str, str]]:
    """Body and headers as GitHub sends them. without: headers that are left out."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {
        "Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": identity or str(uuid.uuid4()),
        "X-Hub-Signature-256": signature_of(secret, body), "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Hook-Installation-Target-Type": "repository",
    }  # fmt: skip
    return body, {name: value for name, value in headers.items() if name not in without}


def deliver(url: str, event: str, payload: Any, **said: Any) -> httpx.Response:
    body, headers = delivery(event, payload, **said)
    return httpx.post(f"{url}change_hook/github", content=body, headers=headers, timeout=20)


def _repository() -> dict[str, Any]:
    return {"id": 1, "full_name": REPOSITORY, "private": False, "default_branch": "main"}


def ping() -> dict[str, Any]:
    return {"zen": "Speak like a human.", "hook_id": 1, "hook": {"type": "Repository"}, "repository": _repository()}


def pushed(before: str, after: str, ref: str = "refs/heads/main") -> dict[str, Any]:
    return {
        "ref": ref, "before": before, "after": after, "repository": _repository(), "forced": False, "commits": [],
        "pusher": {"name": "anna"}, "sender": {"login": "anna"}, "head_commit": {"id": after},
        "uuid": str(uuid.uuid4()),
    }  # fmt: skip


def pull_event(hub: FakePulls, number: int, action: str, **more: Any) -> dict[str, Any]:
    return {
        "action": action, "number": number, "pull_request": hub.pulls[number], "repository": _repository(),
        "sender": {"login": "mallory"}, "uuid": str(uuid.uuid4()), **more,
    }  # fmt: skip


def comment_event(said: Said, action: str = "created") -> dict[str, Any]:
    return {
        "action": action, "issue": {"number": said.number, "pull_request": {"url": "x"}},
        "comment": {"id": said.id, "body": said.body, "user": {"login": said.login}}, "repository": _repository(),
        "sender": {"login": said.login}, "uuid": str(uuid.uuid4()),
    }  # fmt: skip
