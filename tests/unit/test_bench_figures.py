"""The comparison's arithmetic. Nothing here looks at a clock."""

from __future__ import annotations

import random
from statistics import geometric_mean

import pytest

from tests.bench.figures import Estimate, estimate, loops_for, order_of, total_of, verdict_of


def test_a_benchmark_counts_by_the_median_of_its_pairs_so_that_one_disturbed_pair_does_not() -> None:
    assert total_of({"nbody": [1.1, 1.1, 9.0]}) == pytest.approx(1.1)


def test_the_total_is_the_geometric_mean_so_that_twice_and_half_as_fast_cancel() -> None:
    assert total_of({"nbody": [2.0, 2.0], "go": [0.5, 0.5]}) == pytest.approx(1.0)


def test_each_benchmark_weighs_the_same_however_many_pairs_it_has() -> None:
    assert total_of({"nbody": [1.2] * 9, "go": [1.0]}) == pytest.approx(geometric_mean([1.2, 1.0]))


def noisy(centre: float, spread: float) -> dict[str, list[float]]:
    source = random.Random(7)
    return {name: [centre * (1 + source.uniform(-spread, spread)) for _ in range(8)] for name in ("a", "b", "c", "d")}


def test_the_interval_holds_the_total_and_is_the_same_each_time() -> None:
    pairs = noisy(1.05, 0.1)
    found = estimate(pairs)
    assert found == estimate(pairs)
    assert found.low < found.ratio < found.high
    assert found != estimate(pairs, seed=21)


def test_more_noise_makes_a_wider_interval() -> None:
    quiet, loud = estimate(noisy(1.0, 0.01)), estimate(noisy(1.0, 0.2))
    assert loud.high - loud.low > 5 * (quiet.high - quiet.low)


def test_pairs_without_noise_leave_no_doubt() -> None:
    assert estimate({"nbody": [1.25] * 8}) == Estimate(1.25, 1.25, 1.25)


@pytest.mark.parametrize(
    ("found", "floor", "verdict"),
    [
        (Estimate(1.04, 1.01, 1.07), 0.0, "faster"),
        (Estimate(0.80, 0.75, 0.85), 0.02, "slower"),
        (Estimate(1.04, 0.99, 1.09), 0.0, "no difference seen"),
        (Estimate(0.97, 0.95, 1.0), 0.0, "no difference seen"),
        (Estimate(1.015, 1.01, 1.02), 0.02, "no difference seen"),
        (Estimate(0.985, 0.98, 0.99), 0.02, "no difference seen"),
    ],
)
def test_a_verdict_needs_an_interval_without_one_and_a_ratio_outside_the_noise(
    found: Estimate, floor: float, verdict: str
) -> None:
    assert verdict_of(found, floor) == verdict


def test_the_noise_floor_is_the_far_end_of_the_interval() -> None:
    assert Estimate(1.0, 0.96, 1.02).spread == pytest.approx(0.04)
    assert Estimate(1.019, 1.01, 1.03).spread == pytest.approx(0.03)


def test_two_rounds_are_abba() -> None:
    assert [*order_of(0), *order_of(1)] == ["baseline", "candidate", "candidate", "baseline"]
    assert order_of(2) == order_of(0)


def test_loops_fill_the_time_wanted_and_are_never_none() -> None:
    assert loops_for(0.3, 64, 0.2) == 96
    assert loops_for(0.3, 1, 5.0) == 1
