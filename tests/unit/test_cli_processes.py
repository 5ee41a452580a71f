"""A process is ours only if number and beginning both fit; a port that is taken is told with its holder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from master.cli import ports, processes
from workers.errors import Failure

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A shell with a child that ignores being asked to end."""
    script = "trap '' TERM; sleep 300 & echo ready; wait; wait"
    parent = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, env={**os.environ, "MINT_TEST": "family"})
    assert parent.stdout is not None
    parent.stdout.readline()
    yield parent
    for process in processes.marked("MINT_TEST", "family"):
        processes.end([process], seconds=0)
    parent.wait()


def test_a_number_that_something_else_has_now_is_not_taken_for_ours(tmp_path: Path) -> None:
    me = processes.now(os.getpid())
    assert me is not None
    file = tmp_path / "process.json"
    processes.remember(file, me)
    assert processes.remembered(file) == me
    processes.remember(file, replace(me, began="long ago"))
    assert processes.remembered(file) is None


@pytest.mark.parametrize("content", [b"", b"12", b"{}", b"\0\0\0"])
def test_a_broken_pid_file_names_no_process(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "process.json"
    file.write_bytes(content)
    assert processes.remembered(file) is None


def test_descendants_are_found_at_any_depth() -> None:
    rows = [processes.Process(pid, parent, "") for pid, parent in ((2, 1), (3, 2), (4, 3), (5, 1), (9, 8))]
    assert [process.pid for process in processes.below([2], rows)] == [3, 4]


@linux
def test_who_does_not_end_when_asked_is_killed_and_named(family: subprocess.Popen[bytes]) -> None:
    shell = processes.now(family.pid)
    assert shell is not None
    children = processes.below([family.pid], processes.every())
    assert len(children) == 1
    assert {p.pid for p in processes.marked("MINT_TEST", "family")} == {family.pid, children[0].pid}
    assert processes.end([shell, *children], seconds=0.3) == [shell, *children]
    assert not processes.alive(shell)


def test_ending_waits_no_longer_than_needed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process = processes.now(child.pid)
    assert process is not None
    began = time.monotonic()
    assert processes.end([process], seconds=30) == []
    assert time.monotonic() - began < 10
    child.wait()


@linux
def test_a_taken_port_is_told_with_its_holder_and_the_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        number = held.getsockname()[1]
        port = ports.Port(number, "127.0.0.1", "web.port", "the web page")
        with pytest.raises(Failure) as told:
            ports.require_free(port, tmp_path / "settings.toml")
        assert f"port {number}" in told.value.what
        assert f"process {os.getpid()} " in str(told.value.found)
        assert f"[web]\n  port = {number + 1}" in told.value.todo
    ports.require_free(port, tmp_path / "settings.toml")


def test_an_interface_that_is_not_here_is_told_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(Failure) as told:
        ports.require_free(ports.Port(8010, "192.0.2.1", "web.port", "the web page"), tmp_path / "settings.toml")
    assert "can't listen on 192.0.2.1:8010" in told.value.what
