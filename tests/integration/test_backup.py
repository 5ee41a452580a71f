"""A farm that works is backed up, lost, and made again of its backup."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from master.home import Home
from master.store import Store
from tests.integration.farm import Farm, cell_name, commit, until
from tests.integration.test_failures import running_step
from workers.model import ROOT

CELLS = [cell_name("3.13")]


def mint(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "master.cli", *map(str, arguments)], cwd=ROOT, text=True, capture_output=True,
        env={**os.environ, "MINT_HOME": str(home)}, check=False,
    )  # fmt: skip


def test_a_lost_farm_comes_back_with_its_builds_its_gate_and_its_numbers(
    own_farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = own_farm
    with farm.home.settings_file.open("a") as settings:
        settings.write(f"[release]\ncells = {json.dumps(CELLS)}\nallow_unvalidated = true\n")
    first = commit(farm.repository, {})
    farm.up()
    built = farm.finished(farm.force(revision=first))
    assert built["results"] == 0
    said = farm.properties(built)
    gate = farm.http.get("releases/readiness", params={"sha": first}).json()
    assert gate["ready"]
    # While a build runs: it is begun again where the backup is brought up.
    slow = commit(farm.repository, {"slow": {"cpython": 8}})
    interrupted = farm.force(cell_name("3.12"), revision=slow)
    until("the cpython stage runs", lambda: running_step(farm, interrupted))
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery\n")
    passphrase.chmod(0o600)
    made = mint(farm.home.root, "backup", tmp_path / "backups", "--passphrase-file", passphrase)
    assert made.returncode == 0, made.stderr
    checked = mint(farm.home.root, "backup", tmp_path / "backups", "--verify")
    assert checked.returncode == 0, checked.stdout
    farm.down("worker", "master")
    farm.home.root.rename(farm.home.root.with_name("lost"))

    # Elsewhere, so that nothing but the backup can be what works.
    farm.home = Home(tmp_path / "elsewhere", ROOT)
    restored = mint(farm.home.root, "restore", tmp_path / "backups", "--passphrase-file", passphrase)
    assert restored.returncode == 0, restored.stderr
    farm.up()
    assert farm.http.get("releases/readiness", params={"sha": first}).json() == gate
    archive = farm.http.get(said["archive_url"])
    assert hashlib.sha256(archive.content).hexdigest() == said["archive_sha256"]
    name = str(said["archive_name"])
    for one in (name, f"{name}.sigstore.json"):
        (tmp_path / one).write_bytes(farm.http.get(str(said["archive_url"]).replace(name, one)).content)
    verified = mint(farm.home.root, "verify", tmp_path / name)
    assert verified.returncode == 0, verified.stderr
    assert f"{name}: verified" in verified.stdout
    again = farm.finished(farm.force(revision=first))
    assert (again["results"], again["number"]) == (0, built["number"] + 1), "numbers go on, and it is signed"
    assert len(list(Store(farm.home.root / "store").records())) >= 2
    assert farm.finished(interrupted)["results"] == 0
    assert [one["results"] for one in farm.builds(interrupted)] == [0, 5]
