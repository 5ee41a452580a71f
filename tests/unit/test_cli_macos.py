"""What the doctor asks of a Mac."""

from __future__ import annotations

from pathlib import Path

import pytest

from master.cli import packages
from workers import apple, tools
from workers.tools import XCODE, Tool, version_of


def test_the_doctor_asks_for_all_that_the_toolchain_finder_looks_for() -> None:
    asked = {tool.package for tool in tools._MACOS_TOOLS}
    assert set(apple.FORMULAS) <= asked
    # What comes with macOS or with Apple's command line tools.
    assert asked - set(apple.FORMULAS) == {XCODE, "perl"}


def test_a_mac_is_told_apples_and_homebrews_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "runs_macos", lambda: True)
    assert packages.command_for(["make", "gnu-tar"]) == "brew install make gnu-tar"
    assert packages.command_for([XCODE, "make"]) == "xcode-select --install && brew install make"
    assert packages.command_for([XCODE]) == "xcode-select --install"


def test_a_linker_that_lies_apart_from_the_compiler_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "LLVM", tmp_path / "llvm/bin")
    monkeypatch.setattr(apple, "_LLD_PLACES", (tmp_path / "lld/bin",))
    linker = Tool("lld", (apple.LINKER, "--version"), "lld@22", "links")
    assert version_of(linker) is None
    (tmp_path / "lld/bin").mkdir(parents=True)
    program = tmp_path / "lld/bin" / apple.LINKER
    program.write_text("#!/bin/sh\necho LLD 22.1.8\n")
    program.chmod(0o755)
    assert version_of(linker) == "LLD 22.1.8"
