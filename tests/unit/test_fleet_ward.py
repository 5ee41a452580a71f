"""What the ward decides, on stand-ins for Buildbot's workers; tests/integration/test_workers.py has real ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from buildbot.process.properties import Properties
from twisted.internet import defer
from twisted.spread.pb import DeadReferenceError

from master.fleet.choice import Docker, Protocol, Watch, docker_complaint, protocol_complaint, watch_complaint
from master.fleet.notices import KEPT, Notice, kept
from master.fleet.ward import Ward, after_refusal, is_silent, notices_of
from steps.results import FAILURE, RETRY
from workers.fitness import Fitness, packed


def test_a_ping_is_overdue_only_while_it_is_not_answered() -> None:
    assert not is_silent(None, 1000, 60)
    assert not is_silent(950, 1000, 60)
    assert is_silent(939, 1000, 60)


def test_after_some_refusals_a_worker_is_paused() -> None:
    assert [after_refusal(times, 3) for times in (1, 2, 3, 4)] == ["quarantine", "quarantine", "pause", "pause"]


def test_notices_are_kept_newest_last_without_repeating_themselves() -> None:
    one, again, other = Notice("1", "full", "x"), Notice("2", "full", "x"), Notice("3", "lost", "x")
    assert kept([one], again) == [again]
    assert kept([one], other) == [one, other]
    many = [Notice(str(i), "lost", str(i)) for i in range(KEPT)]
    assert kept(many, other) == [*many[1:], other]


class Hand:
    """As much of a worker as the ward touches."""

    def __init__(self) -> None:
        self.workername, self.workerid = "a", 1
        self.info = Properties()
        self.quarantined, self.paused, self._pause_reason = 0, False, ""
        self.workerforbuilders: dict[str, Any] = {}
        self.conn: Any = None

    def putInQuarantine(self) -> None:
        self.quarantined += 1

    def resetQuarantine(self) -> None:
        self.quarantined = 0

    def pause(self, reason: str) -> None:
        self.paused, self._pause_reason = True, reason

    def unpause(self) -> None:
        self.paused, self._pause_reason = False, ""

    def isPaused(self) -> bool:
        return self.paused


class Watching(Ward):
    """Its master is given, not found by what it is a part of."""

    master: Any = None


def ward(builds: list[int] | None = None) -> tuple[Ward, list[Any]]:
    """A ward with a master that remembers events, and has these results of a request's builds."""
    made = Watching(watch=Watch(), certificate=None)
    made.running = 1
    events: list[Any] = []

    async def get(path: Any) -> list[dict[str, int]]:
        return [{"results": result} for result in builds or []]

    pool = SimpleNamespace(do_with_transaction=lambda thd: defer.succeed(None))
    made.master = SimpleNamespace(
        mq=SimpleNamespace(produce=lambda key, event: events.append((key, event))),
        db=SimpleNamespace(pool=pool, model=SimpleNamespace(workers=None)),
        data=SimpleNamespace(get=get),
    )
    return made, events


def ended(coroutine: Any) -> Any:
    found: list[Any] = []
    defer.Deferred.fromCoroutine(coroutine).addCallback(found.append)
    return found[0]


BUILD = SimpleNamespace(requests=[SimpleNamespace(id=7)])


def test_an_unfit_worker_is_kept_away_then_paused_and_its_build_always_goes_back() -> None:
    made, events = ward([RETRY] * 50)
    hand = Hand()
    for _ in range(3):
        assert ended(made.unfit(hand, BUILD, None, "no room\nmore")) == RETRY
    assert hand.quarantined == 2
    assert hand._pause_reason == "not fit: no room"
    assert [one.kind for one in notices_of(hand)] == ["unfit", "paused"]
    assert events[0][0] == ("workers", "1", "notice")
    assert events[0][1]["kind"] == "unfit"


@pytest.mark.parametrize(("earlier", "result"), [([], RETRY), ([RETRY], RETRY), ([RETRY, RETRY], FAILURE)])
def test_a_build_that_fills_every_disk_fails_in_the_end(earlier: list[int], result: int) -> None:
    made, _ = ward(earlier)
    assert ended(made.give_back(Hand(), BUILD, "disk: full")) == result


def test_only_the_wards_own_pause_ends_when_a_worker_comes_back_fit() -> None:
    made, _ = ward()
    for reason, problems, paused in (("not fit: x", [], False), ("retired", [], True), ("not fit: x", ["still"], True)):
        hand = Hand()
        hand.pause(reason)
        fitness = Fitness("pymint/doctor/1", "x", 1, 1, 1, 1, None, {}, "3", "h", problems)
        hand.info.setProperty("pymint_doctor", packed(fitness), "Worker")
        made.came(hand)
        assert hand.paused is paused, reason


def test_a_worker_that_goes_while_it_builds_is_lost_and_one_that_goes_idle_is_not() -> None:
    made, events = ward()
    hand = Hand()
    made.went(hand, [])
    assert events == []
    made.went(hand, ["cpython-3.13"])
    assert notices_of(hand)[-1].kind == "lost"


def test_one_that_can_not_be_asked_keeps_no_other_from_being_looked_after(tmp_path: Path) -> None:
    """A broker that is just gone raises at once, and a certificate may be taken away; the next look has to come."""
    made, _ = ward()
    made.certificate = tmp_path / "gone.pem"
    asked: list[str] = []

    def gone(name: str) -> Any:
        raise DeadReferenceError("Calling Stale Broker")

    def heard(name: str) -> Any:
        asked.append(name)
        return defer.succeed("4.3.0")

    hands = [Hand(), Hand()]
    for hand, name, call in zip(hands, ("a", "b"), (gone, heard), strict=True):
        hand.workername, hand.conn = name, SimpleNamespace(mind=SimpleNamespace(callRemote=call))
    made.master.workers = SimpleNamespace(workers={one.workername: one for one in hands})
    made._look()
    made._look()
    assert asked == ["getVersion"] * 2


def test_plain_text_beyond_loopback_has_to_be_asked_for() -> None:
    assert protocol_complaint(Protocol(), loopback=True) is None
    assert protocol_complaint(Protocol(interface="0.0.0.0"), loopback=False) is None, "TLS is what is left out means"
    found = protocol_complaint(Protocol(interface="0.0.0.0", tls=False), loopback=False)
    assert found is not None
    assert "plain text" in found.what
    assert protocol_complaint(Protocol(tls=False, plain_text=True), loopback=False) is None
    assert protocol_complaint(Protocol(names=["a b"]), loopback=True) is not None


@pytest.mark.parametrize(
    "wrong",
    [Watch(disk_gb=-1), Watch(floor_gb=-1), Watch(clock_s=0), Watch(ping_s=0), Watch(ping_s=61), Watch(unfit_times=0)],
)
def test_what_can_not_be_watched_is_refused(wrong: Watch) -> None:
    assert watch_complaint(wrong) is not None
    assert watch_complaint(Watch()) is None


@pytest.mark.parametrize(
    "wrong",
    [
        Docker(image="../x"),
        Docker(host="docker"),
        Docker(memory_gb=0.1),
        Docker(cpus=0),
        Docker(pids=1),
        Docker(store="x"),
    ],
)
def test_what_no_container_can_be_is_refused(wrong: Docker) -> None:
    assert docker_complaint(wrong) is not None
    assert docker_complaint(Docker()) is None
