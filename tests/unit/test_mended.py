"""What is changed in Buildbot: that Buildbot is still the one that it is for, and who writes to a connection."""

from __future__ import annotations

import threading
from importlib.metadata import version
from json import JSONEncoder
from types import SimpleNamespace
from typing import Any

import pytest
from buildbot.process.results import EXCEPTION
from buildbot.worker.base import AbstractWorker, Worker
from twisted.internet import defer, reactor

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


@pytest.mark.parametrize("worker", [None, "there"])
def test_a_build_whose_worker_is_lost_as_it_begins_goes_on_to_its_end(
    worker: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without, Buildbot's own runs, and asks None for its quarantine."""
    done: list[tuple[Any, ...]] = []
    monkeypatch.setattr(mended, "_build_preparation_failure_of_buildbot", lambda *_: done.append(("Buildbot's",)))
    updates = SimpleNamespace(
        setStepStateString=lambda *given: done.append(given), finishStep=lambda *given: done.append(given)
    )
    build = SimpleNamespace(
        stopped=False,
        workerforbuilder=SimpleNamespace(worker=worker),
        master=SimpleNamespace(data=SimpleNamespace(updates=updates)),
        _preparation_step=SimpleNamespace(stepid=7),
    )
    failures: list[Any] = []
    mended._build_preparation_failure(build, False, "worker_prepare").addErrback(failures.append)
    assert failures == []
    lost = [(7, "the worker was lost while worker_prepare"), (7, EXCEPTION, False)]
    assert done == (lost if worker is None else [("Buildbot's",)])
