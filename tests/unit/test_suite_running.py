"""What a test file's process leaves, as far as it is read: it can write without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.sandbox import Ended
from workers.suite import running
from workers.suite.data import load_running
from workers.suite.junit import Outcome
from workers.suite.running import Tree

RESULTS = b'<testsuites><testsuite tests="1"><testcase name="a"/></testsuite></testsuites>'


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str, results: bytes = RESULTS, code: int = 0) -> Outcome:
    """What became of a test file whose process left these."""

    def ended(command: object, *, out: Path, log: Path, **said: object) -> Ended:
        log.write_text(text)
        (out / "junit.xml").write_bytes(results)
        return Ended(code, 1.0, 1.0, 1)

    text = log
    monkeypatch.setattr(running, "run_in_sandbox", ended)
    return Tree(tmp_path / "tree", "bin/python3", tmp_path / "scratch", load_running()).run("test_x", "off").outcome


def test_of_results_that_are_larger_than_any_no_more_is_read_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, monkeypatch, "fine") == Outcome(1, names=frozenset({"a"}))
    monkeypatch.setattr(running, "MOST_XML", 100)
    monkeypatch.setattr("workers.suite.junit.MOST_XML", 100)
    (broken,) = run(tmp_path, monkeypatch, "the log's end", RESULTS + bytes(10_000)).broken
    assert (broken.test, broken.how) == ("test_x", "cut short")
    assert broken.said == "its results have more than 100 bytes, so they were not read\nthe log's end"


def test_of_a_long_log_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_MOST_LOG", 20)
    (broken,) = run(tmp_path, monkeypatch, "x" * 1000 + "Segmentation fault", code=139).broken
    assert broken.said == "signal 11\nxxSegmentation fault"
