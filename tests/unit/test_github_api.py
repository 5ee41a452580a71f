"""What is asked of GitHub, of one on loopback, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from master.github import api as api_module
from master.github.api import Api, Comment, Pull, Trouble, Unwanted
from master.github.bridge import Bridge
from master.github.statuses import Status
from tests.unit.fake_github import REPOSITORY, TOKEN, Fault, serving
from tests.unit.fake_pulls import FORK, FakePulls
from workers.errors import Failure

HEAD = "a" * 40
STATUS = Status("pymint", "success", "1 of 1 cells built", "https://mint.example/")


@pytest.fixture
def hub() -> Iterator[FakePulls]:
    with serving(FakePulls()) as server:
        server.open_pull(5, HEAD)
        yield server


@pytest.fixture
def api(hub: FakePulls, tmp_path: Path) -> Api:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return Api(hub.url, REPOSITORY, path)


def test_pull_requests_as_they_stand(hub: FakePulls, api: Api) -> None:
    hub.open_pull(6, HEAD, base="legacy")
    hub.open_pull(7, HEAD, source=None)
    hub.open_pull(8, HEAD)["state"] = "closed"
    assert api.pull(5) == Pull(5, "open", HEAD, "main", FORK)
    assert api.pull(99) is None
    assert [one.number for one in api.open_pulls("main")] == [5, 7]
    assert api.open_pulls("main")[1].source is None


def test_every_page_is_read(hub: FakePulls, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "PAGE", 2)
    for number in (6, 7, 8, 9):
        hub.open_pull(number, HEAD)
    assert [one.number for one in api.open_pulls("main")] == [5, 6, 7, 8, 9]
    assert list(api.comments(5)) == []
    made = [hub.say(5, "anna", f"number {number}") for number in range(5)]
    assert list(api.comments(5)) == [Comment(one.id, "anna", one.body) for one in reversed(made)]
    monkeypatch.setattr(api_module, "PAGES", 2)
    assert [one.number for one in api.open_pulls("main")] == [5, 6, 7, 8]


def test_of_very_many_comments_the_newest_are_read(hub: FakePulls, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "PAGE", 2)
    monkeypatch.setattr(api_module, "PAGES", 2)
    made: list[int] = []
    for number in range(10):
        made.insert(0, hub.say(5, "anna", f"number {number}").id)
        assert [one.id for one in api.comments(5)] == made[: 4 if len(made) % 2 == 0 else 3]


def test_the_farms_own_comment_is_the_first_with_its_mark(hub: FakePulls, api: Api) -> None:
    own, _copied = (hub.say(5, login, "<!-- pymint 1 -->\nbuilt") for login in ("pymint-bot", "mallory"))
    bridge: Any = SimpleNamespace(api=api)
    assert Bridge._marked(bridge, 5, "<!-- pymint 1 -->") == own.id
    assert Bridge._marked(bridge, 5, "<!-- pymint 2 -->") is None


@pytest.mark.parametrize(
    ("permission", "may"), [("admin", True), ("write", True), ("read", False), ("none", False), (None, False)]
)
def test_who_may_push_is_asked(hub: FakePulls, api: Api, permission: str | None, may: bool) -> None:
    if permission is not None:
        hub.permissions["anna"] = permission
    assert api.may_write("anna") is may


@pytest.mark.parametrize("login", ["", "../../user", "a/b", "anna\n", "a" * 200])
def test_a_login_that_is_none_is_not_asked_about(hub: FakePulls, api: Api, login: str) -> None:
    assert not api.may_write(login)
    assert not hub.requests


def test_statuses_and_comments_are_written(hub: FakePulls, api: Api) -> None:
    api.set_status(HEAD, STATUS)
    assert hub.statuses == [(HEAD, "pymint", "success", "1 of 1 cells built", "https://mint.example/")]
    made = api.add_comment(5, "first")
    assert api.change_comment(made.id, "second")
    assert hub.comments[made.id].body == "second"
    assert not api.change_comment(made.id + 1, "third")
    with pytest.raises(Unwanted, match="No commit found"):
        api.set_status("b" * 40, STATUS)


@pytest.mark.parametrize(
    ("fault", "wait_s"),
    [
        (Fault("GET", "pulls", "drop"), None),
        (Fault("GET", "pulls", "drop", when="after"), None),
        (Fault("GET", "pulls", 500), None),
        (Fault("GET", "pulls", 503), None),
        (Fault("GET", "pulls", 429, headers={"Retry-After": "17"}), 17.0),
        (Fault("GET", "pulls", 403, headers={"Retry-After": "5"}), 5.0),
        (Fault("GET", "pulls", 403, message="You have exceeded a secondary rate limit."), 60.0),
        (Fault("GET", "pulls", 429), 60.0),
    ],
)
def test_trouble_passes_and_may_say_when(hub: FakePulls, api: Api, fault: Fault, wait_s: float | None) -> None:
    hub.faults = [fault]
    with pytest.raises(Trouble) as caught:
        api.pull(5)
    assert caught.value.wait_s == wait_s
    assert TOKEN not in str(caught.value)
    assert api.pull(5) is not None


def test_nobody_listens(api: Api, hub: FakePulls) -> None:
    api.address = "http://127.0.0.1:1"
    with pytest.raises(Trouble, match="ConnectError"):
        api.pull(5)


@pytest.mark.parametrize("status", [301, 403, 404, 410, 451])
def test_a_permission_that_is_missing_is_named(hub: FakePulls, api: Api, status: int) -> None:
    hub.faults = [Fault("POST", "statuses", status, message="Resource not accessible by integration")]
    with pytest.raises(Failure, match="Resource not accessible") as caught:
        api.set_status(HEAD, STATUS)
    assert "permissions" in caught.value.todo


def test_a_new_token_needs_no_restart(hub: FakePulls, api: Api) -> None:
    hub.token = "another"
    with pytest.raises(Failure, match="not accepted") as caught:
        api.pull(5)
    assert TOKEN not in str(caught.value)
    assert isinstance(api.token_file, Path)
    api.token_file.write_text("another")
    assert api.pull(5) is not None


def test_a_token_for_everybody_to_read_is_not_used(hub: FakePulls, api: Api) -> None:
    assert isinstance(api.token_file, Path)
    api.token_file.chmod(0o644)
    with pytest.raises(Failure, match="everybody"):
        api.pull(5)
    assert not hub.requests


@pytest.mark.parametrize("head", [{"sha": "main"}, {"sha": None}, {}, None, "x"])
def test_an_answer_that_is_no_pull_request_is_not_believed(hub: FakePulls, api: Api, head: object) -> None:
    hub.pulls[5]["head"] = head
    with pytest.raises(Trouble):
        api.pull(5)
