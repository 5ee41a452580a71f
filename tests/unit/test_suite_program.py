"""The program `test` on a run: what passed is not run again, what failed is, and what is not run is said."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from workers.package.stored import tar_path
from workers.programs import test as program
from workers.reports.base import Measure, read_report, write_report
from workers.reports.build import CellName, Plan, ProviderFacts
from workers.reports.suite import Failed, RanFile, SuiteReport
from workers.suite.data import Pin, Where
from workers.suite.identity import Contents, key

CELL = CellName("3.13", "x86_64-unknown-linux-gnu", "noopt")
CONTENTS = Contents("1" * 64, "2" * 64, Where("3.13", "3.13.15", CELL.target, CELL.variant))
PLAN = Plan(
    "pymint/plan/2", CELL, "c" * 40, False, 0, "3.13.15", "cpython-a.tar.zst", "3" * 64, False, {},
    ProviderFacts("3.5.7", "toolchain", None, "2.17"), [], [],
)  # fmt: skip
REPORT = SuiteReport(
    schema="pymint/test/1", ok=True, archive="x", tar_sha256=CONTENTS.tar_sha256, tree_sha256=CONTENTS.tree_sha256,
    tested="x", origin="run", cell=CELL, python_version="3.13.15", extent="quick", why="w", resources="all", files=[],
    failures=[], vanished=[], measure=Measure(),
)  # fmt: skip


class Run:
    """A run directory with a packed archive; `times`: how often the suite ran. Its outcome is `report`."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tmp, self.times, self.report, self.contents = tmp_path, 0, REPORT, CONTENTS
        monkeypatch.setattr(program, "run_suite", self._ran)
        monkeypatch.setattr(program, "read_contents", lambda _: self.contents)
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        self.plan(PLAN)

    def plan(self, plan: Plan) -> None:
        write_report(plan, self.tmp / "run/plan.json")
        tar = tar_path(self.tmp / "run", plan)
        tar.parent.mkdir(parents=True, exist_ok=True)
        tar.touch()

    def _ran(self, *_: Any) -> SuiteReport:
        self.times += 1
        return self.report

    def __call__(self, *options: str) -> SuiteReport:
        places = [f"--{name}={self.tmp / name}" for name in ("run", "state", "cache")]
        done = CliRunner().invoke(program.command, [*places, *options])
        report = read_report(self.tmp / "run/reports/test.json", SuiteReport)
        assert done.exit_code == (0 if report.ok else 1), done.output
        return report


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, monkeypatch)


def test_a_tree_that_passed_is_not_run_again_whatever_its_archive_is_called(run: Run) -> None:
    assert run().origin == "run"
    run.plan(replace(PLAN, archive_name="cpython-b.tar.zst", commit="d" * 40))
    run.contents = replace(CONTENTS, tar_sha256="9" * 64)
    again = run()
    assert run.times == 1
    assert (again.origin, again.archive, again.tested) == ("store", "cpython-b.tar.zst", "cpython-a.tar.zst")
    assert again.tar_sha256 == "9" * 64


def test_another_tree_or_extent_is_run(run: Run) -> None:
    run()
    run("--extent=full")
    run.contents = replace(CONTENTS, tree_sha256="8" * 64)
    run()
    assert run.times == 3


def test_what_failed_and_what_was_only_a_part_is_not_stored(run: Run) -> None:
    run("--only=test_ssl")
    run("--fips=on")
    run.report = replace(REPORT, ok=False, failed="1 new failure: x")
    run()
    run()
    assert run.times == 4


def test_an_expectation_that_changed_is_another_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from workers.suite import identity

    (tmp_path / "suite").mkdir()
    (tmp_path / "suite/3.13.toml").write_text("a")
    monkeypatch.setattr(identity, "SUITE", tmp_path / "suite")
    monkeypatch.setattr(identity, "ROOT", tmp_path)
    for name in identity._PROGRAMS:
        (tmp_path / "workers" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "workers" / name).write_text("")
    before = key(CONTENTS, "quick")
    (tmp_path / "suite/3.13.toml").write_text("b")
    assert key(CONTENTS, "quick") != before


@pytest.mark.parametrize(
    ("where", "extent"),
    [
        (CONTENTS.where, "quick"),
        (replace(CONTENTS.where, target="aarch64-unknown-linux-gnu"), "none"),
        (replace(CONTENTS.where, version="3.10"), "none"),
    ],
)
def test_what_is_not_run_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: Where, extent: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(program, "pins_path", lambda version: tmp_path / f"{version}.toml")
    (tmp_path / "3.13.toml").touch()
    asked = program.Asked(None, (), ("off", "on"), 1)
    found, why = program.chosen_extent(replace(CONTENTS, where=where), asked)
    assert found == extent
    assert why.startswith("not run: ") == (extent == "none")
    assert program.chosen_extent(CONTENTS, replace(asked, extent="full"))[0] == "full"


def test_an_earlier_report_is_judged_by_the_pins_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Failed("test_x", "test.test_x.T.test_y", "off", "failed", "it differs", None)
    files = [RanFile("test_x", "off", False, 3, 0, 1.0, 1.0)]
    report = replace(REPORT, ok=False, failed="1 new failure", extent="full", failures=[new], files=files)
    pins = [Pin("test_x", (new.test,), "the sandbox")]
    monkeypatch.setattr(program, "load_pins", lambda _: pins)
    again = program.judged_again(report)
    assert (again.ok, again.failed, again.files[0].passed) == (True, None, True)
    pins.append(Pin("test_gone", ("test_gone",), "a race", flaky=True))
    assert [one.file for one in program.judged_again(report).vanished] == ["test_gone"]
    assert program.judged_again(replace(report, extent="quick")).ok
