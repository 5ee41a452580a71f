"""Another Debian's files for a recipe: whose mirror, and what is said where none can be made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from workers import debian_root as module
from workers.debian_root import debian_root, main_archives
from workers.errors import Failure
from workers.sandbox import run_in_sandbox, sandbox_problem


def test_the_mirror_is_that_of_the_main_archive() -> None:
    listed = (
        "Debian-Security|http://one.example/security\nDebian|http://one.example/debian\nSomeone|http://two.example\n"
    )
    assert main_archives(listed) == ["http://one.example/debian"]


def test_without_debootstrap_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match="no Debian bullseye can be made") as caught:
        debian_root(tmp_path, "bullseye", ("gcc",), tmp_path / "log")
    assert "apt-get install debootstrap" in str(caught.value)


def _debootstrap(programs: Path, script: str) -> None:
    programs.mkdir()
    program = programs / "debootstrap"
    program.write_text(f'#!/bin/sh\nset -- "$4" "$@"\n{script}\n')
    program.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap is for root")
def test_two_builds_that_want_the_same_root_make_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _debootstrap(tmp_path / "bin", f'mkdir -p "$1"; echo x >>{tmp_path}/runs; sleep 0.5; touch "$1/made"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "mirror", lambda: "http://one.example/debian")

    def make(number: int) -> Path:
        return debian_root(tmp_path / "state", "bullseye", ("gcc",), tmp_path / f"log {number}")

    with ThreadPoolExecutor() as pool:
        roots = list(pool.map(make, range(2)))
    assert [(root / "made").exists() for root in roots] == [True, True]
    assert (tmp_path / "runs").read_text() == "x\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap is for root")
def test_a_failed_debootstrap_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _debootstrap(tmp_path / "bin", 'mkdir "$1/half"; echo "E: no such suite" >&2; exit 1')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "mirror", lambda: "http://one.example/debian")
    with pytest.raises(Failure, match="could not make") as caught:
        debian_root(tmp_path / "state", "bullseye", ("gcc",), tmp_path / "log")
    assert "E: no such suite" in str(caught.value)
    assert list((tmp_path / "state" / "systems").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap is for root")
def test_a_root_is_made_once_and_again_for_other_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _debootstrap(tmp_path / "bin", f'echo made >> {tmp_path}/made; mkdir -p "$1/etc"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "mirror", lambda: "http://one.example/debian")
    roots = [debian_root(tmp_path / "state", "bullseye", packages, tmp_path / "log") for packages in (("a",), ("a",))]
    assert roots[0] == roots[1]
    assert (tmp_path / "made").read_text() == "made\n"
    debian_root(tmp_path / "state", "bullseye", ("a", "b"), tmp_path / "log")
    assert (tmp_path / "made").read_text() == "made\nmade\n"


@pytest.mark.skipif(sandbox_problem() is not None, reason=f"no sandbox here: {sandbox_problem()}")
def test_a_command_sees_the_other_systems_files_and_its_own_usr_local(tmp_path: Path) -> None:
    """The other system here is a directory with a copy of this machine's shell and C library."""
    system = tmp_path / "system"
    for name in ("mnt", "proc", "dev", "tmp", "usr/local", "etc", "bin"):
        (system / name).mkdir(parents=True)
    (system / "etc" / "debian_version").write_text("11.11\n")
    for name in ("build", "deps", "out", "toolchain", "data"):
        (tmp_path / name).mkdir()
    _copy_shell(system / "bin" / "sh")
    script = "read version < /etc/debian_version; echo $version > /usr/local/seen; echo $version > /mnt/pymint/out/seen"
    ended = run_in_sandbox(
        ["/bin/sh", "-eu", "-c", script],
        build=tmp_path / "build",
        deps=tmp_path / "deps",
        out=tmp_path / "out",
        toolchain=tmp_path / "toolchain",
        data=tmp_path / "data",
        environment={},
        log=tmp_path / "log",
        system=system,
    )
    assert ended.exit_code == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "out" / "seen").read_text() == "11.11\n"
    assert (tmp_path / "build" / "usr-local" / "seen").read_text() == "11.11\n"
    assert list((system / "usr" / "local").iterdir()) == []


def _copy_shell(path: Path) -> None:
    """A copy of this machine's shell with the libraries that it needs, at the paths where it wants them."""
    shutil.copy("/bin/sh", path)
    listed = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+)", listed):
        target = path.parents[1] / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
