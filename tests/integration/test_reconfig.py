"""settings.toml put in force in a master that works: what would change, what does, and what never may."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib

from master import settings
from master.cli import processes
from master.settings.template import commented
from tests.integration.farm import TARGET, Farm, cell_name, commit, until
from tests.integration.test_failures import running_step
from workers.model import ROOT, load_matrix


def mint(farm: Farm, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "master.cli", *map(str, arguments)], cwd=ROOT, text=True, capture_output=True,
        env={**os.environ, "MINT_HOME": str(farm.home.root)}, check=False,
    )  # fmt: skip


def configurations_taken(farm: Farm) -> int:
    return (farm.home.master / "twistd.log").read_text(errors="replace").count("configuration update complete")


def test_a_new_configuration_is_shown_put_in_force_and_loses_no_build(own_farm: Farm) -> None:
    farm, file = own_farm, own_farm.home.settings_file
    checked = mint(farm, "checkconfig")
    assert checked.returncode == 0, checked.stderr
    assert "No master runs here" in checked.stdout
    assert not farm.home.secrets.exists(), "nothing was touched"
    farm.up()
    process = processes.now(farm.running["master"].pid)
    assert process is not None
    processes.remember(farm.home.master / "process.json", process)
    unchanged = mint(farm, "reconfig", "--dry-run")
    assert unchanged.stdout.splitlines()[1:] == [
        "It changes nothing that the running master itself holds; what a step starts reads the file anew."
    ]

    slow = commit(farm.repository, {"slow": {"cpython": 6}})
    request = farm.force(revision=slow)
    until("the cpython stage runs", lambda: running_step(farm, request))
    before = file.read_text()
    file.write_text(before + "[health]\ndisk = 1\n")
    refused = mint(farm, "reconfig")
    assert refused.returncode == 1
    line = before.count("\n") + 2
    assert f"settings: {file}:{line}: [health] disk: there is no such key" in refused.stderr
    assert farm.http.get("health").status_code == 200

    other = '[[workers]]\nname = "second"\ntargets = ["aarch64-apple-darwin"]\n'
    local = f'[[workers]]\nname = "local"\ntargets = ["{TARGET}"]\n'
    file.write_text(before + f"[health]\ndisk_gb = 800000\n[build]\nsilent_minutes = 77\n{local}{other}")
    shown = mint(farm, "checkconfig")
    mac = "cpython-3.13-aarch64-apple-darwin-pgo-lto"
    for wanted in (f"+ builder {mac}", "+ worker second", "~ setting watch: limits: ", "step cpython: "):
        assert wanted in shown.stdout, shown.stdout
    assert "4620" in shown.stdout, "the limit in seconds"
    assert mac not in {one["name"] for one in farm.get("builders")["builders"]}
    done = mint(farm, "reconfig")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "In force; what was running goes on."
    assert mac in {one["name"] for one in farm.get("builders")["builders"]}
    assert farm.http.get("health").status_code == 503
    # It is in force a moment before the master says so.
    until("the master has taken it", lambda: configurations_taken(farm) == 1)
    again = mint(farm, "reconfig")
    assert again.stdout.splitlines()[-1] == "The master reads its secrets again, in case one of them is another."
    until("it has read them", lambda: configurations_taken(farm) == 2)
    assert farm.finished(request)["results"] == 0
    assert len(farm.builds(request)) == 1, "it was not begun again"
    text = farm.home.running.read_text()
    for secret in farm.home.secrets.iterdir():
        assert secret.read_text().strip() not in text


def test_every_setting_is_in_the_template_and_the_template_is_what_the_farm_does_anyway(own_farm: Farm) -> None:
    said = mint(own_farm, "settings").stdout
    assert all(line.startswith("#") or not line for line in said.splitlines())
    assert settings.parse(said, own_farm.home.settings_file) == settings.Settings()
    bare = "\n".join(line.removeprefix("#") for line in said.splitlines() if not line.startswith("# "))
    raw = tomllib.loads(bare)
    assert raw["web"] == {"port": 8010, "interface": "127.0.0.1", "url": "https://mint.example/"}
    assert raw["retention"]["hour"] == settings.Settings().retention.hour
    assert json.dumps(raw["release"]["places"]) == json.dumps(list(settings.Settings().release.places))
    assert commented((ROOT / "docs" / "settings.md").read_text()) == said
    assert load_matrix().sets
    assert cell_name() not in said.partition("[push]")[0]
