"""Holds what failed against what is pinned as failing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from workers.reports.suite import Failed, Mode, Vanished
from workers.suite.data import Pin, Where
from workers.suite.junit import WHOLE_FILE, Broken, Outcome

_FINAL = frozenset({"skipped", "timed out", "no such file"})


@dataclass(frozen=True)
class Verdict:
    """All that failed, expected or not, and what is pinned but did not fail."""

    failures: list[Failed]
    vanished: list[Vanished]

    @property
    def ok(self) -> bool:
        return not self.vanished and all(failure.reason is not None for failure in self.failures)

    def passed(self, file: str, mode: Mode) -> bool:
        """Whether a file went as expected."""
        wrong = {(failure.file, failure.mode) for failure in self.failures if failure.reason is None}
        return (file, mode) not in wrong | {(gone.file, gone.mode) for gone in self.vanished}


def judge(
    outcomes: Mapping[tuple[str, Mode], Outcome], pins: Sequence[Pin], where: Where, *, whole: bool = False
) -> Verdict:
    """The verdict on the files that ran.

    whole: all that the interpreter has ran, so that a pin of a file that did not speaks of one that is gone. Otherwise
    such pins are not looked at.
    """
    failures: list[Failed] = []
    vanished: list[Vanished] = []
    for (file, mode), outcome in outcomes.items():
        pinned = {test: pin for pin in pins if pin.file == file and pin.applies(where, mode) for test in pin.tests}
        failures += [_failed(file, mode, broken, pinned) for broken in _once(outcome.broken)]
        names = {broken.test for broken in outcome.broken}
        if any(broken.how in WHOLE_FILE for broken in outcome.broken):
            names |= {test for test in pinned if test != file}
        vanished += [
            Vanished(file, test, mode, pin.reason)
            for test, pin in pinned.items()
            if (test not in names if not pin.flaky else _is_gone(test, outcome))
        ]
    return Verdict(failures, [*vanished, *(_gone(outcomes, pins, where) if whole else ())])


def _is_gone(test: str, outcome: Outcome) -> bool:
    """Whether a file that has told all its tests has none of this name: what may also pass has to be there to pass."""
    return outcome.names is not None and test not in outcome.names


def _gone(outcomes: Mapping[tuple[str, Mode], Outcome], pins: Sequence[Pin], where: Where) -> Iterator[Vanished]:
    """What is pinned in files that did not run. One for both modes may be of a file that runs with FIPS off alone.

    A pin that says that there is no such file holds: it is for the lists of another extent, which name the file.
    """
    for pin in pins:
        mode: Mode = "on" if pin.fips == "on" else "off"
        if pin.applies(where, mode) and (pin.file, mode) not in outcomes and pin.how != "no such file":
            for test in pin.tests:
                yield Vanished(pin.file, test, mode, pin.reason)


def worth_another_run(verdict: Verdict) -> list[tuple[str, Mode]]:
    """The files that did not go as expected, for the reason that others ran beside them or for a better one.

    Not those that hit their time limit, which cost half an hour each, nor those that skipped themselves.
    """
    final = {(one.file, one.mode) for one in verdict.failures if one.reason is None and one.how in _FINAL}
    wrong = {(one.file, one.mode) for one in verdict.failures if one.reason is None}
    return sorted((wrong | {(gone.file, gone.mode) for gone in verdict.vanished}) - final)


def recovered(first: Verdict, then: Verdict) -> list[Failed]:
    """The failures that nobody expected at first and that were none in the end."""
    left = {(one.file, one.test, one.mode) for one in then.failures}
    return [one for one in first.failures if one.reason is None and (one.file, one.test, one.mode) not in left]


def headline(verdict: Verdict) -> str | None:
    """Why the verdict is not ok, in one line with the first names; None when it is."""
    new = [failure for failure in verdict.failures if failure.reason is None]
    if verdict.ok:
        return None
    parts = []
    if new:
        names = _names(_short(one.test, one.mode) + _how(one) for one in new)
        parts.append(f"{len(new)} new failure{'s' * (len(new) > 1)}: {names}")
    if verdict.vanished:
        names = _names(_short(one.test, one.mode) for one in verdict.vanished)
        parts.append(f"{len(verdict.vanished)} pinned and not failing any more: {names}")
    return "; ".join(parts)


def _names(all_of_them: Iterable[str], shown: int = 4) -> str:
    names = list(all_of_them)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _short(test: str, mode: Mode) -> str:
    return f"{test.removeprefix('test.')} (FIPS {mode})"


def _how(failure: Failed) -> str:
    return f" {failure.how}" if failure.how in WHOLE_FILE else ""


def _once(broken: Iterable[Broken]) -> list[Broken]:
    """One of each name: a test may fail and then fail again while it is torn down."""
    return list({one.test: one for one in reversed(list(broken))}.values())[::-1]


def _failed(file: str, mode: Mode, broken: Broken, pinned: Mapping[str, Pin]) -> Failed:
    pin = pinned.get(broken.test)
    if pin is not None and pin.how is not None and pin.how != broken.how:
        pin = None  # a file that was skipped and now crashes is news
    return Failed(
        file=file,
        test=broken.test,
        mode=mode,
        how=broken.how,
        said=broken.said,
        reason=None if pin is None else pin.reason,
        flaky=pin is not None and pin.flaky,
    )
