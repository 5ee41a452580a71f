"""The XML that regrtest writes, completed: run for real with the regrtest of this very interpreter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.model import ROOT
from workers.suite.junit import Left, outcome_of

SAMPLE = """
import unittest

class Sub(unittest.TestCase):
    def test_good(self):
        pass

    def test_sub(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertEqual(number, 1)

    def test_skipped_and_then_failed(self):
        with self.subTest("one"):
            self.skipTest("dull")
        with self.subTest("two"):
            self.fail("bell \\x07")

class Class(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise OSError("no such thing")

    def test_never(self):
        pass
"""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("test.libregrtest") is None, reason="this interpreter came without its test package"
)


def run(where: Path, sample: str) -> list[tuple[str, str]]:
    (where / "test_sample.py").write_text(sample)
    code = (ROOT / "workers/suite/complete_junit.py").read_text()
    xml = where / "junit.xml"
    arguments = [f"--junit-xml={xml}", f"--testdir={where}", "test_sample"]
    # A test file that aborts leaves regrtest's own directory behind: so in here.
    environment = {**os.environ, "TMPDIR": str(where)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=where, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    left = Left(done.returncode, 1.0, 100.0, xml.read_bytes() if xml.exists() else None, done.stdout + done.stderr)
    return sorted((one.test, one.how) for one in outcome_of("test_sample", left).broken)


def test_subtests_and_class_setup_are_failures_by_name(tmp_path: Path) -> None:
    assert run(tmp_path, SAMPLE) == [
        ("setUpClass (test_sample.Class)", "error"),
        ("test_sample.Sub.test_skipped_and_then_failed", "failed"),
        ("test_sample.Sub.test_sub", "failed"),
    ]


@pytest.mark.parametrize(
    ("sample", "how"),
    [
        ("import no_such_module_at_all", "could not be run"),
        ("import os, unittest\nclass T(unittest.TestCase):\n def test(self): os.abort()", "crashed"),
        ("import unittest\nraise unittest.SkipTest('no debugger')", "skipped"),
    ],
)
def test_a_file_that_gets_nowhere_fails_by_its_own_name(tmp_path: Path, sample: str, how: str) -> None:
    assert run(tmp_path, sample) == [("test_sample", how)]
