"""The pins that would make a report's failures expected ones: a proposal for people to judge."""

from __future__ import annotations

import json
from collections.abc import Iterable

from workers.reports.suite import Failed, SuiteReport

REASON = "? why does this fail, and is it ours, the sandbox's or upstream's"


def proposal(report: SuiteReport) -> str:
    """TOML tables for all new failures, by file and mode, with what each said as comments; and what to take out.

    The reason is left to be filled in: a pin whose reason begins with `?` is refused.
    """
    parts = [
        "\n".join(
            [
                *(f"# {line}" for failure in failures for line in _comment(failure)),
                "[[pin]]",
                f"file = {json.dumps(file)}",
                *([f"how = {json.dumps(how)}"] if how else []),
                *([] if fips == "both" else [f"fips = {json.dumps(fips)}"]),
                f"tests = [{', '.join(json.dumps(failure.test) for failure in failures)}]"
                if len(failures) == 1
                else "tests = [\n" + "".join(f"  {json.dumps(failure.test)},\n" for failure in failures) + "]",
                f"reason = {json.dumps(REASON)}",
            ]
        )
        for (file, how, fips), failures in _grouped(report.new).items()
    ]
    gone = [f"# take out: {one.file} (FIPS {one.mode}): {one.test}" for one in report.vanished]
    return "\n\n".join([*parts, *(["\n".join(gone)] if gone else [])]) + "\n" if parts or gone else ""


def _grouped(new: Iterable[Failed]) -> dict[tuple[str, str, str], list[Failed]]:
    """By file, way (of the file itself) and mode; a name that failed in both modes stands once, under `both`."""
    modes: dict[tuple[str, str, str], set[str]] = {}
    first: dict[tuple[str, str, str], Failed] = {}
    for failure in new:
        name = failure.file, failure.test, str(failure.how) if failure.test == failure.file else ""
        modes.setdefault(name, set()).add(failure.mode)
        first.setdefault(name, failure)
    grouped: dict[tuple[str, str, str], list[Failed]] = {}
    for name, failure in first.items():
        fips = "both" if len(modes[name]) == 2 else next(iter(modes[name]))
        grouped.setdefault((failure.file, name[2], fips), []).append(failure)
    return grouped


def _comment(failure: Failed) -> list[str]:
    lines = [line for line in failure.said.splitlines() if line.strip()]
    return [f"{failure.test}: {failure.how}", *(f"  {line[:160]}" for line in lines[-2:])]
