"""Every known way out of a confined stage is tried, from the inside, and none leads anywhere."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from master.home import Home
from master.release import enclosure, guard, syscalls
from master.release.enclosure import Covered
from tests.unit import escapes
from tests.unit.escapes import ATTEMPTS, Outside
from workers.model import ROOT

pytestmark = pytest.mark.skipif(guard.namespaces() is None, reason="this machine lets no namespaces be made")

SECRET = "secret of farm.pem"
HELLO = "hello from outside"
AT_FDCWD = -100


def _handle(path: Path) -> tuple[str, int]:
    """name_to_handle_at(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer((128).to_bytes(4, sys.byteorder) + bytes(132))
    mount = ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), buffer, ctypes.byref(mount), 0) != 0:
        return "00", 1  # a file system without handles: there is nothing to guess
    size = int.from_bytes(buffer.raw[:4], sys.byteorder)
    return buffer.raw[8 : 8 + size].hex(), int.from_bytes(buffer.raw[4:8], sys.byteorder)


@contextlib.contextmanager
def listening(address: str) -> Iterator[None]:
    """A service that greets whoever comes."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(address)
        one.listen()

        def greet() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = one.accept()
                    with client, contextlib.suppress(OSError):
                        client.sendall(HELLO.encode())

        threading.Thread(target=greet, daemon=True).start()
        try:
            yield
        finally:
            one.shutdown(socket.SHUT_RDWR)


def runtime() -> Path:
    """A directory below /run that this user may write to, or another, where there is none."""
    for one in (Path("/run"), Path(f"/run/user/{os.getuid()}")):
        if os.access(one, os.W_OK):
            return one
    return Path(tempfile.gettempdir())


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    root = tmp_path_factory.mktemp("outside")
    home = Home(root / "home", ROOT)
    home.keys.mkdir(parents=True, mode=0o700)
    home.settings_file.touch()
    key = home.keys / "farm.pem"
    key.write_text(SECRET)
    own = home.root / "run"
    own.mkdir()
    with contextlib.ExitStack() as stack:
        # A service socket that lies outside of /run, of /tmp and of what is sealed.
        elsewhere = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=home.root)), "agent")
        there = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=runtime())), "docker.sock")
        abstract = f"pymint-{os.getpid()}"
        for address in (str(there), str(elsewhere), f"\0{abstract}"):
            stack.enter_context(listening(address))
        opened = os.open(key, os.O_RDONLY)
        stack.callback(os.close, opened)
        master = subprocess.Popen(
            ["sleep", "600"], env={"PATH": os.environ["PATH"], "AWS_SECRET_ACCESS_KEY": SECRET}, pass_fds=[opened]
        )
        stack.callback(master.wait)
        stack.callback(master.kill)
        handle, kind = _handle(key)
        yield Outside(
            master.pid, str(key), handle, kind, [str(there), str(elsewhere)], abstract, opened, str(own)
        )  # fmt: skip


def tried(outside: Outside, mode: str) -> dict[str, list[str]]:
    home = str(Path(outside.key).parent.parent)
    os.set_inheritable(outside.descriptor, True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.escapes", mode, home, json.dumps(asdict(outside))], cwd=ROOT,
        capture_output=True, text=True, check=False, pass_fds=[outside.descriptor],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == ATTEMPTS.keys()
    return found


@pytest.fixture(scope="module")
def unconfined(outside: Outside) -> dict[str, list[str]]:
    return tried(outside, "attempts")


@pytest.fixture(scope="module")
def sealed(outside: Outside) -> dict[str, list[str]]:
    return tried(outside, "sealed")


@pytest.fixture(scope="module")
def dry_run(outside: Outside) -> dict[str, list[str]]:
    return tried(outside, "dry-run")


# What leads somewhere for every user of every machine, so that an attempt that can't succeed is none.
SURE = (
    "socket_of_the_runtime", "socket_elsewhere", "abstract_socket", "environment_of_another", "files_of_another",
    "descriptor_of_another", "end_of_another", "descriptor_inherited", "other_devices",
)  # fmt: skip


@pytest.mark.parametrize("name", SURE)
def test_without_confinement_the_attempt_succeeds(unconfined: dict[str, list[str]], name: str) -> None:
    assert unconfined[name][0] == "got", unconfined[name]


@pytest.mark.parametrize("name", ATTEMPTS)
def test_the_stage_that_runs_code_of_archives_has_no_way_out(sealed: dict[str, list[str]], name: str) -> None:
    if name in ("socket_to_the_hypervisor", "io_uring", "keyring") and platform.machine() not in syscalls.MACHINES:
        pytest.skip("no filter of system calls is known for this processor")
    assert sealed[name][0] == "refused", sealed[name]


@pytest.mark.parametrize("name", ATTEMPTS)
def test_no_stage_of_a_dry_run_has_a_way_out(dry_run: dict[str, list[str]], name: str) -> None:
    if name in ("socket_to_the_hypervisor", "io_uring", "keyring") and platform.machine() not in syscalls.MACHINES:
        pytest.skip("no filter of system calls is known for this processor")
    assert dry_run[name][0] == "refused", dry_run[name]


def test_the_attempts_are_of_the_same_calls_as_the_filter() -> None:
    for machine, known in ((one, syscalls.MACHINES[one]) for one in syscalls.MACHINES):
        if machine == platform.machine():
            assert {escapes.NUMBERS["io_uring_setup"], escapes.NUMBERS["keyctl"]} <= set(known.refused)
            assert escapes.NUMBERS["open_by_handle_at"] in known.refused


def confined(what: Covered, *command: str, around: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A command as the stage of a dry run. around: what starts it all, outside."""
    made = guard.namespaces()
    assert made is not None
    return subprocess.run(
        [*around, *made, sys.executable, "-m", "master.release.enclosure", json.dumps(asdict(what)), *command],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("ends", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)])
def test_a_stage_ends_as_it_ended_inside(tmp_path: Path, ends: str, code: int) -> None:
    assert confined(Covered(str(tmp_path / "keys")), "/bin/sh", "-c", ends).returncode == code


def test_a_stage_that_can_not_be_confined_is_not_run(tmp_path: Path) -> None:
    done = confined(Covered(str(tmp_path / "keys"), sealed=str(tmp_path / "none")), "/bin/echo", "it runs")
    assert (done.returncode, done.stdout) == (1, "")
    assert "release: this stage can't be confined here" in done.stderr


def test_no_program_of_a_stage_gets_more_capabilities_than_are_named(tmp_path: Path) -> None:
    done = confined(Covered(str(tmp_path / "keys")), "/bin/sh", "-c", "cat /proc/self/status")
    (bounds,) = [int(line.split()[1], 16) for line in done.stdout.splitlines() if line.startswith("CapBnd:")]
    assert bounds == sum(1 << one for one in enclosure.KEPT_CAPABILITIES)
    # See capabilities(7): these are told apart by number in the code, so they are by number here.
    assert {one for one in range(64) if bounds >> one & 1} == {0, 1, 3, 4, 6, 7, 8, 31}


@pytest.mark.parametrize("number", [3, 4, 9])
def test_no_descriptor_is_inherited_whatever_its_number(tmp_path: Path, number: int) -> None:
    (tmp_path / "file").write_text(SECRET)
    opens = ["/bin/sh", "-c", f'exec {number}<"$0"; exec "$@"', str(tmp_path / "file")]
    read = ["/bin/sh", "-c", f"cat <&{number}"]
    assert subprocess.run([*opens, *read], capture_output=True, text=True, check=False).stdout == SECRET
    done = confined(Covered(str(tmp_path / "keys")), *read, around=opens)
    assert (done.returncode != 0, done.stdout) == (True, "")
