"""What a unit starts: the process itself becomes the master, tells systemd, and is known to the other commands."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from master.watch.watchdog import EXIT_CODE
from tests.integration.farm import Farm, until
from workers.model import ROOT


def environment(farm: Farm, **more: str) -> dict[str, str]:
    return {**os.environ, "MINT_HOME": str(farm.home.root), **more}


def mint(farm: Farm, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "master.cli", *arguments], cwd=ROOT, text=True, capture_output=True, check=False,
        env=environment(farm),
    )  # fmt: skip


def test_the_process_that_a_unit_starts_becomes_the_master(
    own_farm: Farm, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = Path(tmp_path_factory.mktemp("n")) / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(300)
        process = subprocess.Popen(
            [sys.executable, "-m", "master.cli", "service", "run", "master"], cwd=ROOT,
            env=environment(own_farm, NOTIFY_SOCKET=str(path)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        own_farm.running["master"] = process
        while systemd.recv(200) != b"READY=1":
            continue
        until("it answers", lambda: own_farm.http.get("health").status_code)
        status = json.loads(mint(own_farm, "status", "--json").stdout)
        assert status["running"]["master"] == process.pid
        again = mint(own_farm, "service", "run", "master")
        assert again.returncode == 1
        assert f"found   process {process.pid}" in again.stderr
        process.terminate()
        assert process.wait(600) == 0, "which Restart=on-failure leaves alone"
        assert mint(own_farm, "down").stdout == "Nothing is running.\n"
    assert EXIT_CODE != 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)")
def test_systemd_takes_the_units(own_farm: Farm, tmp_path: Path) -> None:
    for name in ("master", "worker"):
        text = mint(own_farm, "service", "print", name, "--user", "root").stdout
        unit = tmp_path / f"pymint-{name}.service"
        unit.write_text(text)
        assert f'ExecStart="{ROOT}/mint" service run {name}' in text
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.glob("*.service"))], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "pymint-" in line]
    assert ours == []
