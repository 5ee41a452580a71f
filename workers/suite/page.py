"""The report as a page: one self-contained file, readable in the light and in the dark."""

from __future__ import annotations

from pathlib import Path

import jinja2

from workers.progress import counted, seconds
from workers.reports.suite import Failed, Mode, SuiteReport

_TEMPLATE = Path(__file__).with_name("page.html")


def in_words(report: SuiteReport) -> str:
    """The report in one line: what ran, what failed."""
    if report.extent == "none":
        return f"CPython's own tests: {report.why}"
    if report.failed is not None:
        return report.failed
    parts = []
    for mode in _modes(report):
        files = [one for one in report.files if one.mode == mode]
        tests = sum(one.run for one in files)
        ran = "1 test" if tests == 1 else f"{tests:,} tests".replace(",", " ")
        parts.append(f"FIPS {mode} {ran} in {counted(len(files), 'file')}")
    expected = len(report.failures) - len(report.new)
    whole = {"full": "the full suite", "quick": "the quick part of the suite"}.get(report.extent, "what was chosen")
    before = f", as they did in {report.tested}" if report.origin == "store" else ""
    later = f"; {len(report.recovered)} failed only beside others" if report.recovered else ""
    return f"{whole} passed{before}: {'; '.join(parts)}; {counted(expected, 'expected failure')}{later}"


def page(report: SuiteReport) -> str:
    """The page's HTML. Every text is escaped: it comes from whatever was tested."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    expected = [failure for failure in report.failures if failure.reason is not None]
    return environment.from_string(_TEMPLATE.read_text()).render(
        report=report,
        words=in_words(report),
        modes=[_summary(report, mode) for mode in _modes(report)],
        expected=expected,
        by_reason=_by_reason(expected),
        seconds=seconds,
    )


def _modes(report: SuiteReport) -> list[Mode]:
    return [mode for mode in ("off", "on") if any(ran.mode == mode for ran in report.files)]


def _summary(report: SuiteReport, mode: Mode) -> dict[str, object]:
    files = [ran for ran in report.files if ran.mode == mode]
    return {
        "mode": mode,
        "files": len(files),
        "run": sum(ran.run for ran in files),
        "skipped": sum(ran.skipped for ran in files),
        "cpu_s": sum(ran.cpu_s for ran in files),
    }


def _by_reason(expected: list[Failed]) -> list[tuple[str, list[Failed]]]:
    """The expected failures under their reasons, the most frequent first."""
    grouped: dict[str, list[Failed]] = {}
    for failure in expected:
        grouped.setdefault(failure.reason or "", []).append(failure)
    return sorted(grouped.items(), key=lambda item: -len(item[1]))
