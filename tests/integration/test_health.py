"""A master that is well says so; one that is not says what is wrong, or is ended by its watchdog."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.farm import Farm, until
from workers.model import ROOT


def mint(farm: Farm, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MINT_HOME": str(farm.home.root)}
    return subprocess.run(
        [sys.executable, "-m", "master.cli", *arguments], cwd=ROOT, env=environment, text=True, capture_output=True,
        check=False,
    )  # fmt: skip


def checks(farm: Farm) -> tuple[int, dict[str, Any]]:
    answer = farm.http.get("health")
    return answer.status_code, {one["name"]: one for one in answer.json()["checks"]}


def test_a_farm_that_is_well_says_so(farm: Farm) -> None:
    until("the repository was looked at", lambda: farm.http.get("health").status_code == 200)
    status, found = checks(farm)
    assert status == 200
    assert set(found) == {"database", "master", "queue", "poller", "disk"}
    assert "looked at" in found["poller"]["found"]
    said = mint(farm, "health")
    assert (said.returncode, said.stdout.splitlines()[-1]) == (0, "The farm is well.")
    assert farm.http.get("health", headers={"Host": "evil.example"}).status_code == 403


def test_a_broken_database_a_full_disk_and_a_lost_repository_are_not_well(own_farm: Farm) -> None:
    with own_farm.home.settings_file.open("a") as settings:
        settings.write("[health]\ndisk_gb = 900000\n")
    own_farm.repository.rename(own_farm.repository.with_name("gone"))
    own_farm.up("master")
    status, found = checks(own_farm)
    assert status == 503
    assert [name for name, one in found.items() if not one["ok"]] == ["disk"]
    assert "not looked at yet" in found["poller"]["found"]
    own_farm.home.database.write_bytes(b"this is no database" * 1000)
    until("the database is not well", lambda: not checks(own_farm)[1]["database"]["ok"])
    assert "file is not a database" in checks(own_farm)[1]["database"]["found"]
    said = mint(own_farm, "health")
    assert said.returncode == 1
    assert "✗ database" in said.stdout
    assert said.stdout.splitlines()[-1].startswith("Not well: database, ")


@pytest.mark.skipif(sys.platform != "linux", reason="sd_notify is systemd's")
def test_a_supervisor_hears_that_it_lives_and_a_stopped_process_does_not_answer(
    own_farm: Farm, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(tmp_path_factory.mktemp("n")) / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(120)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        own_farm.up("master")
        heard = []
        while "WATCHDOG=1" not in heard or "READY=1" not in heard:
            heard.append(systemd.recv(200).decode())
        process = own_farm.running["master"]
        process.send_signal(signal.SIGSTOP)
        try:
            said = mint(own_farm, "health", "--timeout", "3")
            assert said.returncode == 1
            assert "within 3 s" in said.stderr
        finally:
            process.send_signal(signal.SIGCONT)
        until("it works on as if nothing had been", lambda: own_farm.http.get("health").status_code == 200)
        own_farm.down("master")
        while heard[-1] != "STOPPING=1":
            heard.append(systemd.recv(200).decode())
    assert mint(own_farm, "health").returncode == 1
