"""What a worker's machine says of itself, when that is no good, and what ends a program before the disk is full."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from steps.fit import Fit
from workers import fitness as fitness_module
from workers import room
from workers.errors import Failure
from workers.fitness import Fitness, clock_problem, disk_problem, examine, memory_problem, number_in, one_line, packed
from workers.model import ROOT
from workers.reports.base import decode
from workers.tools import BUILD_TOOLS, BUSY, Tool


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Debian clang version 22.1.8 (1~deb12u1)", "22.1.8"), ("v5.36.0", "5.36.0"), ("GNU Make 4.3", "4.3"),
        ("git version 2.39.5", "2.39.5"), ("unshare from util-linux 2.38.1", "2.38.1"), ("there", "there"),
    ],
)  # fmt: skip
def test_a_version_is_the_number_in_a_tools_words(said: str, version: str) -> None:
    assert number_in(said) == version


def test_too_little_disk_memory_or_a_wrong_clock_is_a_problem() -> None:
    assert disk_problem(Path("/x"), 50, 50) is None
    assert "49.9 GB free, 50 GB are wanted" in str(disk_problem(Path("/x"), 49.9, 50))
    assert memory_problem(4) is None
    assert memory_problem(1.5) is not None
    assert clock_problem(59, 0, 60) is None
    assert "61 s ahead of the master's" in str(clock_problem(61, 0, 60))
    assert "61 s behind the master's" in str(clock_problem(-61, 0, 60))
    assert clock_problem(70, 15, 60) is None, "the question was under way for so long"


def tool(path: Path, name: str = "tool") -> Tool:
    return Tool(name, (str(path),), "a-package", "is needed")


def test_a_tool_is_started_once_until_it_changes_and_a_missing_one_is_a_problem(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text(f"#!/bin/sh\necho x >>{tmp_path}/started\necho tool 1.2\n")
    program.chmod(0o755)
    tools = [tool(program), tool(tmp_path / "none", "other")]
    remembered = tmp_path / "tools.json"
    found = examine([tmp_path], 0, remembered, tools)
    assert found.tools == {"tool": "1.2"}
    assert found.problems == [
        "other is missing; it is needed. `./mint doctor` in the worker's checkout says how to get it."
    ]
    examine([tmp_path], 0, remembered, tools)
    assert (tmp_path / "started").read_text() == "x\n"
    program.write_text("#!/bin/sh\necho tool 10.3\n")
    assert examine([tmp_path], 0, remembered, tools).tools == {"tool": "10.3"}


def test_a_tool_that_tells_of_other_files_is_asked_each_time(tmp_path: Path) -> None:
    """perl stays where it is when the package of its modules goes, and clang when compiler-rt does."""
    program, other = tmp_path / "perl", tmp_path / "module"
    program.write_text(f"#!/bin/sh\ncat {other}\n")
    program.chmod(0o755)
    other.write_text("v5.36.0\n")
    perl = replace(tool(program, "perl"), remembered=False)
    assert examine([tmp_path], 0, tmp_path / "tools.json", [perl]).tools == {"perl": "5.36.0"}
    other.unlink()
    assert examine([tmp_path], 0, tmp_path / "tools.json", [perl]).tools == {}
    asked_each_time = {one.name for one in BUILD_TOOLS if not one.remembered}
    assert asked_each_time == {one.name for one in BUILD_TOOLS if one.command[1:] != ("--version",)}


def test_a_busy_machine_does_not_make_a_version_of_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho tool 1.2\n")
    program.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(fitness_module, "version_of", lambda tool: BUSY)
        assert examine([tmp_path], 0, tmp_path / "tools.json", [tool(program)]).problems == []
    assert examine([tmp_path], 0, tmp_path / "tools.json", [tool(program)]).tools == {"tool": "1.2"}


def test_the_program_says_it_on_one_line_and_ends_with_1_where_it_is_not_fit(tmp_path: Path) -> None:
    def doctor(gigabytes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workers", "doctor", "--state", tmp_path / "s", "--cache", tmp_path / "c",
             "--disk-gb", gigabytes], cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    found = decode(doctor("0").stdout.encode(), Fitness, "it")
    assert abs(found.moment - time.time()) < 60
    assert found.disk_free_gb <= found.disk_total_gb
    bad = doctor("1e9")
    assert bad.returncode == 1
    assert "GB are wanted" in bad.stderr
    assert any("GB are wanted" in one for one in decode(bad.stdout.encode(), Fitness, "it").problems)


def fitness(moment: float, problems: list[str] | None = None) -> Fitness:
    return Fitness(
        "pymint/doctor/1", "2026-11-30T12:00:00+00:00", moment, 80, 200, 16, None, {"clang": "22.1.8"}, "3.11.2", "vm",
        problems or [],
    )  # fmt: skip


def test_the_step_compares_the_clocks_and_doubts_what_took_long() -> None:
    step = Fit(60)
    assert step._with_the_clock(fitness(1000), 990, 1010) == replace(fitness(1000), clock_offset_s=0.0)
    off = step._with_the_clock(fitness(2000), 999, 1001)
    assert off.clock_offset_s == 1000
    assert "1000 s ahead of the master's" in off.problems[0]
    assert step._with_the_clock(fitness(1100), 900, 1100).problems == []
    assert one_line(fitness(0)) == "vm is fit: 80.0 GB free of 200.0 GB, clang 22.1.8"
    assert decode(packed(fitness(5)).encode(), Fitness, "it") == fitness(5)


FILLS = """
import os, subprocess, sys, time
from pathlib import Path
from workers import room
os.defpath = "/nowhere"  # a small Debian has no ps
place = Path(sys.argv[1])
(place / "half").mkdir()
with room.watched([place], room.floor_of()), room.half_made(place / "half"):
    child = subprocess.Popen(["sleep", "600"])
    (place / "child").write_text(str(child.pid))
    time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
def test_below_the_floor_a_program_ends_with_all_that_it_started_and_had_half_made(tmp_path: Path) -> None:
    """The floor is above what any disk has, so the first look finds it too full."""
    ran = subprocess.run(
        [sys.executable, "-c", FILLS, tmp_path], cwd=ROOT, env={**os.environ, "PYMINT_FLOOR_GB": "1e9"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"disk: the disk of {tmp_path} filled up while this ran")
    assert not alive(int((tmp_path / "child").read_text()))
    assert not (tmp_path / "half").exists()


def test_with_room_nothing_is_ended(tmp_path: Path) -> None:
    ended: list[Failure] = []
    with room.watched([tmp_path], 1, ended.append):
        time.sleep(room.LOOK_S * 1.5)
    assert ended == []
    assert room.floor_of({}) == 0
    assert room.floor_of({"PYMINT_FLOOR_GB": "2"}) == 2_000_000_000
