from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import defer, task

from master import settings
from master.home import Home
from master.watch.measuring import LIMIT_S, Measuring, Places, _asked
from master.watch.polling import Poller
from master.watch.service import watch_of
from master.watch.vitals import Check, Limits, Vitals, judge
from workers.model import ROOT, load_matrix

LIMITS = Limits(poll_s=10, disk=5 * 10**9)
WELL = Vitals(up=1000, sign_of_life=20, polled=12, free={"/srv": 6 * 10**9})


def bad(vitals: Vitals, limits: Limits = LIMITS) -> list[str]:
    return [one.name for one in judge(vitals, limits) if not one.ok]


def test_all_is_well() -> None:
    assert bad(WELL) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"database": "file is not a database"}, "database"),
        ({"sign_of_life": 601}, "master"),
        ({"sign_of_life": None}, "master"),
        ({"active": False}, "master"),
        ({"queue": False}, "queue"),
        ({"polled": 301}, "poller"),
        ({"polled": None}, "poller"),
        ({"free": {"/srv": 5 * 10**9 - 1}}, "disk"),
        ({"unwritable": {"/srv": "Read-only file system"}}, "writable"),
    ],
)
def test_each_fault_is_one_answer(change: dict[str, object], name: str) -> None:
    vitals = replace(WELL, **change)  # type: ignore[arg-type]
    assert bad(vitals) == [name]
    (check,) = [one for one in judge(vitals, LIMITS) if not one.ok]
    assert check.found
    assert check.wanted


def test_a_master_that_has_just_started_has_time_to_look_at_the_repository() -> None:
    assert bad(replace(WELL, polled=None, up=599)) == []


def test_a_slow_pollers_limit_grows_with_its_pace() -> None:
    assert bad(replace(WELL, polled=5000), replace(LIMITS, poll_s=600)) == []
    assert bad(replace(WELL, polled=None), replace(LIMITS, poll_s=None)) == []


def test_an_error_without_a_word_is_an_answer_too() -> None:
    master = SimpleNamespace(reactor=task.Clock())
    asked = defer.Deferred.fromCoroutine(_asked(master, defer.fail(AssertionError()), ("late", True, None)))
    assert asked.result == ("AssertionError", True, None)


def test_a_servers_database_is_no_file_that_could_be_missing(tmp_path: Path) -> None:
    home = Home(tmp_path, ROOT)
    for text, wanted in (("", home.database), ('[database]\nurl = "postgresql://pymint@db/pymint"\n', None)):
        home.settings_file.write_text(text)
        watch: Any = watch_of(home, settings.load(home, load_matrix()), None)  # type: ignore[arg-type]
        assert watch._config_kwargs["places"].database == wanted


def poller(*, active: bool, polled: bool) -> Poller:
    made = object.__new__(Poller)
    made.active = active
    made.polled_at = time.monotonic() if polled else None
    return made


@pytest.mark.parametrize(
    ("several", "active", "polled", "ok"),
    [(True, False, False, True), (True, True, True, True), (True, True, False, False), (False, True, False, False)],
)
def test_of_several_masters_only_the_one_that_polls_is_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, several: bool, active: bool, polled: bool, ok: bool
) -> None:
    """Long after the start."""
    monkeypatch.setattr("master.watch.measuring.BEGAN", time.monotonic() - 10_000)
    master = SimpleNamespace(
        reactor=task.Clock(), change_svc=[poller(active=active, polled=polled)],
        config=SimpleNamespace(multiMaster=several),
        db=SimpleNamespace(pool=SimpleNamespace(do=lambda thd: defer.succeed((1, time.time())))),
        mq=SimpleNamespace(startConsuming=lambda heard, key: defer.fail(ValueError("none")), produce=None),
    )  # fmt: skip
    monkeypatch.setattr("master.watch.measuring.threads.deferToThread", defer.maybeDeferred)
    measuring = Measuring(Places(tmp_path / "store", tmp_path / "incoming", None), Limits(10, 0))
    found = defer.Deferred.fromCoroutine(measuring._measure(master)).result
    checks: dict[str, Check] = {one.name: one for one in found.checks}
    assert checks["poller"].ok is ok


def test_a_disk_that_hangs_takes_one_thread_however_often_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    def send(call: Any, *_: Any) -> Any:
        sent.append(call)
        return defer.Deferred()

    monkeypatch.setattr("master.watch.measuring.threads.deferToThread", send)
    master = SimpleNamespace(
        reactor=task.Clock(), change_svc=[], config=SimpleNamespace(multiMaster=False),
        db=SimpleNamespace(pool=SimpleNamespace(do=lambda thd: defer.succeed((1, time.time())))),
        mq=SimpleNamespace(startConsuming=lambda heard, key: defer.fail(ValueError("none")), produce=None),
    )  # fmt: skip
    measuring = Measuring(Places(tmp_path / "store", tmp_path / "incoming", None), Limits(10, 0))

    def measured() -> Any:
        asked = defer.Deferred.fromCoroutine(measuring._measure(master))
        master.reactor.advance(LIMIT_S)
        return {one.name: one for one in asked.result.checks}

    assert [measured()["writable"].ok for _ in range(3)] == [False] * 3
    assert len(sent) == 1
    sent[0]()  # the disk is there again
    measured()
    assert len(sent) == 2
