"""How the answers of the probes are held against what is expected."""

from __future__ import annotations

from typing import get_args

import pytest

from workers.fips.claims import Module
from workers.fips.expected import EXPECTED
from workers.fips.inside import Answer, Inside, Mode, judge
from workers.fips.probes import ask
from workers.fips.probes.core import PROBES

ALL_SETTINGS = {expected.setting: "1" for expected in EXPECTED if expected.setting}
MODULE = Module("0" * 64, {"activate": "1", **ALL_SETTINGS})


def right(mode: Mode) -> Inside:
    return Inside({e.id: Answer(e.on if mode == "on" else e.off, "") for e in EXPECTED})


def test_every_probe_is_expected_and_every_expectation_has_a_probe() -> None:
    assert ask.hashes
    assert sorted(name for name, _ in PROBES) == sorted(expected.id for expected in EXPECTED)


@pytest.mark.parametrize("mode", get_args(Mode))
def test_right_answers_hold(mode: Mode) -> None:
    checks, skipped = judge(right(mode), MODULE, mode)
    assert len(checks) == len(EXPECTED)
    assert all(check.ok for check in checks)
    assert not skipped


def test_the_answers_of_an_interpreter_without_fips_fail_with_fips_on() -> None:
    checks, _ = judge(right("off"), MODULE, "on")
    failed = {check.id for check in checks if not check.ok}
    assert {"inside.mode.provider", "inside.md5.constructor", "inside.kdf.scrypt", "inside.tls.chacha"} <= failed
    assert len(failed) >= 11


@pytest.mark.parametrize("missing", ["md5.constructor", "tls.1.3"])
def test_a_probe_that_says_nothing_has_failed(missing: str) -> None:
    inside = right("on")
    answers = {name: answer for name, answer in inside.answers.items() if name != missing}
    checks, _ = judge(Inside(answers), MODULE, "on")
    assert [check.id for check in checks if not check.ok] == [f"inside.{missing}"]


def test_a_crash_of_the_run_has_failed_even_when_every_probe_answered() -> None:
    checks, _ = judge(Inside(right("on").answers, "exit code -11"), MODULE, "on")
    assert [check.found for check in checks if not check.ok] == ["exit code -11"]


def test_a_wrong_digest_is_not_taken_for_a_refusal() -> None:
    inside = right("on")
    inside.answers["md5.constructor"] = Answer("wrong", "another digest")
    checks, _ = judge(inside, MODULE, "on")
    assert [check.id for check in checks if not check.ok] == ["inside.md5.constructor"]


def test_a_provider_without_the_setting_is_not_blamed_for_what_it_can_not_check() -> None:
    """Release 3.1.2 has no hmac-key-check: a key of one byte works there."""
    older = Module("0" * 64, {name: value for name, value in MODULE.settings.items() if name != "hmac-key-check"})
    inside = right("on")
    inside.answers["mac.one-byte-key"] = Answer("works", "")
    checks, skipped = judge(inside, older, "on")
    assert all(check.ok for check in checks)
    assert [left_out.id for left_out in skipped] == ["inside.mac.one-byte-key"]


def test_a_check_that_the_module_knows_and_its_config_leaves_out_is_found_by_what_works() -> None:
    fewer = {name: value for name, value in MODULE.settings.items() if name != "hmac-key-check"}
    inside = right("on")
    inside.answers["mac.one-byte-key"] = Answer("works", "")
    checks, skipped = judge(inside, Module("0" * 64, fewer, frozenset({"hmac-key-check"})), "on")
    assert [check.id for check in checks if not check.ok] == ["inside.mac.one-byte-key"]
    assert not skipped


def test_a_setting_that_is_switched_off_is_found_by_what_works() -> None:
    weak = Module("0" * 64, {**MODULE.settings, "hmac-key-check": "0"})
    inside = right("on")
    inside.answers["mac.one-byte-key"] = Answer("works", "")
    checks, _ = judge(inside, weak, "on")
    assert [check.id for check in checks if not check.ok] == ["inside.mac.one-byte-key"]


def test_what_can_not_be_known_here_is_said_and_not_counted() -> None:
    inside = right("on")
    inside.answers["child.system-openssl"] = Answer("unknown", "this machine has no openssl program")
    checks, skipped = judge(inside, MODULE, "on")
    assert len(checks) == len(EXPECTED) - 1
    assert [left_out.why for left_out in skipped] == ["this machine has no openssl program"]
