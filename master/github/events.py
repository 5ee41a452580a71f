"""A webhook's delivery, judged without any I/O: is it GitHub's, and what does it point to.

A payload is a hint and no more. What it says of a pull request is asked again of the API, what it says of a branch is
fetched; only that a label was set, by whom and on which commit, can't be had elsewhere, and is believed because it is
signed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

COMMIT = re.compile(r"\A[0-9a-f]{40}\Z")
DELIVERY = re.compile(r"\A[0-9A-Za-z-]{8,64}\Z")
LOGIN = re.compile(r"\A[A-Za-z0-9](?:[A-Za-z0-9-]{0,98})(?:\[bot\])?\Z")
_SIGNATURE = re.compile(r"\Asha256=[0-9a-f]{64}\Z")
# The whole comment, so that nothing that quotes or explains it is taken for it: this farm's own comments do.
_WORD = re.compile(r"\A\s*/mint build ([0-9a-f]{40})\s*\Z")
# What a pull request can do that may change what is built of it.
_ACTIONS = {"opened", "reopened", "synchronize", "closed", "edited", "labeled", "ready_for_review"}


class Refused(Exception):
    """A delivery that is not taken. status: of HTTP; the text is for whoever set the webhook up."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True)
class Ping:
    """GitHub asks whether anybody is there."""


@dataclass(frozen=True)
class Pushed:
    """Something was pushed: look at the repository now."""


@dataclass(frozen=True)
class Pulled:
    """Something happened to a pull request: look at it now. head: its commit as far as the payload knows."""

    number: int
    head: str | None = None


@dataclass(frozen=True)
class Labelled:
    """A label was set on a pull request by `login` while its head was `head`."""

    number: int
    head: str
    label: str
    login: str


@dataclass(frozen=True)
class Nothing:
    """An event that is of no interest here."""

    why: str


Event = Ping | Pushed | Pulled | Labelled | Nothing


def signature_of(secret: str, body: bytes) -> str:
    """What GitHub signs a body with: the value of X-Hub-Signature-256."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def check_signature(secret: str, signature: str | None, body: bytes, *, old: bool = False) -> str:
    """The signature, if the secret made it. old: whether there is one of SHA-1. Raises Refused. In constant time."""
    if signature is None:
        found = "only the old kind, of SHA-1" if old else "none"
        raise Refused(401, f"Wanted a signature in X-Hub-Signature-256, found {found}. Set the webhook's secret.")
    if not _SIGNATURE.match(signature):
        raise Refused(401, "X-Hub-Signature-256 is not `sha256=` and 64 hexadecimal digits.")
    if not hmac.compare_digest(signature_of(secret, body), signature):
        raise Refused(401, "The signature is not that of this body: the webhook's secret is another than the farm's.")
    return signature


def check_delivery(delivery: str | None, event: str | None) -> tuple[str, str]:
    """The delivery's id and the event's name. Raises Refused."""
    if delivery is None or not DELIVERY.match(delivery):
        raise Refused(400, "X-GitHub-Delivery is no delivery's id.")
    if event is None or not re.match(r"\A[a-z_]{1,40}\Z", event):
        raise Refused(400, "X-GitHub-Event is no event's name.")
    return delivery, event


def read(event: str, body: bytes, repository: str, labels: Collection[str]) -> Event:
    """What a signed body points to. repository: OWNER/NAME, the only one. labels: that are a word. Raises Refused."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "The body is not JSON. Choose the content type application/json.") from error
    if not isinstance(said, dict):
        raise Refused(400, "The body is no JSON object.")
    of = _at(said, "repository", "full_name")
    if event == "ping" and of is None:  # an organisation's webhook
        return Ping()
    if not isinstance(of, str) or of.lower() != repository.lower():
        raise Refused(403, "This farm takes deliveries of one repository, and this is of another.")
    match event:
        case "ping":
            return Ping()
        case "push":
            return Pushed()
        case "pull_request":
            return _pull_request(said, labels)
        case "issue_comment":
            return _comment(said)
    return Nothing(f"the event {event} says nothing to a farm")


def _pull_request(said: Mapping[str, Any], labels: Collection[str]) -> Event:
    number, action = said.get("number"), said.get("action")
    if not _is_number(number):
        raise Refused(400, "The pull request has no number.")
    if action not in _ACTIONS:
        return Nothing("nothing is built because of that")
    head = _at(said, "pull_request", "head", "sha")
    if not isinstance(head, str) or not COMMIT.match(head):
        raise Refused(400, "The pull request has no head.")
    label, login = _at(said, "label", "name"), _at(said, "sender", "login")
    if action != "labeled":
        return Pulled(int(str(number)), head)
    if label not in labels:
        return Nothing("that label is no word for a build")
    if not isinstance(login, str) or not LOGIN.match(login):
        raise Refused(400, "The label has no sender.")
    return Labelled(int(str(number)), head, str(label), login)


def _comment(said: Mapping[str, Any]) -> Event:
    number, text = _at(said, "issue", "number"), _at(said, "comment", "body")
    if said.get("action") not in ("created", "edited") or _at(said, "issue", "pull_request") is None:
        return Nothing("it is no new comment on a pull request")
    if not _is_number(number):
        raise Refused(400, "The pull request has no number.")
    if not isinstance(text, str) or commit_in(text) is None:
        return Nothing("the comment is no word for a build")
    return Pulled(int(str(number)))


def commit_in(comment: str) -> str | None:
    """The commit that a comment says may be built, if it says nothing else."""
    found = _WORD.match(comment)
    return found[1] if found else None


def word_for(commit: str) -> str:
    """What a maintainer writes."""
    return f"/mint build {commit}"


def _is_number(found: object) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and 0 < found < 10**9


def _at(said: Any, *path: str) -> Any:
    for name in path:
        if not isinstance(said, dict):
            return None
        said = said.get(name)
    return said
