"""A Docker engine of the tests' own: as root, with a socket, a store and processes of its own, and no bridge."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.errors import Failure
from workers.images.engine import Engine


def no_engine() -> str | None:
    """Why none can be started here."""
    if os.geteuid() != 0:
        return "a Docker engine of one's own takes root"
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        return "there is no dockerd here: apt-get install docker.io"
    return None


@contextmanager
def engine_in(place: Path) -> Iterator[Engine]:
    """Started, and ended with all its containers. Raises AssertionError, with its own words, when it does not start."""
    place.mkdir(parents=True, exist_ok=True)
    engine = Engine(f"unix://{place}/docker.sock")
    log = place / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["dockerd", "--host", engine.host, "--data-root", place / "data", "--exec-root", place / "exec",
             "--pidfile", place / "pid", "--iptables=false", "--ip6tables=false", "--bridge=none",
             "--ip-forward=false"],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    try:
        for _ in range(600):
            try:
                engine.identity()
                break
            except Failure:
                assert process.poll() is None, log.read_text()[-2000:]
                time.sleep(1)
        yield engine
        for container in engine.run("ps", "--all", "--quiet", fine=True).split():
            engine.run("rm", "--force", container, fine=True)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
