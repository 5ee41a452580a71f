"""What an archive's CPython has to be able to do: which features are asked for, and what their answers make."""

from __future__ import annotations

import subprocess
import sys

import pytest

from workers.features.wanted import FEATURES, judge
from workers.fips.inside import Answer, answers_of
from workers.model import ROOT
from workers.reports.checks import Check, Skipped

ASK = "import sys; sys.path.append(sys.argv[1]); from workers.features.probes import answer_all; answer_all()"


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    """The answers of the interpreter that runs this test."""
    ran = subprocess.run([sys.executable, "-B", "-c", ASK, str(ROOT)], capture_output=True, text=True, check=True)
    return answers_of(ran.stdout)


def all_work() -> dict[str, Answer]:
    return {feature.id: Answer("works", "") for feature in FEATURES}


def wrong(given: dict[str, Answer], number: tuple[int, int] = (3, 14), system: str = "linux") -> list[str]:
    return [o.id for o in judge(given, number, system, None) if isinstance(o, Check) and not o.ok]


def test_every_feature_has_a_probe_and_every_probe_a_feature(answers: dict[str, Answer]) -> None:
    assert sorted(answers) == sorted(feature.id for feature in FEATURES)


@pytest.mark.parametrize("name", ["zlib", "bz2", "lzma", "ctypes-callbacks", "decimal", "xml", "semaphores"])
def test_a_probe_finds_what_an_ordinary_python_has(answers: dict[str, Answer], name: str) -> None:
    assert answers[name].outcome in ("works", "unknown"), answers[name].found


def test_a_module_that_is_not_there_is_found_out() -> None:
    hidden = f"import sys; sys.modules['_lzma'] = None; {ASK}"
    ran = subprocess.run([sys.executable, "-B", "-c", hidden, str(ROOT)], capture_output=True, text=True, check=True)
    assert "feature.lzma" in wrong(answers_of(ran.stdout), (3, 11))


def test_a_feature_that_does_not_work_is_a_failed_check_and_says_what_came() -> None:
    given = all_work() | {"sqlite-extensions": Answer("refused", "OperationalError: no such module: geopoly")}
    (check,) = [o for o in judge(given, (3, 13), "linux", None) if isinstance(o, Check) and not o.ok]
    assert (check.id, check.found) == (
        "feature.sqlite-extensions",
        "refused: OperationalError: no such module: geopoly",
    )


def test_a_probe_that_gave_no_answer_is_a_failed_check() -> None:
    given = all_work()
    del given["tls"]
    assert wrong(given) == ["feature.tls"]


def test_an_interpreter_that_died_on_the_way_fails_even_if_all_answers_came() -> None:
    (check,) = [o for o in judge(all_work(), (3, 13), "linux", "exit code -11: nothing was written") if not _held(o)]
    assert check.id == "feature"


def test_what_a_machine_can_not_tell_is_skipped_with_the_reason() -> None:
    given = all_work() | {"pidfd_open": Answer("unknown", "this kernel does not have the call")}
    assert Skipped("feature.pidfd_open", "this kernel does not have the call") in list(
        judge(given, (3, 13), "linux", None)
    )


def test_a_version_and_a_system_are_asked_for_what_they_have() -> None:
    of_310 = {o.id for o in judge(all_work(), (3, 10), "linux", None)}
    of_macos = {o.id for o in judge(all_work(), (3, 14), "macos", None)}
    assert not {"feature.zstd", "feature.profiling"} & of_310
    assert "feature.zstd" in of_macos
    assert not {"feature.vsock", "feature.getrandom"} & of_macos


def _held(outcome: Check | Skipped) -> bool:
    return isinstance(outcome, Skipped) or outcome.ok
