"""The command line against a real master and worker: what a person types, sees and gets back."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from master.cli.daemons import MARK
from master.cli.processes import below, every, marked
from tests.integration.farm import TARGET, Farm, commit, make_repository, until
from workers.model import ROOT

# Ten seconds on an idle machine; one that builds a CPython beside the tests takes many times that.
WAIT_S = 600

linux = pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")


@dataclass
class Mint:
    """The command line with a home of its own, whose repository holds stand-in programs."""

    farm: Farm
    cache: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "MINT_HOME": str(self.farm.home.root), "MINT_CACHE": str(self.cache)}
        return subprocess.Popen(
            [sys.executable, "-m", "master.cli", *arguments], cwd=ROOT, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and both streams as a terminal shows them."""
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=WAIT_S)
        return process.returncode, said

    def build(self, *arguments: str) -> tuple[int, str]:
        return self("build", "--variant", "noopt", *arguments)

    def pid(self, name: str) -> int:
        directory = self.farm.home.master if name == "master" else self.farm.home.worker
        return int(json.loads((directory / "process.json").read_text())["pid"])

    def processes(self) -> list[int]:
        return [process.pid for process in marked(MARK, str(self.farm.home.root))]


def a_mint(place: Path) -> Iterator[Mint]:
    farm = Farm(place, pushed=[])
    make_repository(farm.repository)
    command = Mint(farm, place / "cache")
    yield command
    command("down")
    farm.http.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Mint]:
    """Nothing was ever started here."""
    yield from a_mint(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mint]:
    yield from a_mint(tmp_path_factory.mktemp("mint"))


@pytest.fixture
def mint(shared: Mint) -> Mint:
    """May run already, since starting takes seconds; its repository is clean and its stand-ins do well."""
    commit(shared.farm.repository, {})
    return shared


def until_says(process: subprocess.Popen[str], text: str) -> str:
    """Reads until a line holds the text; all that was read."""
    said = ""
    for line in process.stdout or ():
        said += line
        if text in line:
            return said
    raise AssertionError(f"never said {text!r}: {said}")


@linux
def test_build_starts_the_farm_and_says_where_the_archive_is_and_down_leaves_nothing(fresh: Mint) -> None:
    code, said = fresh.build()
    assert code == 0, said
    archive = re.search(r"^  archive  (/\S+)", said, re.MULTILINE)
    digest = re.search(r"^  sha256   ([0-9a-f]{64})$", said, re.MULTILINE)
    assert archive is not None, said
    assert digest is not None, said
    assert hashlib.sha256(Path(archive[1]).read_bytes()).hexdigest() == digest[1]
    for stage in ("fit", "checkout", "plan", "sources", "dependencies", "openssl", "fips-provider", "cpython",
                  "package", "validate", "prove-fips", "test-suite", "archive", "derive", "validate-flavours",
                  "prove-flavours", "upload", "record", "attest"):  # fmt: skip
        assert f"✓ {stage}: " in said
    assert f"{fresh.farm.url}#/builders/" in said

    master = fresh.pid("master")
    code, said = fresh.build("--output", str(fresh.cache / "here"))
    assert code == 0, said
    assert fresh.pid("master") == master, "the farm was left running, so the second build uses it"
    archives = {
        f"cpython-3.13.5-{TARGET}-noopt-20261123T2015.tar.zst",
        f"cpython-3.13.5-{TARGET}-noopt-install_only-20261123T2015.tar.gz",
        f"cpython-3.13.5-{TARGET}-noopt-install_only_stripped-20261123T2015.tar.gz",
        f"cpython-3.13.5-{TARGET}-noopt-debug_symbols-20261123T2015.tar.zst",
    }
    assert {path.name for path in (fresh.cache / "here").iterdir()} == {
        name + ending for name in archives for ending in ("", ".sigstore.json")
    }
    for name in archives:
        code, told = fresh("verify", str(fresh.cache / "here" / name))
        assert code == 0, told
        assert told.startswith(f"trusting this farm's own keys, in {fresh.farm.home.keys}\n{name}: verified\n")
    assert len(re.findall(r"^  derived  \S+  \([\d.]+ (?:bytes|kB)\)\n +/\S+$", said, re.MULTILINE)) == 3

    status = json.loads(fresh("status", "--json")[1])
    assert status["running"] == {"master": master, "worker": fresh.pid("worker")}
    assert [build["result"] for build in status["recent"]] == ["success", "success"]
    assert status["archives"]["records"] == 2
    assert len(status["waiting_for_a_worker"]) == 2

    assert fresh.processes()
    assert fresh("down") == (0, "worker: ended\nmaster: ended\n")
    assert fresh.processes() == []
    assert fresh("down") == (0, "Nothing is running.\n")


def test_a_build_that_fails_shows_the_problem_and_ends_with_1(mint: Mint) -> None:
    commit(mint.farm.repository, {"fail": "validate"})
    code, said = mint.build()
    assert code == 1, said
    assert "✗ validate: " in said
    assert "validate: the stand-in was told to fail\n  wanted  success\n  found   an order\n" in said
    assert "The build ended as failure" in said


def test_a_commit_that_is_on_no_branch_is_refused_with_what_to_do(mint: Mint) -> None:
    code, said = mint.build("--rev", "0" * 40)
    assert code == 1
    assert "Commit or push it to a branch." in said


def test_uncommitted_changes_are_named_and_not_built(mint: Mint) -> None:
    (mint.farm.repository / "standin.json").write_text('{"fail": "plan"}')
    code, said = mint.build()
    assert code == 0, said
    assert "uncommitted changes, and they are NOT built: standin.json" in said


@linux
@pytest.mark.parametrize("victim", ["worker", "master"])
def test_a_killed_process_is_started_again_and_the_build_comes_to_its_end(mint: Mint, victim: str) -> None:
    commit(mint.farm.repository, {"slow": {"sources": 4}})
    building = mint.start("build", "--variant", "noopt")
    until_says(building, "✓ plan: ")
    os.kill(mint.pid(victim), signal.SIGKILL)
    said, _ = building.communicate(timeout=WAIT_S)
    assert building.returncode == 0, said
    assert f"the {victim} was killed: starting it again" in said
    assert "begun again: " in said


@linux
def test_what_a_killed_worker_left_running_is_ended_before_the_next_build(mint: Mint) -> None:
    commit(mint.farm.repository, {"slow": {"sources": 60}})
    building = mint.start("build", "--variant", "noopt")
    until_says(building, "✓ plan: ")
    worker = mint.pid("worker")
    program = until("a program runs", lambda: below([worker], every()))
    building.kill()
    building.communicate()
    os.kill(worker, signal.SIGKILL)
    code, said = mint("up")
    assert code == 0, said
    assert not {process.pid for process in program} & set(mint.processes())


def test_ctrl_c_leaves_the_build_running_and_says_how_to_follow_and_stop_it(mint: Mint) -> None:
    commit(mint.farm.repository, {"slow": {"sources": 30}})
    building = mint.start("build", "--variant", "noopt")
    until_says(building, "✓ plan: ")
    os.killpg(building.pid, signal.SIGINT)
    said, _ = building.communicate(timeout=WAIT_S)
    assert building.returncode == 130
    number = re.search(r"follow it: ./mint follow (\d+)\n  stop it:   ./mint stop (\d+)", said)
    assert number is not None, said
    following = mint.start("follow", number[1])
    until_says(following, "✓ plan: ")
    assert mint("stop", number[2])[0] == 0
    said, _ = following.communicate(timeout=WAIT_S)
    assert following.returncode == 1
    assert "cancelled" in said


def test_a_port_that_is_taken_is_named_with_its_holder_and_the_setting(fresh: Mint) -> None:
    with socket.create_server(("127.0.0.1", fresh.farm.port)):
        code, said = fresh("up")
    assert code == 1
    assert f"ports: port {fresh.farm.port}, which the web page needs, is taken" in said
    assert f"held by process {os.getpid()} (" in said
    assert "[web]\n    port = " in said
    assert not fresh.farm.home.database.exists(), "nothing was begun"


def test_two_ups_at_once_start_one_farm(fresh: Mint) -> None:
    both = [fresh.start("up"), fresh.start("up")]
    said = [process.communicate(timeout=WAIT_S)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "".join(said).count("master: starting") == 1


def test_a_master_that_can_not_start_shows_the_end_of_its_log(fresh: Mint) -> None:
    assert fresh("up")[0] == 0
    assert fresh("down")[0] == 0
    fresh.farm.home.database.write_bytes(b"this is no database" * 100)
    began = time.monotonic()
    code, said = fresh("up")
    assert code == 1
    assert time.monotonic() - began < 240, "it was waited for in vain"
    assert "database" in said
    assert "twistd.log" in said or "state.sqlite" in said
