"""A recipe's world on macOS, tried with a stand-in for sandbox-exec: where files lie, what ends, who waits for whom."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from workers import macos_sandbox
from workers.errors import Failure
from workers.macos_sandbox import Outcome, Place, problem, profile, run


@dataclass(frozen=True)
class World:
    """root: what stands for /opt/pymint. program: writes the profile that it was given beside itself."""

    top: Path
    root: Path
    program: Path

    def places(self) -> list[Place]:
        return [
            Place(self.top / "build", self.root / "build", writable=True),
            Place(self.top / "deps", self.root / "deps"),
            Place(self.top / "out", self.root / "out", writable=True),
            Place(self.top / "data", self.root / "data", kept=True),
        ]

    def run(self, script: str, places: Sequence[Place] = (), **environment: str) -> Outcome:
        with (self.top / "log").open("ab") as stream:
            return run(
                ["/bin/sh", "-eu", "-c", script],
                places or self.places(),
                root=self.root,
                directory=str(self.root / "build"),
                environment={"PATH": "/usr/bin:/bin", **environment},
                stream=stream,
                program=self.program,
            )

    @property
    def said(self) -> list[str]:
        return (self.top / "log").read_text().splitlines()


@pytest.fixture
def world(tmp_path: Path) -> World:
    program = tmp_path / "sandbox-exec"
    program.write_text(f'#!/bin/sh\n[ "$1" = -p ] || exit 99\nprintf %s "$2" >{tmp_path}/profile\nshift 2\nexec "$@"\n')
    program.chmod(0o755)
    for name in ("build", "deps", "out", "data", "root"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "root/file").unlink()
    return World(tmp_path, tmp_path / "root", program)


def test_what_lies_anywhere_is_seen_under_fixed_names_and_is_back_afterwards(world: World) -> None:
    ended = world.run('pwd -P; cat ../deps/file ../data/file; echo made >"../out/made"; echo gone >../data/file')
    assert ended.exit_code == 0
    assert world.said == [str(world.root / "build"), "depsdata"]
    assert (world.top / "out/made").read_text() == "made\n"
    assert (world.top / "deps/file").read_text() == "deps"
    # Other runs read the same checkout: a recipe gets a copy.
    assert (world.top / "data/file").read_text() == "data"


def test_the_places_are_back_after_a_failure_too(world: World) -> None:
    assert world.run("exit 7").exit_code == 7
    assert world.run("kill -KILL $$").exit_code == 128 + 9
    assert (world.top / "build/file").read_text() == "build"
    assert sorted(path.name for path in world.root.iterdir()) == [".lock", "data"]


def test_a_directory_that_is_given_twice_is_one(world: World) -> None:
    places = [*world.places(), Place(world.top / "deps", world.root / "toolchain")]
    assert world.run("cat ../toolchain/file", places).exit_code == 0
    assert world.said == ["deps"]


def test_what_a_killed_program_left_is_not_found_by_the_next_run(world: World) -> None:
    (world.root / "build").mkdir()
    (world.root / "build/half").touch()
    world.run("ls")
    assert world.said == ["file"]


def test_nothing_but_what_is_said_is_in_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    world.run('echo "${SECRET-none} $NAME"', NAME="value")
    assert world.said == ["none value"]


def test_a_process_in_the_background_ends_with_the_run(world: World) -> None:
    world.run("sleep 600 & echo $!")
    pid = int(world.said[0])
    while (stat := Path(f"/proc/{pid}/stat")).exists() and stat.read_text().split()[2] != "Z":
        time.sleep(0.01)  # killed, but not by this process's wait


def test_one_run_at_a_time(world: World) -> None:
    script = "echo begin >>../../order; sleep 0.2; echo end >>../../order"
    threads = [threading.Thread(target=world.run, args=(script,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (world.top / "order").read_text().split() == ["begin", "end"] * 3


def test_a_run_whose_processes_live_on_keeps_the_next_one_waiting(world: World) -> None:
    """What left the process group holds the lock by its inherited descriptor."""
    world.run("setsid sh -c 'echo up >up; exec sleep 600' >/dev/null 2>&1 & while [ ! -s up ]; do sleep 0.01; done")
    waiting = threading.Thread(target=world.run, args=("echo next",))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _holds(entry, world.root / ".lock") and int(entry.name) != os.getpid():
            os.kill(int(entry.name), signal.SIGKILL)
    waiting.join()
    assert world.said[-1] == "next"


def _holds(process: Path, file: Path) -> bool:
    try:
        return any(one.samefile(file) for one in (process / "fd").iterdir() if one.exists())
    except OSError:
        return False


def test_a_state_on_another_volume_is_refused_and_nothing_is_left_moved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refusing(source: Path, target: Path) -> Path:
        if source == world.top / "out":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(Failure, match="both on one volume"):
        world.run("true")
    assert (world.top / "build/file").read_text() == "build"


def test_the_profile_lets_no_recipe_out(world: World) -> None:
    world.run("true")
    written = (world.top / "profile").read_text()
    assert written == profile(world.places())
    lines = written.splitlines()
    assert "(deny network*)" in lines
    # What comes later wins.
    assert lines.index("(deny network*)") < min(n for n, line in enumerate(lines) if line.startswith("(allow network"))
    assert not [line for line in lines if line.startswith("(allow network-") and "localhost" not in line]
    allowed = next(line for line in lines if line.startswith("(allow file-write*"))
    assert f'(subpath "{world.root}/out")' in allowed
    assert f"{world.root}/deps" not in allowed


def test_a_machine_that_is_not_set_up_is_told_how(world: World, tmp_path: Path) -> None:
    assert problem(world.root, world.program) is None
    found = problem(tmp_path / "missing", world.program)
    assert found is not None
    assert "sudo mkdir -p" in found[1]
    assert problem(world.root, tmp_path / "none") is not None
    assert str(macos_sandbox.SANDBOX_EXEC) == "/usr/bin/sandbox-exec"
