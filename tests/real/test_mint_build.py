"""The promise of the README, kept: a fresh clone, an empty state, an empty cache, one command, an archive.

And what people do next: push to `main`, and force a build from the page, watched in a browser.
"""

from __future__ import annotations

import hashlib
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

import httpx
import pytest

from master.cli.processes import marked
from tests.browser.chromium import PROGRAMS, started
from tests.browser.page import Page
from tests.integration.farm import cell_name, free_port, git, until

ROOT = Path(__file__).resolve().parents[2]
CELL = ["--python", "3.13", "--variant", "noopt"]
BUILDER = cell_name("3.13", "noopt")
ARCHIVE_LIMIT_S = 20 * 60  # packing, judging and compressing anew; the nodes are stored

pytestmark = [pytest.mark.real, pytest.mark.ci, pytest.mark.skipif(sys.platform != "linux", reason="builds on Linux")]


@dataclass
class Clone:
    """A clone with a home and a cache of its own; `archive` is where `./mint build` said that it left it."""

    checkout: Path
    environment: dict[str, str]
    url: str
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
    port = free_port()
    (home / "settings.toml").write_text(
        f"[web]\nport = {port}\n[protocol]\nport = {free_port()}\n[push]\ncells = ['{BUILDER}']\n"
    )
    places = {"MINT_HOME": str(home), "MINT_CACHE": str(scratch / "cache")}
    try:
        yield Clone(checkout, {**os.environ, **places, "PYTHONUNBUFFERED": "1"}, f"http://127.0.0.1:{port}/")
    finally:
        subprocess.run(["./mint", "down"], cwd=checkout, env={**os.environ, **places}, check=False)
        shutil.rmtree(scratch, ignore_errors=True)


def test_one_command_takes_a_fresh_clone_to_an_archive(
    clone: Clone, archives: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert clone.mint("build", *CELL, "--output", str(archives), capture=capsys) == 0
    assert made(clone.said)
    found = [match[1] for line in clone.said if (match := re.match(r"\s+archive\s+(/\S+)", line))]
    assert len(found) == 1
    named = next(match[1] for line in clone.said if (match := re.match(r"(cpython-3\.13\.\S+\.tar\.zst)", line)))
    # By its own name, as a person would have it.
    clone.archive = clone.checkout.parent / named
    shutil.copyfile(found[0], clone.archive)


def made(said: list[str]) -> list[str]:
    """The lines that say that something was built, packed or compressed, and not taken from the store."""
    return [line for line in said if re.search(r": building$|: built, |, packed, |read back and found the same", line)]


@pytest.mark.parametrize("command", ["validate", "prove"])
def test_the_archive_holds_up_by_hand(clone: Clone, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert clone.archive is not None, "there is no archive: see the first test"
    assert clone.mint(command, str(clone.archive), capture=capsys) == 0


def test_the_same_cell_again_makes_nothing_anew(clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    assert clone.archive is not None, "there is no archive: see the first test"
    began = time.monotonic()
    assert clone.mint("build", *CELL, capture=capsys) == 0
    with capsys.disabled():
        print(f"the same again: {time.monotonic() - began:.1f} s from end to end")
    assert made(clone.said) == []
    assert [line for line in clone.said if "nothing to build" in line]


@pytest.fixture(scope="module")
def page(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)} (Debian: apt-get install chromium chromium-driver)")
    with started(tmp_path_factory.mktemp("profile"), clone.checkout.parent) as browser:
        yield Page(browser, clone.url)


def test_a_push_to_main_makes_an_archive_before_the_eyes_of_who_watches(clone: Clone, page: Page) -> None:
    assert clone.archive is not None, "there is no archive: see the first test"
    page.open("#/changes")
    git(clone.checkout, "commit", "--quiet", "--allow-empty", "-m", "pushed for all to see")
    head = git(clone.checkout, "rev-parse", "HEAD")
    page.shows("pushed for all to see")

    def build() -> tuple[int, int] | None:
        answer = httpx.get(f"{clone.url}api/v2/builds?property=got_revision&order=-buildid&limit=5").json()
        rows = [row for row in answer["builds"] if row["properties"].get("got_revision", [""])[0] == head]
        return (rows[0]["builderid"], rows[0]["number"]) if rows else None

    builder, number = until("the push has a build", build)
    page.open(f"#/builders/{builder}/builds/{number}")
    page.shows(BUILDER, "SUCCESS", ".tar.zst", "not CMVP-validated", seconds=ARCHIVE_LIMIT_S)


def test_a_build_forced_from_the_page_leaves_an_archive_to_download(clone: Clone, page: Page) -> None:
    assert clone.archive is not None, "there is no archive: see the first test"
    page.open_form(BUILDER)
    page.start_with(git(clone.checkout, "rev-parse", "HEAD"))
    page.shows("SUCCESS", ".tar.zst", seconds=ARCHIVE_LIMIT_S)
    link = page.element("a", ".tar.zst")
    name = link.text
    link.click()
    archive = until("the archive is downloaded", lambda: next(iter(clone.checkout.parent.glob(name)), None))

    def recorded() -> str:
        """What the newest build says of its archive; properties are written after what they are of is shown."""
        answer = httpx.get(f"{clone.url}api/v2/builds?order=-buildid&limit=1&property=archive_sha256").json()
        return str(answer["builds"][0]["properties"].get("archive_sha256", [""])[0])

    assert hashlib.sha256(archive.read_bytes()).hexdigest() == until("the build says its archive's digest", recorded)


def test_down_leaves_no_process_behind(clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    assert marked("MINT_PROCESS_OF", clone.home), "nothing was running, so this would prove nothing"
    assert clone.mint("down", capture=capsys) == 0
    assert marked("MINT_PROCESS_OF", clone.home) == []
