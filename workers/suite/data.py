"""The data of cpython-unix/suite: which test files run, and which names are pinned as failing."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from workers.errors import Failure
from workers.model import DATA
from workers.reports.suite import Extent, How, Mode

SUITE = DATA / "suite"
RUN = SUITE / "run.toml"


@dataclass(frozen=True)
class Running:
    """run.toml. first: files that take long, begun before all others.

    resources: regrtest's `-u`. timeout_s: for one test file. tools: the programs that tests find on PATH.
    fips: what runs with FIPS on, too. quick, quick_fips: what the extent `quick` runs.
    absent: by minor version, which of these a release of it may do without.
    A name stands for the file and, where regrtest splits a package into files, for all of these.
    """

    resources: str
    timeout_s: int
    tools: tuple[str, ...]
    first: tuple[str, ...]
    fips: tuple[str, ...]
    quick: tuple[str, ...]
    quick_fips: tuple[str, ...]
    absent: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Where:
    """What is tested. release: the patch release, such as 3.13.15."""

    version: str
    release: str
    target: str
    variant: str


@dataclass(frozen=True)
class Pin:
    """A table of a version's file: tests of `file`, or the file itself by its own name, that fail, and why.

    how: of a pin of the file itself, in which way it fails ("skipped", "crashed"); a test's pin has none.
    fips: the mode in which they do. flaky: they may also pass. targets, variants, releases: where; empty: everywhere.
    """

    file: str
    tests: tuple[str, ...]
    reason: str
    how: How | None = None
    fips: Literal["off", "on", "both"] = "both"
    flaky: bool = False
    targets: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()

    def applies(self, where: Where, mode: Mode) -> bool:
        wanted = ((self.targets, where.target), (self.variants, where.variant), (self.releases, where.release))
        return self.fips in ("both", mode) and all(not names or name in names for names, name in wanted)


def load_running(path: Path = RUN) -> Running:
    """Raises Failure when the file can't be read or is not of that form."""
    running: Running = _convert(_read(path), Running, path)
    return running


def pins_path(version: str) -> Path:
    return SUITE / f"{version}.toml"


def load_pins(version: str, path: Path | None = None) -> list[Pin]:
    """The pinned failures of a minor version; none where it has no file.

    Raises Failure for a file of another form, a pin without a reason, and a name that is pinned twice for one place.
    """
    path = path or pins_path(version)
    if not path.exists():
        return []
    raw = _read(path)
    if unknown := sorted(set(raw) - {"pin"}):
        raise _wrong(path, f"unknown tables: {', '.join(unknown)}", "only [[pin]] tables")
    pins: list[Pin] = _convert([one for table in raw.get("pin", []) for one in _each(table, path)], list[Pin], path)
    seen: set[tuple[object, ...]] = set()
    for pin in pins:
        if not pin.reason.strip() or pin.reason.startswith("?"):
            raise _wrong(path, f"no reason for {pin.file}: {', '.join(pin.tests)}", "a sentence that says why")
        if (pin.how is not None) != (pin.tests == (pin.file,)):
            raise _wrong(path, f"{pin.file}: `how` is {pin.how}", "`how` for the file itself, none for its tests")
        for mode in ("off", "on") if pin.fips == "both" else (pin.fips,):
            for test in pin.tests:
                place = (pin.file, test, mode, pin.targets, pin.variants, pin.releases)
                if place in seen:
                    raise _wrong(path, f"{test} is pinned twice", "each name once")
                seen.add(place)
    return pins


def _each(table: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """A table with `files` stands for one of each of them, which pins the file itself."""
    if "files" not in table:
        return [table]
    if not isinstance(table["files"], list) or {"file", "tests"} & set(table):
        raise _wrong(
            path, f"a pin with files = {table['files']}", "a list of files, and no `file` or `tests` beside it"
        )
    rest = {name: value for name, value in table.items() if name != "files"}
    return [{**rest, "file": name, "tests": [name]} for name in table["files"]]


def planned(extent: Extent, known: Sequence[str], running: Running, version: str) -> list[tuple[str, Mode]]:
    """What an extent runs, in the order in which it is begun. known: all test files that the interpreter has.

    A file that should be there and is not stands in the plan under its own name, for the run to miss it.
    """
    if extent == "none":
        return []
    absent = running.absent.get(version, ())

    def files(names: Sequence[str]) -> list[str]:
        found = [(name, _matching(name, known)) for name in names]
        return [file for name, files in found for file in files or (() if name in absent else (name,))]

    off = list(known) if extent == "full" else files(running.quick)
    on = files(running.fips if extent == "full" else running.quick_fips)
    first = [file for name in running.first for file in _matching(name, known)]
    order = {file: place for place, file in enumerate(first)}
    both: list[tuple[str, Mode]] = [*((file, "off") for file in off), *((file, "on") for file in on)]
    return sorted(both, key=lambda one: order.get(one[0], len(order)))


def _matching(name: str, known: Sequence[str]) -> list[str]:
    return [file for file in known if file in (name, f"test.{name}") or file.startswith(f"test.{name}.")]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise _wrong(path, str(error), "readable TOML") from error


def _convert(raw: Any, kind: Any, path: Path) -> Any:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise _wrong(path, str(error), "the form that docs/testing.md shows") from error


def _wrong(path: Path, found: str, wanted: str) -> Failure:
    return Failure("test-suite", f"{path.name} can't be used", wanted=wanted, found=found, todo=f"Mend {path}.")
