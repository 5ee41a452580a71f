"""The pipe of job slots, shared with GNU make, which makes its read end non-blocking for everybody."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from workers.jobserver import Jobserver


def test_a_slot_is_waited_for_also_when_make_made_the_pipe_non_blocking() -> None:
    server = Jobserver(1)
    os.set_blocking(server.descriptors[0], False)
    second = threading.Event()

    def take() -> None:
        with server.slot():
            second.set()

    with server.slot():
        thread = threading.Thread(target=take)
        thread.start()
        assert not second.wait(0.2)
    assert second.wait(5)
    thread.join()
    server.close()


@pytest.mark.skipif(shutil.which("make") is None, reason="GNU make is not installed")
def test_make_takes_its_jobs_from_the_server_and_gives_them_back(tmp_path: Path) -> None:
    # A third job at the same time finds neither name free, and fails.
    job = "@mkdir one 2>/dev/null && mine=one || { mkdir two && mine=two; } && sleep 0.2 && rmdir $$mine && echo $$mine"
    (tmp_path / "Makefile").write_text(f"all: a b c d\na b c d:\n\t{job}\n")
    server = Jobserver(2)
    with server.slot():
        done = subprocess.run(
            ["make"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "MAKEFLAGS": server.makeflags},
            pass_fds=server.descriptors,
            capture_output=True,
            text=True,
            check=True,
        )
    assert set(done.stdout.split()) == {"one", "two"}
    os.set_blocking(server.descriptors[0], False)
    assert os.read(server.descriptors[0], 10) == b"++"
    server.close()
