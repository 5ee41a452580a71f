"""The report of CPython's own test suite: what ran on which bytes, what failed, what was expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from workers.reports.base import Measure
from workers.reports.build import CellName

Extent = Literal["full", "quick", "none"]
Mode = Literal["off", "on"]
How = Literal[
    "failed",
    "error",
    "unexpected success",
    "skipped",
    "crashed",
    "timed out",
    "could not be run",
    "cut short",
    "not told",
    "no such file",
]


@dataclass(frozen=True)
class Failed:
    """A name that did not pass. test: the test's id, or the file's own name when it is the file that failed.

    how: `failed`, `error`, `unexpected success` are a test's, all others the file's. `skipped`: the whole file.
    said: for people, the end of what it said.
    reason: why that is expected, None when it is not. flaky: pinned as one that may also pass.
    """

    file: str
    test: str
    mode: Mode
    how: How
    said: str
    reason: str | None = None
    flaky: bool = False


@dataclass(frozen=True)
class Vanished:
    """A name that is pinned as failing and did not fail: it passed, was skipped, or is not there any more."""

    file: str
    test: str
    mode: Mode
    reason: str


@dataclass(frozen=True)
class RanFile:
    """One of regrtest's test files in one mode. mode: FIPS off or on. run, skipped: numbers of tests.

    passed: whether it went as expected, pinned failures included.
    """

    file: str
    mode: Mode
    passed: bool
    run: int
    skipped: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class SuiteReport:
    """tree_sha256: digest of the files below python/install, which alone are tested. tested: the archive they ran in.

    That is another archive than `archive` only when its tree is the same, byte for byte (`origin` is then "store").
    extent: `chosen` are single files or modes, which say nothing of the rest. why: what decided it.
    resources: regrtest's `-u`.
    recovered: what nobody expects to fail, failed while other files ran beside it, and did not when its file ran alone.
    """

    schema: Literal["pymint/test/1"]
    ok: bool
    archive: str
    tar_sha256: str
    tree_sha256: str
    tested: str
    origin: Literal["run", "store"]
    cell: CellName
    python_version: str
    extent: Extent | Literal["chosen"]
    why: str
    resources: str
    files: list[RanFile]
    failures: list[Failed]
    vanished: list[Vanished]
    measure: Measure
    failed: str | None = None
    recovered: list[Failed] = field(default_factory=list)

    @property
    def new(self) -> list[Failed]:
        """The failures that nobody expects."""
        return [failure for failure in self.failures if failure.reason is None]

    @property
    def slowest(self) -> list[RanFile]:
        """The ten files that took longest."""
        return sorted(self.files, key=lambda ran: -ran.wall_s)[:10]
