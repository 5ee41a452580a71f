"""CPython's own suite: what regrtest leaves, what is pinned, what is proposed, and the identity of a result."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from steps import pages, summaries, test_results
from workers.errors import Failure
from workers.model import load_matrix
from workers.reports.base import Measure
from workers.reports.build import CellName
from workers.reports.suite import Failed, Mode, RanFile, SuiteReport
from workers.suite.data import SUITE, Pin, Running, Where, load_pins, load_running, planned
from workers.suite.judge import headline, judge, recovered, worth_another_run
from workers.suite.junit import MOST_XML, Broken, Left, Outcome, outcome_of
from workers.suite.propose import proposal

WHERE = Where("3.13", "3.13.15", "x86_64-unknown-linux-gnu", "noopt")
TEST = "test.test_x.T.test_y"
GOOD = b'<testsuites><testsuite tests="1" errors="0" failures="0"><testcase name="a"/></testsuite></testsuites>'
BAD = (
    f'<testsuites><testsuite tests="2" errors="0" failures="1"><testcase name="{TEST}"><failure type="E">no</failure>'
    '</testcase><testcase name="b"><skipped>dull</skipped></testcase></testsuite></testsuites>'
).encode()


def left(exit_code: int, xml: bytes | None, wall_s: float = 1.0) -> Left:
    return Left(exit_code, wall_s, 100.0, xml, "the log's end")


def how(exit_code: int, xml: bytes | None, wall_s: float = 1.0) -> list[tuple[str, str]]:
    return [(one.test, one.how) for one in outcome_of("test_x", left(exit_code, xml, wall_s)).broken]


def test_tests_are_counted_and_failures_named() -> None:
    assert outcome_of("test_x", left(0, GOOD)) == Outcome(1, 0, (), frozenset({"a"}))
    assert outcome_of("test_x", left(2, BAD)) == Outcome(2, 1, (Broken(TEST, "failed", "no"),), frozenset({TEST, "b"}))


@pytest.mark.parametrize(
    ("exit_code", "xml", "wall_s", "wanted"),
    [
        (139, None, 1, "crashed"),
        (134, GOOD, 1, "crashed"),
        (1, None, 1, "crashed"),
        (1, None, 100, "timed out"),
        (124, None, 160, "timed out"),
        (137, None, 170, "timed out"),
        (2, None, 1, "could not be run"),
        (2, b"<testsuites/>", 1, "could not be run"),
        (0, None, 1, "skipped"),
        (4, None, 1, "skipped"),
        (0, b"<testsuites/>", 1, "skipped"),
        (0, GOOD[:60], 1, "cut short"),
        (0, GOOD + b" " * MOST_XML, 1, "cut short"),
        (139, GOOD + b" " * MOST_XML, 1, "crashed"),
        (2, GOOD, 1, "not told"),
        (2, GOOD.replace(b'errors="0"', b'errors="1"'), 1, "not told"),
        (0, GOOD.replace(b' name="a"', b""), 1, "not told"),
    ],
)
def test_a_file_that_did_not_simply_run_fails_by_its_own_name(
    exit_code: int, xml: bytes | None, wall_s: float, wanted: str
) -> None:
    assert how(exit_code, xml, wall_s) == [("test_x", wanted)]


def test_failures_that_the_exit_code_does_not_know_of_are_not_all_there_is() -> None:
    assert how(0, BAD) == [(TEST, "failed"), ("test_x", "cut short")]


def test_an_unexpected_success_is_a_failure() -> None:
    xml = GOOD.replace(b'name="a"/>', b'name="a"><outcome>UNEXPECTED_SUCCESS</outcome></testcase>')
    assert how(2, xml) == [("a", "unexpected success")]


def failing(*tests: str, how: str = "failed") -> dict[tuple[str, Mode], Outcome]:
    return {("test_x", "off"): Outcome(9, 0, tuple(Broken(test, how, "") for test in tests))}  # type: ignore[arg-type]


def test_a_pinned_failure_is_expected_and_any_other_is_new() -> None:
    pins = [Pin("test_x", (TEST,), "the sandbox")]
    verdict = judge(failing(TEST), pins, WHERE)
    assert verdict.ok
    assert verdict.failures[0].reason == "the sandbox"
    worse = judge(failing(TEST, "test.test_x.T.test_z"), pins, WHERE)
    assert not worse.ok
    assert not worse.passed("test_x", "off")
    assert headline(worse) == "1 new failure: test_x.T.test_z (FIPS off)"


def test_a_pinned_failure_that_vanished_is_red() -> None:
    verdict = judge(failing(), [Pin("test_x", (TEST,), "the sandbox")], WHERE)
    assert not verdict.ok
    assert headline(verdict) == "1 pinned and not failing any more: test_x.T.test_y (FIPS off)"


def test_a_pinned_failure_that_vanished_is_red_beside_others_of_its_file_that_did_not() -> None:
    other = "test.test_x.T.test_z"
    verdict = judge(failing(other), [Pin("test_x", (TEST, other), "the sandbox")], WHERE)
    assert headline(verdict) == "1 pinned and not failing any more: test_x.T.test_y (FIPS off)"
    assert not verdict.passed("test_x", "off")


def test_a_pin_of_a_file_that_is_gone_is_red_where_all_files_ran() -> None:
    pins = [Pin("test_x", (TEST,), "the sandbox"), Pin("test_old", ("test.test_old.T.test_a",), "the sandbox")]
    assert judge(failing(TEST), pins, WHERE).ok
    verdict = judge(failing(TEST), pins, WHERE, whole=True)
    assert [(one.file, one.test, one.mode) for one in verdict.vanished] == [
        ("test_old", "test.test_old.T.test_a", "off")
    ]
    assert headline(verdict) == "1 pinned and not failing any more: test_old.T.test_a (FIPS off)"


def test_only_the_mode_that_a_gone_file_is_pinned_for_counts() -> None:
    # With FIPS on only some files run: a pin for both modes is none that is missed there.
    outcomes: dict[tuple[str, Mode], Outcome] = {("test_x", "off"): Outcome()}
    both, on = Pin("test_x", (TEST,), "r", flaky=True), Pin("test_x", (TEST,), "r", fips="on")
    assert judge(outcomes, [both], WHERE, whole=True).ok
    assert [one.mode for one in judge(outcomes, [on], WHERE, whole=True).vanished] == ["on"]
    absent = Pin("test_sqlite3", ("test_sqlite3",), "left out by this release", how="no such file")
    assert judge(outcomes, [absent], WHERE, whole=True).ok
    elsewhere = Pin("test_old", (TEST,), "r", releases=("0.0.1",))
    assert judge(outcomes, [elsewhere], WHERE, whole=True).ok


def test_a_flaky_one_may_pass_or_fail() -> None:
    pins = [Pin("test_x", (TEST,), "a race of upstream's", flaky=True)]
    assert judge(failing(), pins, WHERE).ok
    assert judge(failing(TEST), pins, WHERE).failures[0].flaky


def test_a_flaky_one_has_to_be_there() -> None:
    pins = [Pin("test_x", (TEST,), "a race of upstream's", flaky=True)]

    def told(exit_code: int, xml: bytes) -> dict[tuple[str, Mode], Outcome]:
        return {("test_x", "off"): outcome_of("test_x", left(exit_code, xml))}

    assert not judge(told(0, GOOD.replace(b'"a"', f'"{TEST}"'.encode())), pins, WHERE).vanished
    assert [one.test for one in judge(told(0, GOOD), pins, WHERE).vanished] == [TEST]
    # A file that crashed may not have come to it.
    assert not judge(told(139, GOOD), pins, WHERE).vanished


@pytest.mark.parametrize(
    "pin",
    [
        Pin("test_x", (TEST,), "r", fips="on"),
        Pin("test_x", (TEST,), "r", variants=("debug",)),
        Pin("test_x", (TEST,), "r", targets=("aarch64-apple-darwin",)),
        Pin("test_x", (TEST,), "r", releases=("3.13.5",)),
        Pin("test_other", (TEST,), "r"),
    ],
)
def test_a_pin_holds_only_where_it_says(pin: Pin) -> None:
    assert not judge(failing(TEST), [pin], WHERE).ok
    assert judge(failing(), [pin], WHERE).ok


def test_a_file_pinned_as_skipped_may_not_crash_or_run() -> None:
    pins = [Pin("test_x", ("test_x",), "no debugger", how="skipped")]
    assert judge(failing("test_x", how="skipped"), pins, WHERE).ok
    assert not judge(failing("test_x", how="crashed"), pins, WHERE).ok
    assert not judge(failing(), pins, WHERE).ok


def test_a_crash_hides_no_pin_and_is_told_by_how_it_ended() -> None:
    verdict = judge(failing("test_x", how="crashed"), [Pin("test_x", (TEST,), "r")], WHERE)
    assert verdict.vanished == []
    assert headline(verdict) == "1 new failure: test_x (FIPS off) crashed"


def test_a_file_that_went_wrong_beside_others_gets_another_run_alone_and_that_is_told() -> None:
    outcomes = failing(TEST) | {("test_g", "on"): Outcome(broken=(Broken("test_g", "skipped", ""),))}
    first = judge(outcomes, [Pin("test_gone", ("test.test_gone.T.test_a",), "r")], WHERE)
    assert worth_another_run(first) == [("test_x", "off")]
    pinned = judge(failing(), [Pin("test_x", (TEST,), "r")], WHERE)
    assert worth_another_run(pinned) == [("test_x", "off")]
    assert worth_another_run(judge(failing(TEST), [Pin("test_x", (TEST,), "r")], WHERE)) == []
    assert [one.test for one in recovered(first, judge(failing(), [], WHERE))] == [TEST, "test_g"]
    assert recovered(first, first) == []


def running(**absent: tuple[str, ...]) -> Running:
    return Running("all", 9, (), ("test_slow",), ("test_hashlib", "test_mp"), ("test_gone",), ("test_mp",), absent)


KNOWN = ["test_a", "test_hashlib", "test_slow", "test.test_mp.test_one", "test.test_mp.test_two"]


def test_the_full_extent_is_every_file_and_the_fips_list_on_top() -> None:
    found = planned("full", KNOWN, running(), "3.13")
    assert found[0] == ("test_slow", "off")
    assert [file for file, mode in found if mode == "off"] == ["test_slow", *[k for k in KNOWN if k != "test_slow"]]
    assert [file for file, mode in found if mode == "on"] == ["test_hashlib", *KNOWN[3:]]
    assert planned("none", KNOWN, running(), "3.13") == []


def test_a_listed_file_that_is_not_there_is_missed_unless_it_may_be_absent() -> None:
    assert ("test_gone", "off") in planned("quick", KNOWN, running(), "3.13")
    absent = running(**{"3.13": ("test_gone",)})
    assert planned("quick", KNOWN, absent, "3.13") == [(name, "on") for name in KNOWN[3:]]


def report(*failures: Failed) -> SuiteReport:
    return SuiteReport(
        schema="pymint/test/1", ok=not failures, archive="a", tar_sha256="t", tree_sha256="r", tested="a", origin="run",
        cell=CellName("3.13", "t", "noopt"), python_version="3.13.15", extent="quick", why="w", resources="all",
        files=[RanFile("test_x", mode, not failures, 9, 1, 2.0, 1.0) for mode in ("off", "on")],
        failures=list(failures), vanished=[], measure=Measure(3.0, 2.0, 1),
        failed="1 new failure: x" if failures else None,
    )  # fmt: skip


def test_the_proposal_is_toml_that_is_refused_until_a_reason_is_given(tmp_path: Path) -> None:
    text = proposal(
        report(
            Failed("test_x", TEST, "off", "failed", "said\nlast"),
            Failed("test_x", TEST, "on", "failed", ""),
            Failed("test_g", "test_g", "off", "skipped", ""),
        )
    )
    pins = tomllib.loads(text)["pin"]
    assert [(pin["file"], pin.get("fips"), pin.get("how")) for pin in pins] == [
        ("test_x", None, None), ("test_g", "off", "skipped"),
    ]  # fmt: skip
    path = tmp_path / "3.13.toml"
    path.write_text(text)
    with pytest.raises(Failure, match=r"3\.13\.toml can't be used") as caught:
        load_pins("3.13", path)
    assert "no reason for test_x" in str(caught.value)
    path.write_text(text.replace('"? why', '"it is known why'))
    assert [pin.tests for pin in load_pins("3.13", path)] == [(TEST,), ("test_g",)]
    assert proposal(report()) == ""


def test_one_table_can_pin_many_files_for_one_reason(tmp_path: Path) -> None:
    (tmp_path / "3.13.toml").write_text('[[pin]]\nfiles = ["test_x", "test_y"]\nhow = "skipped"\nreason = "r"\n')
    pins = load_pins("3.13", tmp_path / "3.13.toml")
    assert [(pin.file, pin.tests, pin.how) for pin in pins] == [
        ("test_x", ("test_x",), "skipped"), ("test_y", ("test_y",), "skipped"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        '[[pin]]\nfiles = ["test_x"]\nfile = "test_x"\ntests = ["test_x"]\nhow = "skipped"\nreason = "r"\n',
        '[[pin]]\nfiles = "test_x"\nhow = "skipped"\nreason = "r"\n',
        '[[pin]]\nfile = "test_x"\ntests = ["a", "a"]\nreason = "r"\n',
        '[[pin]]\nfile = "test_x"\ntests = ["test_x"]\nreason = "r"\n',
        '[[pin]]\nfile = "test_x"\ntests = ["a"]\nhow = "crashed"\nreason = "r"\n',
        '[[pins]]\nfile = "test_x"\n',
        '[[pin]]\nfile = "test_x"\ntests = ["a"]\nfips = "maybe"\nreason = "r"\n',
    ],
)
def test_a_wrong_pin_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "3.13.toml").write_text(text)
    with pytest.raises(Failure, match="can't be used"):
        load_pins("3.13", tmp_path / "3.13.toml")


def test_the_checkouts_own_data_can_be_read() -> None:
    assert load_running().quick
    versions = load_matrix().versions
    for path in SUITE.glob("3.*.toml"):
        assert path.stem in versions
        assert load_pins(path.stem)


def test_the_report_becomes_results_a_line_and_a_page() -> None:
    bad = report(Failed("test_x", TEST, "off", "failed", "<script>alert(1)</script>"))
    files, failures, *_ = test_results.of(bad)
    assert [one.value for one in files.results] == ["0"]
    assert [(one.name, one.value) for one in failures.results] == [(TEST, "new: failed")]
    assert summaries.of_suite(bad) == "1 new failure: x, 3.0 s"
    assert "FIPS off 9 tests in 1 file; FIPS on 9 tests" in summaries.of_suite(report())
    later = replace(report(), recovered=bad.failures)
    assert summaries.of_suite(later).endswith("0 expected failures; 1 failed only beside others, 3.0 s")
    assert "and not alone: 1" in pages.of_suite(later)
    assert "and not alone" not in pages.of_suite(report())
    page = pages.of_suite(bad)
    assert "<script" not in page
    assert "Failed, and not expected: 1" in page


def test_numbers_that_are_none_end_no_run() -> None:
    left = Left(
        0, 1.0, 60, b'<testsuites><testsuite tests="many" errors="-"><testcase name="a"/></testsuite></testsuites>', ""
    )
    assert outcome_of("test_x", left) == Outcome(1, 0, (), frozenset({"a"}))
