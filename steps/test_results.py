"""A suite's report as Buildbot's test result sets, which its page does not show but the REST API does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workers.reports.suite import SuiteReport


@dataclass(frozen=True)
class Result:
    """value: text, which is all that Buildbot stores."""

    name: str
    value: str
    duration_ns: int | None = None


@dataclass(frozen=True)
class ResultSet:
    """category and unit: Buildbot counts "pass_fail" with "boolean", and "fail_only"."""

    description: str
    category: str
    unit: str
    results: list[Result]


def of(report: SuiteReport) -> Iterator[ResultSet]:
    """For each mode the test files, as expected or not, and the names that failed. Tens of thousands of names of tests
    that passed would say nothing and fill the database."""
    for mode in ("off", "on"):
        files = [ran for ran in report.files if ran.mode == mode]
        if not files:
            continue
        yield ResultSet(
            f"test files, FIPS {mode}",
            "pass_fail",
            "boolean",
            [Result(ran.file, str(int(ran.passed)), int(ran.wall_s * 1e9)) for ran in files],
        )
        failed = [failure for failure in report.failures if failure.mode == mode]
        gone = [one for one in report.vanished if one.mode == mode]
        yield ResultSet(
            f"failures, FIPS {mode}",
            "fail_only",
            "message",
            [
                *(Result(one.test, f"expected: {one.reason}" if one.reason else f"new: {one.how}") for one in failed),
                *(Result(one.test, "pinned, and does not fail") for one in gone),
            ],
        )
