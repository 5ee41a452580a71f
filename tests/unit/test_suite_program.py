"""The program `test` on a run: what passed is not run again, what failed is, and what is not run is said."""

from __future__ import annotations

import io
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from workers.fips.tree import Tree
from workers.package.stored import tar_path
from workers.programs import test as program
from workers.progress import Progress
from workers.reports.base import Measure, read_report, write_report
from workers.reports.build import CellName, Plan, ProviderFacts
from workers.reports.suite import Extent, Failed, Mode, RanFile, SuiteReport
from workers.sandbox import Ended
from workers.suite import running as running_of_suite
from workers.suite.data import Pin, Running, Where
from workers.suite.identity import Contents, key
from workers.suite.junit import Broken, Outcome
from workers.suite.running import Ran

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


# --- run_suite, on a tree whose test files end as they are told ---

PASSED, FAILED = Outcome(3), Outcome(3, broken=(Broken("test.test_x.T.test_y", "failed", "it differs"),))


class Suite:
    """Test files by name, with what becomes of each in its first run and, alone, in the second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pins: list[Pin], **files: tuple[Outcome, Outcome]) -> None:
        self.files = files
        self.jobs: list[tuple[int, list[str]]] = []
        running = Running("all", 9, (), (), (), ("test_x",), (), {})
        monkeypatch.setattr(program, "load_running", lambda: running)
        monkeypatch.setattr(program, "load_pins", lambda _: pins)
        monkeypatch.setattr(program, "extract", lambda *_, **__: None)
        monkeypatch.setattr(program, "find_tree", lambda unpacked: Tree(unpacked, unpacked / "bin/python3.13"))
        monkeypatch.setattr(running_of_suite.Tree, "prepare", lambda _: None)
        monkeypatch.setattr(running_of_suite.Tree, "files", lambda _: list(files))
        monkeypatch.setattr(program, "run_all", self._run_all)

    def _run_all(self, _: Any, wanted: list[tuple[str, Mode]], jobs: int, told: Any) -> list[Ran]:
        self.jobs.append((jobs, [file for file, _ in wanted]))
        return [Ran(file, mode, self.files[file][len(self.jobs) - 1], Ended(0, 1.0, 1.0, 1)) for file, mode in wanted]

    def __call__(self, tmp_path: Path, extent: Extent) -> SuiteReport:
        asked = program.Asked(extent, (), ("off", "on"), 4)
        progress = Progress(io.StringIO())
        return program.run_suite(tmp_path / "a.tar", CONTENTS, asked, tmp_path / "scratch", progress)


def test_what_failed_beside_others_runs_once_more_alone_and_that_run_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    suite = Suite(monkeypatch, [], test_x=(FAILED, PASSED), test_z=(FAILED, FAILED), test_a=(PASSED, PASSED))
    report = suite(tmp_path, "full")
    assert suite.jobs == [(4, ["test_x", "test_z", "test_a"]), (1, ["test_x", "test_z"])]
    assert (report.ok, [one.file for one in report.new]) == (False, ["test_z"])
    assert [one.file for one in report.recovered] == ["test_x"]
    assert [one.file for one in report.files if not one.passed] == ["test_z"]


def test_a_pin_of_a_file_that_is_gone_is_missed_by_a_full_run_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pins = [Pin("test_gone", ("test.test_gone.T.test_a",), "the sandbox")]
    report = Suite(monkeypatch, pins, test_x=(PASSED, PASSED))(tmp_path, "full")
    assert (report.ok, [one.file for one in report.vanished]) == (False, ["test_gone"])
    assert Suite(monkeypatch, pins, test_x=(PASSED, PASSED))(tmp_path, "quick").ok


def test_a_listed_file_that_the_interpreter_does_not_have_is_a_new_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = Suite(monkeypatch, [], test_a=(PASSED, PASSED))(tmp_path, "quick")
    assert [(one.file, one.how) for one in report.new] == [("test_x", "no such file")]
