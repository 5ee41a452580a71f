"""From pairs of times to one figure, its interval and a verdict. Pure: no clock, no process, no global random state.

A ratio is the baseline's time over the candidate's: above 1 the candidate is the faster one.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median
from typing import Literal

Verdict = Literal["faster", "slower", "no difference seen"]

# Enough for the second decimal of a percentile to stand still; the seed makes a result file say the same each time.
RESAMPLES = 2000
SEED = 20


@dataclass(frozen=True)
class Estimate:
    """A ratio and the ends of its 95 % interval."""

    ratio: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """How far from 1.0 the interval reaches, as a fraction: of an A/A run, the noise floor."""
        return max(abs(self.low - 1.0), abs(self.high - 1.0))


def total_of(pairs: Mapping[str, Sequence[float]]) -> float:
    """The geometric mean over benchmarks of the median of each one's pair ratios. `pairs`: benchmark → ratios."""
    return geometric_mean([median(ratios) for ratios in pairs.values()])


def estimate(pairs: Mapping[str, Sequence[float]], *, resamples: int = RESAMPLES, seed: int = SEED) -> Estimate:
    """`total_of` with its 95 % percentile interval, by resampling the pairs within each benchmark.

    The benchmarks themselves are not resampled: they are the twenty that were chosen, not a sample of all programs.
    """
    source = random.Random(seed)
    totals = sorted(
        total_of({name: source.choices(ratios, k=len(ratios)) for name, ratios in pairs.items()})
        for _ in range(resamples)
    )
    return Estimate(total_of(pairs), _percentile(totals, 0.025), _percentile(totals, 0.975))


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]


def verdict_of(found: Estimate, floor: float) -> Verdict:
    """Says something only if the interval excludes 1.0 and the ratio lies outside the noise floor.

    floor: the A/A run's spread. An interval that excludes 1.0 by less than what the same binary differs from itself
    says nothing about the binaries.
    """
    if found.low <= 1.0 <= found.high or abs(found.ratio - 1.0) <= floor:
        return "no difference seen"
    return "faster" if found.ratio > 1.0 else "slower"


def order_of(round_number: int) -> tuple[Literal["baseline", "candidate"], Literal["baseline", "candidate"]]:
    """A B, then B A, then A B: over two rounds ABBA, so that a drift of the machine favours neither."""
    return ("baseline", "candidate") if round_number % 2 == 0 else ("candidate", "baseline")


def loops_for(seconds: float, loops: int, measured: float) -> int:
    """How many loops take about `seconds` of user CPU, when `loops` took `measured` seconds. At least one."""
    return max(1, round(loops * seconds / measured)) if measured > 0 else loops * 10
