"""How pages are served: once for many who ask, with headers under which nothing runs, and with errors that tell no more
than they should."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import defer
from twisted.web.test.requesthelper import DummyRequest

from master.pages.page import NoSuchPage, Page, Query, Source
from master.pages.serving import FRESH_S, Pages, in_the_menu
from tests.unit.html_checks import faults
from workers.errors import Failure


class Told:
    """Readings that wait until they are let go. problem: what they end with."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        self.queries: list[Query] = []
        self.waiting: list[defer.Deferred[None]] = []

    async def snapshot(self, _: Source, query: Query) -> str:
        self.queries.append(query)
        one: defer.Deferred[None] = defer.Deferred()
        self.waiting.append(one)
        await one
        if self.problem is not None:
            raise self.problem
        return "read"

    def let_go(self) -> None:
        while self.waiting:
            self.waiting.pop().callback(None)


def served(told: Told, now: list[float]) -> Pages:
    # The template of the refusal has no model: it serves as a page here.
    page = Page("_refusal", "A page", "", told.snapshot, lambda said, query: said, ("sha",))
    pages = Pages([page], lambda master: SimpleNamespace(now=lambda: now[0]))  # type: ignore[arg-type, return-value]
    pages.attach(object())
    return pages


def ask(pages: Pages, *path: str, **query: str) -> Any:
    request = DummyRequest([part.encode() for part in path])
    request.postpath = [part.encode() for part in path]
    request.args = {key.encode(): [value.encode()] for key, value in query.items()}
    pages.render_GET(request)
    return request


def text(request: Any) -> str:
    return b"".join(request.written).decode()


def test_many_who_ask_at_once_cost_one_reading_and_all_get_the_answer() -> None:
    told, now = Told(NoSuchPage("none of that")), [100.0]
    pages = served(told, now)
    some = [ask(pages, "_refusal", sha="a", nonsense=str(number)) for number in range(5)]
    assert [len(told.queries), [text(one) for one in some]] == [1, [""] * 5]
    told.let_go()
    assert {text(one) for one in some} == {text(some[0])}
    assert "none of that" in text(some[0])
    ask(pages, "_refusal", sha="a")
    ask(pages, "_refusal", sha="b")
    now[0] += FRESH_S + 1
    ask(pages, "_refusal", sha="a")
    assert told.queries == [{"sha": "a"}, {"sha": "b"}, {"sha": "a"}], "kept for seconds, by the page's own parameters"


def test_who_left_before_the_answer_harms_nobody() -> None:
    told = Told(NoSuchPage("none of that"))
    pages = served(told, [100.0])
    left, stayed = ask(pages, "_refusal"), ask(pages, "_refusal")
    left.processingFailed(SimpleNamespace())
    told.let_go()
    assert text(left) == ""
    assert "none of that" in text(stayed)


@pytest.mark.parametrize(
    ("problem", "status", "shown"),
    [
        (NoSuchPage("no such commit"), 404, "no such commit"),
        (NoSuchPage("that is none", 400), 400, "that is none"),
        (Failure("store", "it is damaged", todo="Look."), 500, "it is damaged"),
    ],
)
def test_what_is_wrong_is_said_on_a_page(problem: Exception, status: int, shown: str) -> None:
    told = Told(problem)
    request = ask(served(told, [100.0]), "_refusal")
    told.let_go()
    assert request.responseCode == status
    assert shown in text(request)
    assert faults(text(request), whole=True) == []


def test_there_is_no_other_page_and_nothing_runs_on_any() -> None:
    pages = served(Told(), [100.0])
    for path in (("nothing",), ("part", "nothing"), ("..", "x"), ("_refusal", "more")):
        request = ask(pages, *path)
        assert request.responseCode == 404
        assert "There is no page of that name" in text(request)
        policy = request.responseHeaders.getRawHeaders(b"content-security-policy")[0].decode()
        assert policy.startswith("default-src 'none'; style-src 'self'")
        assert "script" not in policy
        assert "unsafe" not in policy
    assert in_the_menu([]) == {"pages": []}


def test_an_error_of_our_own_tells_nothing_of_what_was_read() -> None:
    told = Told(ValueError("a password of the database"))
    request = ask(served(told, [100.0]), "part", "_refusal")
    told.let_go()
    assert request.responseCode == 500
    assert "password" not in text(request)
    assert "The master's log (twistd.log) says why" in text(request).replace("&#39;", "'")
