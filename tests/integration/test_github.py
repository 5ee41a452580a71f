"""Pushes and pull requests of a GitHub on loopback, through a real master and two real workers."""

from __future__ import annotations

import contextlib
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.integration.farm import Farm, cell_name, commit, git, make_repository, until
from tests.integration.strangers import PULLED, Stranger, propose, requests_of, settings_for, write_secrets
from tests.unit.fake_github import REPOSITORY, Fault, serving
from tests.unit.fake_pulls import FakePulls, comment_event, deliver, delivery, ping, pull_event, pushed

ALL, CELL = "pymint", f"pymint/{cell_name()}"


@dataclass
class Team:
    farm: Farm
    hub: FakePulls

    def hook(self, event: str, payload: Any, **said: Any) -> int:
        return deliver(self.farm.url, event, payload, **said).status_code

    def opened(self, number: int, head: str, action: str = "opened", **more: Any) -> None:
        assert self.hook("pull_request", pull_event(self.hub, number, action, **more)) == 202

    def looks(self, number: int) -> int:
        """How often the farm has asked about a pull request."""
        return [path.partition(f"{REPOSITORY}/")[2] for _, path in self.hub.requests].count(f"pulls/{number}")

    def all_done(self, number: int) -> None:
        """Errands are done one after the other: a look that has begun is the end of all that was delivered before."""
        for _ in range(2):
            before = self.looks(number)
            self.opened(number, "", "edited")
            until("the farm has looked", lambda: self.looks(number) > before)  # noqa: B023

    def told(self, commit: str, context: str, state: str) -> None:
        until(
            f"GitHub is told that {context} is {state}: {self.hub.of(commit)}\n{self.farm.log('master')}",
            lambda: self.hub.of(commit).get(context) == state,
        )

    def says(self, number: int, text: str) -> str:
        until(f"the comment says {text}: {self.hub.comment_of(number)}", lambda: text in self.hub.comment_of(number))
        return self.hub.comment_of(number)


def seen(farm: Farm) -> str:
    """What the poller remembers: only what comes after that is a change."""
    with closing(sqlite3.connect(farm.home.database)) as database:
        return str(database.execute("SELECT value_json FROM object_state WHERE name = 'lastRev'").fetchall())


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Neither git nor the pull requests are looked at by the clock: what is seen was delivered."""
    root = tmp_path_factory.mktemp("team")
    with serving(FakePulls()) as hub:
        hub.permissions = {"anna": "write", "mallory": "read", "otto": "admin"}
        more = settings_for(
            hub, github='webhook_secret_file = "hook-secret"\npoll_minutes = 600\n', pulls='label = "build it"\n'
        )
        farm = Farm(root / "farm", more_settings=more)
        farm.home.settings_file.write_text(
            farm.home.settings_file.read_text().replace("poll_s = 1\n", "poll_s = 900\n")
        )
        farm.first = make_repository(farm.repository)
        hub.commits.add(farm.first)
        write_secrets(farm)
        stranger = Stranger(farm, root / "stranger")
        try:
            farm.up()
            stranger.up()
            yield Team(farm, hub)
        finally:
            stranger.down()
            farm.close()


def test_a_push_is_built_when_it_is_delivered_and_told_of(team: Team) -> None:
    farm, hub = team.farm, team.hub
    assert team.hook("ping", ping()) == 202
    until("the poller has seen the first commit", lambda: farm.first in seen(farm))
    made = commit(farm.repository, {}, "by a push")
    hub.commits.add(made)
    for _ in range(3):
        assert team.hook("push", pushed(farm.first, made)) == 202
    team.told(made, ALL, "success")
    team.told(made, CELL, "success")
    states = [state for sha, context, state, _, _ in hub.statuses if (sha, context) == (made, ALL)]
    assert states[0] == "pending"
    (_, _, _, description, url) = hub.statuses[-1]
    assert description.startswith("built in") or description == "1 of 1 cell built"
    assert url.startswith(farm.url)
    assert len(farm.get("changes", revision=made)["changes"]) == 1


def test_the_door_is_open_to_signed_deliveries_alone(team: Team) -> None:
    farm = team.farm
    body, headers = delivery("push", pushed("1" * 40, "2" * 40))

    def post(content: Any = body, **changed: str | None) -> int:
        said = {**headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
        kept = {name: value for name, value in said.items() if value is not None}
        return httpx.post(f"{farm.url}change_hook/github", content=content, headers=kept, timeout=60).status_code

    before = len(farm.get("changes")["changes"])
    assert post(X_Hub_Signature_256=None) == 401
    assert post(X_Hub_Signature_256=None, X_Hub_Signature="sha1=" + "a" * 40) == 401
    assert post(X_Hub_Signature_256=delivery("push", {}, secret="another")[1]["X-Hub-Signature-256"]) == 401
    assert post(body + b" ") == 401
    assert post(Content_Type="application/x-www-form-urlencoded") == 415
    assert post(Host=f"evil.example:{farm.port}") == 403
    assert post(Origin="https://evil.example") == 403
    assert team.hook("push", {"repository": {"full_name": "mallory/pythons"}}) == 403
    assert farm.http.get("change_hook/github").status_code == 405
    for dialect in ("base", "poller", ""):
        assert farm.http.post(f"change_hook/{dialect}", content=body, headers=headers).status_code == 404
    assert post() == 202
    assert post() == 409, "the same delivery"
    assert post(X_GitHub_Delivery="12345678-another") == 409, "the id is not signed, so that it is new says nothing"
    assert len(farm.get("changes")["changes"]) == before


def test_what_is_too_large_is_not_even_kept(team: Team) -> None:
    """By what it announces, and where it announces nothing by what has come."""
    _, headers = delivery("push", {})
    with socket.create_connection(("127.0.0.1", team.farm.port), 30) as connection:
        connection.sendall(b"POST /change_hook/github HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")

    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for sent in range(1000):  # noqa: B007
            yield b"x" * 100_000

    with contextlib.suppress(httpx.TransportError):  # it hangs up while more is sent
        answer = httpx.post(f"{team.farm.url}change_hook/github", content=endless(), headers=headers, timeout=60)
        assert answer.status_code == 413
    assert sent < 999, "it did not listen to the end"
    assert team.farm.masters()


def test_a_fork_waits_for_the_word_of_somebody_who_may_push_about_this_very_commit(team: Team) -> None:
    farm, hub = team.farm, team.hub
    head = propose(farm, 7, {})
    hub.open_pull(7, head)
    team.opened(7, head)
    team.told(head, ALL, "pending")
    assert f"/mint build {head}" in team.says(7, "comes from a fork")
    other = git(farm.repository, "rev-parse", "main")
    before = team.looks(7)
    for login, body in (
        ("mallory", f"/mint build {head}"), ("nobody", f"/mint build {head}"), ("anna", f"/mint build {other}"),
        ("anna", f"as it says:\n/mint build {head}"), ("anna", "/mint build"),
    ):  # fmt: skip
        team.hook("issue_comment", comment_event(hub.say(7, login, body)))
    team.all_done(7)
    assert team.looks(7) - before <= 3 + 2, "only comments that are a word make the farm ask"
    assert not requests_of(farm, head)
    good = hub.say(7, "anna", f"/mint build {head}\n")
    assert team.hook("issue_comment", comment_event(good)) == 202
    team.told(head, CELL, "success")
    assert len(requests_of(farm, head)) == 1
    (request,) = requests_of(farm, head)
    build = farm.finished(request["buildrequestid"])
    said = farm.properties(build)
    assert (said["workername"], said["got_revision"], said["branch"]) == ("strangers", head, "refs/pull/7/head")
    assert "attested" not in said
    text = team.says(7, "✅ built in")
    assert "2 checks held, `3.5.7, toolchain`, not validated" in text
    assert "`2.17`" in text
    assert "no node has another key" in text
    assert f"/pull-archives/{PULLED}/{build['number']}/" in text
    assert farm.http.get(f"pull-archives/{PULLED}/{build['number']}/").status_code == 200
    assert farm.http.get(f"archives/{PULLED}/{build['number']}/").status_code == 404
    # What is pushed after the word was not meant by it.
    later = propose(farm, 7, {"more": 1})
    hub.open_pull(7, later)
    team.opened(7, later, "synchronize")
    team.told(later, ALL, "pending")
    team.says(7, f"/mint build {later}")
    assert not requests_of(farm, later)


def test_a_label_is_a_word_for_the_commit_on_which_it_was_set(team: Team) -> None:
    farm, hub = team.farm, team.hub
    head = propose(farm, 8, {"fail": "openssl"})
    hub.open_pull(8, head)
    team.opened(8, head, "labeled", label={"name": "build it"}, sender={"login": "mallory"})
    team.told(head, ALL, "pending")
    team.all_done(8)
    assert not requests_of(farm, head)
    team.opened(8, head, "labeled", label={"name": "build it"}, sender={"login": "otto"})
    team.told(head, ALL, "failure")
    team.told(head, CELL, "failure")
    assert "❌ failed" in team.says(8, "❌")


def test_an_outdated_build_is_cancelled_and_one_of_main_is_not(team: Team) -> None:
    farm, hub = team.farm, team.hub
    slow = propose(farm, 9, {"slow": {"plan": 600}})
    hub.open_pull(9, slow, REPOSITORY)
    team.opened(9, slow)
    (first,) = until("it is requested", lambda: requests_of(farm, slow))
    until("it is being built", lambda: farm.builds(first["buildrequestid"]))
    newer = propose(farm, 9, {"slow": {"sources": 600}})
    hub.open_pull(9, newer, REPOSITORY)
    team.opened(9, newer, "synchronize")
    build = farm.finished(first["buildrequestid"])
    assert build["results"] == 6
    (second,) = until("the newer one is requested", lambda: requests_of(farm, newer))
    until("it is being built", lambda: farm.builds(second["buildrequestid"]))
    hub.pulls[9]["state"] = "closed"
    team.opened(9, newer, "closed")
    assert farm.finished(second["buildrequestid"])["results"] == 6
    team.told(newer, ALL, "error")


def test_github_is_told_the_newest_state_however_long_it_was_away(team: Team) -> None:
    """It is away while a build begins, the master goes down and comes again, and the build ends."""
    farm, hub = team.farm, team.hub
    hub.faults = [
        Fault("POST", "/statuses/", "drop"), Fault("POST", "/statuses/", 403, message="secondary rate limit",
        headers={"Retry-After": "1"}), Fault("POST", "/statuses/", 502, times=500),
    ]  # fmt: skip
    head = propose(farm, 10, {})
    hub.open_pull(10, head, REPOSITORY)
    farm.down("master")
    farm.up("master")  # nothing was delivered: it looks by itself
    until("it is requested", lambda: requests_of(farm, head))
    farm.down("master", how=signal.SIGKILL)
    farm.up("master")
    farm.finished(requests_of(farm, head)[0]["buildrequestid"])
    assert ALL not in hub.of(head)
    hub.faults.clear()
    team.told(head, ALL, "success")
    team.told(head, CELL, "success")
    assert len(requests_of(farm, head)) == 1
    assert "ghs_FAKE" not in (farm.home.master / "twistd.log").read_text()
