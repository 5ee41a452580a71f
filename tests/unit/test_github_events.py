"""Which deliveries are GitHub's, and what they point to."""

from __future__ import annotations

from typing import Any

import pytest

from master.github.events import (
    Event,
    Labelled,
    Nothing,
    Ping,
    Pulled,
    Pushed,
    Refused,
    check_delivery,
    check_signature,
    commit_in,
    read,
    word_for,
)
from master.github.replays import REMEMBERED, taken
from tests.unit.fake_github import REPOSITORY
from tests.unit.fake_pulls import SECRET, FakePulls, comment_event, delivery, ping, pull_event, pushed

HEAD = "a" * 40


@pytest.fixture
def hub() -> Any:
    hub = FakePulls()
    hub.open_pull(5, HEAD)
    yield hub
    hub.server_close()


def event(name: str, payload: Any) -> Event:
    return read(name, delivery(name, payload)[0], REPOSITORY, ["build it"])


def refused(name: str, payload: Any) -> int:
    with pytest.raises(Refused) as caught:
        event(name, payload)
    return caught.value.status


def test_a_body_that_the_secret_signed_is_taken() -> None:
    body, headers = delivery("ping", ping())
    assert check_signature(SECRET, headers["X-Hub-Signature-256"], body) == headers["X-Hub-Signature-256"]


@pytest.mark.parametrize(
    "change",
    [
        lambda body, said: (body + b" ", said),
        lambda body, said: (body, said[:-1] + ("0" if said[-1] != "0" else "1")),
        lambda body, said: (body, said.upper()),
        lambda body, said: (body, said.removeprefix("sha256=")),
        lambda body, said: (body, "sha1=" + "a" * 40),
        lambda body, said: (body, "sha256=" + "a" * 64 + "\n"),
        lambda body, said: (body, ""),
        lambda body, said: (body, None),
        lambda body, said: (body, "sha256=" + "ä" * 64),
    ],
)
def test_nothing_else_is(change: Any) -> None:
    body, headers = delivery("ping", ping())
    body, said = change(body, headers["X-Hub-Signature-256"])
    with pytest.raises(Refused) as caught:
        check_signature(SECRET, said, body)
    assert caught.value.status == 401


def test_the_old_kind_of_signature_is_named_as_what_it_is() -> None:
    with pytest.raises(Refused, match="only the old kind, of SHA-1"):
        check_signature(SECRET, None, b"{}", old=True)


@pytest.mark.parametrize(("delivery_id", "name"), [(None, "push"), ("x", "push"), ("../../etc", "push"),
                                                   ("12345678-1234", None), ("12345678-1234", "Push\n")])  # fmt: skip
def test_a_delivery_has_an_id_and_an_event(delivery_id: str | None, name: str | None) -> None:
    with pytest.raises(Refused) as caught:
        check_delivery(delivery_id, name)
    assert caught.value.status == 400


def test_what_the_events_point_to(hub: FakePulls) -> None:
    assert event("ping", ping()) == Ping()
    assert event("push", pushed("0" * 40, HEAD)) == Pushed()
    for action in ("opened", "reopened", "synchronize", "closed", "edited", "ready_for_review"):
        assert event("pull_request", pull_event(hub, 5, action)) == Pulled(5, HEAD)
    label = pull_event(hub, 5, "labeled", label={"name": "build it"}, sender={"login": "otto"})
    assert event("pull_request", label) == Labelled(5, HEAD, "build it", "otto")
    assert event("issue_comment", comment_event(hub.say(5, "anna", word_for(HEAD)))) == Pulled(5)


def test_what_is_of_no_interest(hub: FakePulls) -> None:
    chat = hub.say(5, "anna", "what about this?")
    plain = comment_event(hub.say(5, "anna", word_for(HEAD)))
    plain["issue"].pop("pull_request")
    for name, payload in (
        ("pull_request", pull_event(hub, 5, "assigned")),
        ("pull_request", pull_event(hub, 5, "labeled", label={"name": "bug"})),
        ("issue_comment", comment_event(chat)),
        ("issue_comment", comment_event(hub.say(5, "anna", word_for(HEAD)), "deleted")),
        ("issue_comment", plain),
        ("star", {"repository": {"full_name": REPOSITORY}}),
    ):
        assert isinstance(event(name, payload), Nothing)


def test_a_payload_that_is_none_is_refused(hub: FakePulls) -> None:
    headless = pull_event(hub, 5, "opened")
    headless["pull_request"] = {"head": {"sha": "main; rm -rf /"}}
    assert refused("push", b"not json") == 400
    assert refused("push", b"[" * 100_000) == 400
    assert refused("push", [1]) == 400
    assert refused("pull_request", {"action": "opened", "number": "5", "repository": {"full_name": REPOSITORY}}) == 400
    assert refused("pull_request", headless) == 400
    assert refused("push", {"repository": {"full_name": "example/other"}}) == 403
    assert refused("push", {"repository": None}) == 403
    assert event("push", {"repository": {"full_name": REPOSITORY.upper()}}) == Pushed()


@pytest.mark.parametrize(
    ("body", "commit"),
    [
        (f"/mint build {HEAD}", HEAD),
        (f"  /mint build {HEAD}\r\n", HEAD),
        (f"/mint build {HEAD[:12]}", None),
        (f"/mint build {HEAD.upper()}", None),
        (f"please /mint build {HEAD}", None),
        (f"> /mint build {HEAD}\n\nno!", None),
        (f"/mint build {HEAD}\n/mint build {'b' * 40}", None),
        ("/mint build", None),
    ],
)
def test_a_word_is_a_comment_that_is_nothing_else_and_names_the_whole_commit(body: str, commit: str | None) -> None:
    assert commit_in(body) == commit


def test_a_delivery_is_taken_once_by_its_id_and_by_its_signature() -> None:
    known = taken([], ["id-1", "signature-1"])
    assert known == ["id-1", "signature-1"]
    assert taken(known, ["id-2", "signature-1"]) is None
    assert taken(known, ["id-1", "signature-2"]) is None
    for number in range(2, REMEMBERED + 50):
        known = taken(known, [f"id-{number}", f"signature-{number}"])
        assert known is not None
    assert len(known) == 2 * REMEMBERED
