"""The linters as tests, so that one command judges all of it and its last line counts them too."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# --norc: the machine's own settings decide nothing here. SC2154: recipes get their variables from the driver.
# SC1091: what they source lies where only the driver knows, and is judged itself.
SHELLCHECK = ["shellcheck", "--norc", "--exclude=SC2154,SC1091"]


def judged(command: list[str]) -> None:
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        pytest.fail(f"{' '.join(command[:4])} ended with {ran.returncode}\n{ran.stdout}{ran.stderr}", pytrace=False)


def tracked(*patterns: str) -> list[str]:
    """Files that git knows, so that nothing left lying about is judged."""
    listed = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def test_ruff_finds_nothing() -> None:
    judged([sys.executable, "-m", "ruff", "check", "."])


def test_the_code_is_fully_typed() -> None:
    judged([sys.executable, "-m", "mypy"])


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck (Debian: apt-get install shellcheck)")
def test_shellcheck_finds_nothing() -> None:
    scripts = tracked("mint", "*.sh")
    assert "mint" in scripts
    judged([*SHELLCHECK, "--shell=sh", *scripts])
    judged([*SHELLCHECK, "--shell=bash", *tracked(".ci/run")])


def test_no_file_is_longer_than_a_person_reads() -> None:
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in tracked("*.py", "*.sh", "mint")}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_every_folder_of_tests_is_a_package() -> None:
    """Two tests of one name in folders that are none end a run of both before its first test."""
    folders = {str(Path(name).parent) for name in tracked("tests/**/test_*.py")}
    assert folders
    assert {folder for folder in folders if not (ROOT / folder / "__init__.py").exists()} == set()
