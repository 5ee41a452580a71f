"""The promise of the README, kept: a fresh clone, an empty state, an empty cache, one command, an archive."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from master.cli.processes import marked
from tests.integration.farm import free_port

ROOT = Path(__file__).resolve().parents[2]
CELL = ["--python", "3.13", "--variant", "noopt"]
BUILD_LIMIT_S = 45 * 60
AGAIN_LIMIT_S = 30.0

pytestmark = [pytest.mark.real, pytest.mark.ci, pytest.mark.skipif(sys.platform != "linux", reason="builds on Linux")]


@dataclass
class Clone:
    """A clone with a home and a cache of its own; `archive` is where `./mint build` said that it left it."""

    checkout: Path
    environment: dict[str, str]
    archive: Path | None = None
    said: list[str] = field(default_factory=list)

    @property
    def home(self) -> str:
        return self.environment["MINT_HOME"]

    def mint(self, *arguments: str, capture: pytest.CaptureFixture[str]) -> int:
        """Runs ./mint, its output going by as it comes: a build of half an hour that says nothing helps nobody."""
        self.said = []
        process = subprocess.Popen(
            ["./mint", *arguments], cwd=self.checkout, env=self.environment, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        with capture.disabled():
            print(f"\n$ ./mint {' '.join(arguments)}", flush=True)
            for line in process.stdout:
                self.said.append(line.rstrip())
                print(line, end="", flush=True)
        return process.wait(timeout=60)


@pytest.fixture(scope="module")
def clone() -> Iterator[Clone]:
    scratch = Path(tempfile.mkdtemp(prefix="mint-real-"))
    checkout = scratch / "pymint"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)], check=True)
    # CI checks out a commit, not a branch; a person who clones gets main.
    subprocess.run(["git", "-C", str(checkout), "checkout", "--quiet", "-B", "main"], check=True)
    home = scratch / "home"
    home.mkdir()
    (home / "settings.toml").write_text(f"[web]\nport = {free_port()}\n[protocol]\nport = {free_port()}\n")
    places = {"MINT_HOME": str(home), "MINT_CACHE": str(scratch / "cache")}
    try:
        yield Clone(checkout, {**os.environ, **places, "PYTHONUNBUFFERED": "1"})
    finally:
        subprocess.run(["./mint", "down"], cwd=checkout, env={**os.environ, **places}, check=False)
        shutil.rmtree(scratch, ignore_errors=True)


def test_one_command_takes_a_fresh_clone_to_an_archive(clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert clone.mint("build", *CELL, capture=capsys) == 0
    assert time.monotonic() - began < BUILD_LIMIT_S
    found = [match[1] for line in clone.said if (match := re.match(r"\s+archive\s+(/\S+)", line))]
    assert len(found) == 1
    named = next(match[1] for line in clone.said if (match := re.match(r"(cpython-3\.13\.\S+\.tar\.zst)", line)))
    # By its own name, as a person would have it.
    clone.archive = clone.checkout.parent / named
    shutil.copyfile(found[0], clone.archive)


@pytest.mark.parametrize("command", ["validate", "prove"])
def test_the_archive_holds_up_by_hand(clone: Clone, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert clone.archive is not None, "there is no archive: see the first test"
    assert clone.mint(command, str(clone.archive), capture=capsys) == 0


def test_the_same_cell_again_takes_seconds(clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    assert clone.archive is not None, "there is no archive: see the first test"
    began = time.monotonic()
    assert clone.mint("build", *CELL, capture=capsys) == 0
    assert time.monotonic() - began < AGAIN_LIMIT_S


def test_down_leaves_no_process_behind(clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    assert marked("MINT_PROCESS_OF", clone.home), "nothing was running, so this would prove nothing"
    assert clone.mint("down", capture=capsys) == 0
    assert marked("MINT_PROCESS_OF", clone.home) == []
