"""What the commands say: verdicts on a machine, steps as they end, names of commits, a form's errors."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from master.cli import commit, fitness, status
from master.cli.context import Farm
from master.cli.display import LiveSteps, Plain
from master.cli.packages import command_for
from master.cli.rest import _message
from master.cli.views import Step, lines_of
from master.home import Home
from workers.errors import Failure
from workers.model import ROOT
from workers.tools import Tool, missing, version_of

GB = 10**9


def step(name: str, text: str, *, result: int | None, id: int = 1) -> Step:  # noqa: A002
    return Step(id=id, name=name, text=text, started=100.0, ended=None if result is None else 112.0, result=result)


def shown(*steps: Step, lines: list[str] | None = None) -> str:
    out = io.StringIO()
    display = Plain(Console(file=out, width=200))
    for one in steps:
        if lines:
            display.lines(one, lines)
        display.steps([one])
        if one.result is not None:
            display.ended(one)
    return out.getvalue()


def test_a_step_is_told_when_it_has_ended_and_its_name_once() -> None:
    assert shown(step("openssl", "openssl 3.5.7: from the store, 0.3 s", result=0)) == (
        "✓ openssl: 3.5.7: from the store, 0.3 s (12 s)\n"
    )
    assert shown(step("openssl", "openssl, 40 %", result=None)) == ""
    assert "✓ cpython: cpython-3.13 3.13.15: built" in shown(step("cpython", "cpython-3.13 3.13.15: built", result=0))


def test_what_git_says_is_told_only_when_the_checkout_failed() -> None:
    assert "detached" not in shown(step("checkout", "commit 12", result=0), lines=["detached HEAD"])
    assert "checkout | detached" in shown(step("checkout", "it broke", result=2), lines=["detached HEAD"])


def test_a_terminal_shows_the_last_lines_of_the_step_that_runs_and_none_of_one_that_went_well() -> None:
    out = io.StringIO()
    display = LiveSteps(Console(file=out, force_terminal=True, width=100))
    running = step("sources", "sources: running", result=None)
    display.steps([running])
    display.lines(running, [f"line {number}" for number in range(20)])
    console = Console(file=(drawn := io.StringIO()), width=100)
    console.print(display._render())
    assert "line 19" in drawn.getvalue()
    assert "line 3\n" not in drawn.getvalue()
    display.steps([step("sources", "17 sources", result=0)])
    console = Console(file=(drawn := io.StringIO()), width=100)
    console.print(display._render())
    display.close()
    assert "line 19" not in drawn.getvalue()
    assert "17 sources" in drawn.getvalue()


def test_only_the_program_s_own_lines_are_taken_from_a_log() -> None:
    assert lines_of("hpython -m workers plan\noplanned\neoh\nhprogram finished\n") == ["planned", "oh"]
    assert lines_of("oa licence\x0cof two pages\x85\nodone\n") == ["a licence\x0cof two pages\x85", "done"]


def test_a_master_that_does_not_answer_is_told_and_its_workers_are_not_called_lost(tmp_path: Path) -> None:
    home = Home(tmp_path, ROOT)
    home.settings_file.write_text("[web]\nport = 1\n")
    farm = Farm(home)
    found = status._ask(farm, None)
    lines = status.lines_of(status.Status(farm.page, str(tmp_path), {"master": 7}, {"local": False}, **found))
    assert any("the master does not answer" in line for line in lines)
    assert not [line for line in lines if "not connected" in line]


def test_a_disk_that_can_not_be_so_large_is_asked_for_in_vain() -> None:
    assert fitness.disk_wanted({"MINT_DISK_GB": "inf"}) == fitness.disk_wanted({})


@pytest.mark.parametrize(("free", "level"), [(80 * GB, "ok"), (49 * GB, "warn"), (7 * GB, "bad")])
def test_a_small_disk_is_told_before_it_is_full(free: int, level: str) -> None:
    verdict = fitness.disk_verdict("MINT_HOME", Path("/x"), free, fitness.disk_wanted({}))
    assert verdict.level == level


def test_the_wanted_disk_can_be_set() -> None:
    assert fitness.disk_wanted({"MINT_DISK_GB": "20"}) == 20 * GB
    assert fitness.disk_wanted({"MINT_DISK_GB": "much"}) == 50 * GB


@pytest.mark.parametrize(("total", "level"), [(8 * 2**30, "ok"), (3 * 2**30, "warn"), (2**30, "bad")])
def test_little_memory_is_told(total: int, level: str) -> None:
    assert fitness.memory_verdict(total, 2).level == level


def test_a_clock_that_is_before_the_newest_commit_is_wrong() -> None:
    assert fitness.clock_verdict(1000.0, 5000.0, 1000.0).level == "bad"
    assert fitness.clock_verdict(5000.0, 1000.0, 4000.0).level == "warn"
    assert fitness.clock_verdict(5000.0, 1000.0, 5000.0).level == "ok"


def test_a_missing_tool_is_told_with_the_command_that_brings_it() -> None:
    absent = Tool("frobnicator", ("pymint-has-no-such-tool",), "frobnicator-22", "frobnicates")
    assert missing([absent]) == [absent]
    verdict = fitness.tool_verdict(absent, version_of(absent))
    assert (verdict.level, verdict.todo) == ("bad", command_for(["frobnicator-22"]))
    assert "apt-get install -y --no-install-recommends frobnicator-22" in verdict.todo


def test_a_tool_that_is_there_but_broken_counts_as_missing() -> None:
    assert missing([Tool("false", ("false",), "x", "fails")]) != []
    assert missing([Tool("true", ("true",), "x", "works")]) == []


def test_a_form_s_errors_are_told_by_field() -> None:
    error = {"error": {"code": -32602, "message": {"revision": "no such commit"}}}
    assert _message(error) == "revision: no such commit"
    assert _message({"error": "not found"}) == "not found"
    assert _message({}) == ""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q", "-b", "main"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    return tmp_path


def test_a_commit_is_named_in_any_way_that_git_has(repository: Path) -> None:
    head = commit.resolve(repository, "HEAD")
    assert commit.resolve(repository, head[:10]) == commit.resolve(repository, "main") == head


@pytest.mark.parametrize("name", ["nonesuch", "--upload-pack=x", ""])
def test_a_wrong_name_is_answered_with_those_that_exist(repository: Path, name: str) -> None:
    with pytest.raises(Failure) as told:
        commit.resolve(repository, name)
    assert "main" in told.value.todo


def test_uncommitted_changes_are_listed_new_files_too(repository: Path) -> None:
    assert commit.uncommitted(repository) == []
    (repository / "new.txt").write_text("x")
    assert commit.uncommitted(repository) == ["new.txt"]
    assert "NOT built: a, b, c, d, e and 2 more" in commit.warning_about(list("abcdefg"), "HEAD", "f" * 40)
