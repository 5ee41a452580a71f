"""A stage ends, with what it started, when nobody hears it any more; and works on where nobody has to."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from master.cli.processes import now, wait_until
from workers.model import ROOT

# Tells the number of a program of its own, then waits without a word, as a stage does that publishes.
PROGRAM = """
import subprocess, sys, time
from master.release import lifeline
below = subprocess.Popen(["sleep", "600"])
print(below.pid, lifeline.hang_on(), flush=True)
sys.stdin.read()
"""


def started(output: int | IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdin=subprocess.PIPE, stdout=output, text=True, process_group=0,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="looks a process up in /proc")
def test_a_stage_ends_with_its_programs_when_its_master_is_gone() -> None:
    stage = started(subprocess.PIPE)
    assert stage.stdout is not None
    below, hangs = stage.stdout.readline().split()
    assert hangs == "True"
    assert stage.poll() is None
    stage.stdout.close()
    assert stage.wait(60) == -signal.SIGKILL
    assert wait_until(lambda: now(int(below)) is None, 60)


def test_a_stage_that_writes_to_a_file_needs_no_listener(tmp_path: Path) -> None:
    with (tmp_path / "said").open("w") as said:
        stage = started(said)
    assert stage.stdin is not None
    stage.stdin.close()
    assert stage.wait(60) == 0
    below, hangs = (tmp_path / "said").read_text().split()
    assert hangs == "False"
    subprocess.run(["kill", below], check=True)
