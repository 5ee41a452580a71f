"""What is changed in Buildbot: that Buildbot is still the one that it is for, and who writes to a connection."""

from __future__ import annotations

import threading
from importlib.metadata import version
from json import JSONEncoder
from types import SimpleNamespace
from typing import Any

import pytest
from buildbot.process.results import CANCELLED, EXCEPTION, RETRY
from buildbot.worker.base import AbstractWorker, Worker
from twisted.internet import defer, reactor
from twisted.python import log

from master import mended


class Request(SimpleNamespace):
    """finished and channel as Twisted's request has them."""

    def __init__(self, method: bytes = b"GET") -> None:
        super().__init__(method=method, finished=0, channel=object(), headers={}, written=b"")

    def setHeader(self, name: bytes, value: bytes) -> None:
        self.headers[name] = value

    def write(self, data: bytes) -> None:
        self.written += data


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the reactor was asked to call."""
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(reactor, "callFromThread", lambda *call: found.append(call))
    return found


def write(request: Request, data: object) -> None:
    one = threading.Thread(target=mended._write_json_data, args=(request, JSONEncoder(), data))
    one.start()
    one.join()


def test_each_mend_is_looked_at_again_with_another_buildbot() -> None:
    found = version("buildbot")
    assert found.startswith("4.3."), f"Buildbot is {found}: are the mends of master/mended.py needed still, and right?"


@pytest.mark.parametrize(("method", "body"), [(b"GET", b'{"a": "\\u00fc"}'), (b"HEAD", b"")])
def test_the_thread_encodes_and_the_reactor_writes(asked: list[tuple[Any, ...]], method: bytes, body: bytes) -> None:
    request = Request(method)
    write(request, {"a": "ü"})
    assert (request.headers, request.written) == ({}, b"")
    ((function, *arguments),) = asked
    function(*arguments)
    assert (request.headers, request.written) == ({b"content-length": b"15"}, body)


@pytest.mark.parametrize("change", [{"finished": 1}, {"channel": None}])
def test_nothing_is_written_to_who_has_left(asked: list[tuple[Any, ...]], change: dict[str, Any]) -> None:
    left_before, left_meanwhile = Request(), Request()
    vars(left_before).update(change)
    write(left_before, {})
    assert asked == []
    write(left_meanwhile, {})
    vars(left_meanwhile).update(change)
    ((function, *arguments),) = asked
    function(*arguments)
    assert (left_meanwhile.headers, left_meanwhile.written) == ({}, b"")


def test_a_worker_that_could_not_be_attached_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it comes again, whatever it was: a database that was away, for one."""
    monkeypatch.setattr(AbstractWorker, "attached", lambda *_: defer.fail(RuntimeError("no database")))
    worker, cut = Worker.__new__(Worker), []
    worker.name = "a"
    mended._worker_attached(worker, SimpleNamespace(loseConnection=lambda: cut.append(True)))
    assert cut == [True]


class Begun(SimpleNamespace):
    """A build as far as its beginning is concerned; `done` is what was done about it."""

    def __init__(self, **given: Any) -> None:
        self.done: list[tuple[Any, ...]] = []
        updates = SimpleNamespace(finishStep=lambda *given: self.done.append(given))
        state = {"stopped": False, "stopped_reason": None, "finished": False, "results": 0, "subs": None, "conn": None}
        step = SimpleNamespace(stepid=7)
        master = SimpleNamespace(data=SimpleNamespace(updates=updates))
        super().__init__(**{**state, "_preparation_step": step, "master": master, **given})

    def buildFinished(self, text: list[str], results: int) -> None:
        assert self.conn is None or self.subs is not None
        self.done.append((" ".join(text), results))


def begin(build: Begun, problem: Exception | None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is done about it once Buildbot's own has begun it."""
    began = defer.succeed(None) if problem is None else defer.fail(problem)
    monkeypatch.setattr(mended, "_start_build_of_buildbot", lambda *_: began)
    failures: list[Any] = []
    monkeypatch.setattr(log, "err", lambda *given: failures.append(given))
    mended._start_build(build, None).addErrback(failures.append)
    assert len(failures) == (problem is not None)
    return build.done


def test_a_build_whose_worker_is_lost_as_it_begins_is_ended_to_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = AttributeError("'NoneType' object has no attribute 'notifyOnDisconnect'")
    assert begin(Begun(conn="gone"), lost, monkeypatch) == [(7, EXCEPTION, False), ("worker lost", RETRY)]
    assert begin(Begun(_preparation_step=None), lost, monkeypatch) == [("worker lost", RETRY)]
    assert begin(Begun(finished=True), lost, monkeypatch) == []


def test_a_build_whose_request_is_taken_back_as_it_begins_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    taken_back = {"stopped": True, "stopped_reason": "by anna", "results": CANCELLED}
    assert begin(Begun(_preparation_step=None, **taken_back), None, monkeypatch) == [("cancelled (by anna)", CANCELLED)]


@pytest.mark.parametrize(
    "given", [{}, {"stopped": True}, {"stopped": True, "finished": True, "_preparation_step": None}]
)
def test_other_builds_are_left_to_buildbot(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert begin(Begun(**given), None, monkeypatch) == []


@pytest.mark.parametrize("lost", [True, False])
def test_a_worker_that_is_lost_while_it_is_attached_is_detached_again(lost: bool) -> None:
    """By Buildbot's it was connected for the master from then on, and refused whenever it came back."""
    detached: list[object] = []
    connection = SimpleNamespace(
        startKeepaliveTimer=lambda: None,
        notifyOnDisconnect=lambda call: None,
        _stop_keepalive_timer=lambda: None,
        worker=SimpleNamespace(attached=lambda conn: defer.succeed(None)),
        detached=detached.append,
    )
    mind = SimpleNamespace(broker=SimpleNamespace(disconnected=lost))
    failures: list[Any] = []
    mended._connection_attached(connection, mind).addErrback(failures.append)
    assert (detached == [mind], len(failures) == 1) == (lost, lost)


def test_a_connection_that_is_given_up_is_cut_at_once() -> None:
    """By TLS a polite end waits for the other side's farewell, which a hung worker never sends."""
    done: list[str] = []
    transport = SimpleNamespace(abortConnection=lambda: done.append("aborted"))
    mind = SimpleNamespace(broker=SimpleNamespace(transport=transport))
    mended._lose_connection(SimpleNamespace(stopKeepaliveTimer=lambda: done.append("stopped"), mind=mind))
    assert done == ["stopped", "aborted"]
