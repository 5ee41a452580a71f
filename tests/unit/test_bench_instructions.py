"""What `python -m tests.bench.instructions` shows, and how it sets up what it counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.instructions import Cost, environment, lines, stand_in
from tests.bench.materials import interpreter
from workers.errors import Failure
from workers.toolchain import find_tool


def test_a_ratio_above_one_is_a_candidate_that_takes_less() -> None:
    _, row = lines({"-c pass": (Cost(30_000_000, 6.0, 800), Cost(20_000_000, 12.0, 900))})

    assert row.split() == ["-c", "pass", "30,000,000", "20,000,000", "1.500", "6.00", "12.00", "0.500", "800", "900"]


def test_the_bytecode_of_a_command_goes_where_no_tree_is_changed(tmp_path: Path) -> None:
    assert environment(tmp_path, ())["PYTHONPYCACHEPREFIX"] == str(tmp_path / "pyc")


def test_a_stand_in_starts_with_the_library_of_the_interpreter_that_it_stands_for(tmp_path: Path) -> None:
    try:
        find_tool("llvm-strip")
    except Failure as missing:
        pytest.skip(f"no llvm-strip here: {missing}")
    this = interpreter(Path(sys.executable))
    there = stand_in(this, tmp_path)
    asked = [str(there), "-c", "import os, sys; print(os.path.realpath(os.__file__)); print(sys.prefix)"]
    library, prefix = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()

    assert Path(library).is_relative_to(Path(this.executable).parent.parent.resolve())
    assert Path(prefix) == tmp_path / "environment"
