from __future__ import annotations

from dataclasses import replace

import pytest

from master.watch.vitals import Limits, Vitals, judge

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
