"""What a test file left, from regrtest's JUnit XML and exit code. Pure; prose decides nothing."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field

from workers.progress import size
from workers.reports.suite import How

# regrtest's exit codes: main.py of 3.10 and 3.11, results.py from 3.12 on.
_ALL_GOOD, _BAD_TEST, _NO_TESTS_RAN = 0, 2, 4
# What `timeout` of coreutils ends with: when the program ended upon its signal, and when it had to be killed.
_TIMED_OUT = (124, 137)
# A file that ends in one of these ways says nothing of the tests inside, which were not all run.
WHOLE_FILE = frozenset({"skipped", "crashed", "timed out", "could not be run", "cut short", "not told", "no such file"})
_SAID = 4000
# All of CPython's tests together, some 50,000, would fit. The tested interpreter writes it, so it can be of any size.
MOST_XML = 32_000_000


@dataclass(frozen=True)
class Broken:
    """A test, or the whole file under its own name, that did not pass."""

    test: str
    how: How
    said: str


@dataclass(frozen=True)
class Outcome:
    """What became of a test file: numbers of tests that ran and of those skipped, and all that did not pass.

    names: of all tests, those that passed or were skipped too; None where not all are told.
    """

    run: int = 0
    skipped: int = 0
    broken: Sequence[Broken] = field(default_factory=tuple)
    names: frozenset[str] | None = None


@dataclass(frozen=True)
class Left:
    """What a test file's process left. timeout_s: the limit that it had. xml: no more than a byte above `MOST_XML`."""

    exit_code: int
    wall_s: float
    timeout_s: float
    xml: bytes | None
    log: str


def outcome_of(file: str, left: Left) -> Outcome:
    """Reads the XML, and finds every way in which it can be less than the whole truth."""
    whole = _whole_file(file, left)
    if left.xml is None:
        return Outcome(broken=(whole or Broken(file, "skipped", _end(left.log)),))
    if len(left.xml) > MOST_XML:
        large = f"its results have more than {size(MOST_XML)}, so they were not read\n{_end(left.log)}"
        return Outcome(broken=(whole or Broken(file, "cut short", large),))
    try:
        root = ET.fromstring(left.xml)
    except ET.ParseError as error:
        return Outcome(broken=(whole or Broken(file, "cut short", f"{error}\n{_end(left.log)}"),))
    cases = list(root.iter("testcase"))
    broken = [found for case in cases if (found := _broken(case)) is not None]
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    run = max(len(cases), sum(_count(suite, "tests") for suite in root.iter("testsuite")))
    if whole is not None:
        broken.append(whole)
    elif not cases and not broken:
        broken.append(Broken(file, "skipped", _end(left.log)))
    else:
        broken += _contradictions(file, left, root, cases, broken)
    names = frozenset(name for case in cases if (name := case.get("name")) is not None)
    told = not any(one.how in WHOLE_FILE for one in broken)
    return Outcome(run, skipped, tuple(broken), names if told else None)


def _whole_file(file: str, left: Left) -> Broken | None:
    """How the process itself ended, when that was not in one of regrtest's ways."""
    code = left.exit_code
    said = _end(left.log)
    if code in _TIMED_OUT or (code == 1 and left.wall_s >= left.timeout_s):
        return Broken(file, "timed out", f"after {left.wall_s:.0f} s\n{said}")
    if code in (_ALL_GOOD, _NO_TESTS_RAN):
        return None
    if code == _BAD_TEST:
        return None if left.xml is not None and b"<testcase" in left.xml else Broken(file, "could not be run", said)
    how = f"signal {code - 128}" if code > 128 else f"exit code {code}"
    return Broken(file, "crashed", f"{how}\n{said}")


def _broken(case: ET.Element) -> Broken | None:
    name = case.get("name")
    for tag, how in (("error", "error"), ("failure", "failed")):
        found = case.find(tag)
        if found is not None and name is not None:
            return Broken(name, "error" if how == "error" else "failed", _end(found.text or found.get("message") or ""))
    if case.findtext("outcome") == "UNEXPECTED_SUCCESS" and name is not None:
        return Broken(name, "unexpected success", "it passed, though CPython itself expects that it fails")
    return None


def _contradictions(
    file: str, left: Left, root: ET.Element, cases: Sequence[ET.Element], broken: Sequence[Broken]
) -> list[Broken]:
    """Failures that are counted, or that the exit code tells of, and that no testcase names."""
    found = []
    nameless = sum(1 for case in cases if case.get("name") is None)
    counted = sum(_count(suite, what) for suite in root.iter("testsuite") for what in ("errors", "failures"))
    if nameless:
        found.append(Broken(file, "not told", f"{nameless} tests without a name\n{_end(left.log)}"))
    elif (counted or left.exit_code == _BAD_TEST) and not broken:
        found.append(Broken(file, "not told", f"{counted} failures that no test has\n{_end(left.log)}"))
    elif left.exit_code != _BAD_TEST and broken:
        found.append(Broken(file, "cut short", f"failures, but exit code {left.exit_code}\n{_end(left.log)}"))
    return found


def _count(suite: ET.Element, what: str) -> int:
    """A number of a file that the tested interpreter wrote; 0 for what is none."""
    text = suite.get(what, "0")
    return int(text) if text.isdecimal() else 0


def _end(text: str) -> str:
    """The end of a text, as far as a report has room."""
    text = text.strip()
    return text if len(text) <= _SAID else f"…{text[-_SAID:]}"
