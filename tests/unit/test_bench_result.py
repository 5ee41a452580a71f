"""What the comparison makes of its pairs, and what it refuses to say."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.compare import begin, judged, resumed
from tests.bench.materials import interpreter, same_minor, text_like
from tests.bench.result import ROUNDS, Interpreter, Pair, Phase, Result, shortfalls
from tests.bench.show import duration, text_of
from tests.bench.tasks import BENCHMARKS
from workers.errors import Failure
from workers.reports.base import write_report

DEBIAN = Interpreter(
    "/usr/bin/python3.11", "a" * 64, "3.11.2", "3.11", "GCC 12.2.0", {"CC": "gcc"}, "OpenSSL 3.0", False
)
OURS = replace(DEBIAN, executable="/tmp/python/bin/python3.11", sha256="b" * 64, compiler="Clang 22", fips=True)


def pairs(phase: Phase, rounds: int, baseline_s: float, names: tuple[str, ...] = ("nbody", "go")) -> list[Pair]:
    """Ratios a little apart, so that an interval has a width."""
    return [
        Pair(phase, name, number, 10, baseline_s * (1 + 0.002 * (number - rounds / 2)), 0.3, 1.0)
        for name in names
        for number in range(rounds)
    ]


def result(*taken: list[Pair]) -> Result:
    return replace(
        begin(DEBIAN, OURS, {"pyperformance": "1.14.0"}, 0.3), pairs=[pair for each in taken for pair in each]
    )


def test_the_protocols_twenty_benchmarks_are_measured_once_each() -> None:
    assert len({task.name for task in BENCHMARKS}) == 20


def test_a_candidate_that_takes_less_time_is_faster() -> None:
    found = judged(result(pairs("a/a", ROUNDS, 0.3), pairs("a/b", ROUNDS, 0.36)))
    assert found.verdict == "faster"
    assert found.total is not None
    assert found.total.ratio == pytest.approx(1.2, rel=0.01)
    assert found.rows["nbody"].baseline_ms == pytest.approx(36, rel=0.01)
    assert shortfalls(found) == []


def test_fewer_rounds_than_the_protocol_asks_for_bear_no_verdict() -> None:
    found = judged(result(pairs("a/a", ROUNDS, 0.3), pairs("a/b", ROUNDS - 1, 0.36)))
    assert found.verdict is None
    assert found.total is not None
    assert shortfalls(found) == ["a/b: 7 of 8 rounds"]
    assert "too few rounds" in text_of(found)


def test_without_a_noise_floor_there_is_no_verdict() -> None:
    assert judged(result(pairs("a/b", ROUNDS, 0.36))).verdict is None


def test_a_benchmark_that_was_left_out_counts_nowhere_and_is_named() -> None:
    taken = result(pairs("a/a", ROUNDS, 0.3), pairs("a/b", ROUNDS, 0.36), pairs("a/b", 2, 9.0, ("html5lib",)))
    found = judged(replace(taken, left_out={"html5lib": "ended with 1: no module"}))
    assert found.total is not None
    assert found.total.ratio == pytest.approx(1.2, rel=0.01)
    assert "left out: html5lib: ended with 1: no module" in text_of(found)


def test_rows_of_their_own_do_not_enter_the_total() -> None:
    taken = pairs("a/a", ROUNDS, 0.3), pairs("a/b", ROUNDS, 0.36)
    assert judged(result(*taken, pairs("rows", ROUNDS, 3.0, ("bz2_10mb",)))).total == judged(result(*taken)).total


def test_a_run_goes_on_from_its_own_file_only(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    earlier = judged(result(pairs("a/a", 3, 0.3)))
    write_report(earlier, file)
    fresh = begin(DEBIAN, OURS, {"pyperformance": "1.14.0"}, 0.3)
    assert resumed(fresh, file).pairs == earlier.pairs
    with pytest.raises(Failure, match="whose candidate differs"):
        resumed(replace(fresh, candidate=replace(OURS, sha256="c" * 64)), file)


def test_interpreters_of_different_minors_are_not_compared() -> None:
    with pytest.raises(Failure, match="different minor versions"):
        same_minor(DEBIAN, replace(OURS, minor="3.13"))


def test_what_is_no_interpreter_is_told_so(tmp_path: Path) -> None:
    impostor = tmp_path / "python3.11"
    impostor.write_text("#!/bin/sh\nexit 3\n")
    impostor.chmod(0o755)
    with pytest.raises(Failure, match="no interpreter that could be measured"):
        interpreter(impostor)


def test_the_codecs_data_is_the_same_each_time_and_neither_noise_nor_repetition() -> None:
    data = text_like(200_000)
    assert data == text_like(200_000)
    assert len(data) == 200_000
    assert 0.2 < len(zlib.compress(data)) / len(data) < 0.6


def test_short_times_are_told_in_microseconds() -> None:
    assert (duration(0.00066), duration(471.2)) == ("0.66 us", "471.2 ms")
