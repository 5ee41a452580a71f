"""Programs in C around the headers that edits bring to CPython."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workers.edits import EDITS


def compiled(tmp_path: Path, source: str, *arguments: str) -> Path:
    """The program of a source that includes the edits' headers; skips the test where nothing compiles it."""
    compiler = next((path for name in ("cc", "gcc", "clang", "clang-22") if (path := shutil.which(name))), None)
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    (tmp_path / "probe.c").write_text(source)
    program = tmp_path / "probe"
    command = [compiler, "-Wall", "-I", str(EDITS), str(tmp_path / "probe.c"), "-o", str(program), *arguments]
    subprocess.run(command, check=True)
    return program
