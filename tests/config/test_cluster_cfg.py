"""What Buildbot makes of master.cfg for each of two masters that share a MINT_HOME."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from buildbot.config.errors import ConfigErrors
from buildbot.config.master import FileLoader
from buildbot.data import masters as buildbot_masters
from buildbot.db import enginestrategy
from buildbot.util.service import ClusteredBuildbotService

from master.access import RELEASE
from master.cluster.postgres import Strategy
from master.forms import FARM
from master.home import Home
from master.reconfig.candidate import inventory_for
from master.reconfig.inventory import changes
from workers.model import ROOT

SETTINGS = """
[[workers]]
name = "one"
targets = ["x86_64-unknown-linux-gnu"]
[database]
url = "postgresql://pymint@db.example/pymint"
[signing]
base = "https://mint.example"
[cluster]
router = "ws://10.0.0.1:9980/ws"
expire_minutes = 3
[[masters]]
name = "a"
[[masters]]
name = "b"
web_port = 8011
worker_port = 9988
"""


@pytest.fixture(autouse=True)
def _put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a master sets for its whole process."""
    monkeypatch.setattr(buildbot_masters, "EXPIRE_MINUTES", 10)
    monkeypatch.setattr(ClusteredBuildbotService, "POLL_INTERVAL_SEC", 300)
    monkeypatch.setattr(enginestrategy, "get_drivers_strategy", enginestrategy.get_drivers_strategy)


def load(home: Path, name: str) -> Any:
    basedir = home / "masters" / name
    basedir.mkdir(parents=True)
    (home / "secrets").mkdir(exist_ok=True)
    (home / "settings.toml").write_text(SETTINGS)
    return FileLoader(str(basedir), str(ROOT / "master" / "master.cfg")).loadConfig()


def test_both_have_all_builders_forms_and_workers_and_share_nothing_that_is_inside_of_a_master(tmp_path: Path) -> None:
    a, b = load(tmp_path, "a"), load(tmp_path, "b")
    assert {one.name for one in a.builders} == {one.name for one in b.builders}
    assert set(a.schedulers) == set(b.schedulers)
    shared = {one.name for one in a.workers} & {one.name for one in b.workers}
    assert shared == {"one"}
    for config, inside in ((a, "__farm-a"), (b, "__farm-b")):
        found = {one.name: one.workernames for one in config.builders}
        assert found[FARM] == found[RELEASE] == [inside]
        assert config.multiMaster
        assert config.mq["router_url"] == "ws://10.0.0.1:9980/ws"
    assert (a.www["port"], b.www["port"]) == ("tcp:8010:interface=127.0.0.1", "tcp:8011:interface=127.0.0.1")


def test_what_a_reconfiguration_would_change_is_known_of_each_master(tmp_path: Path) -> None:
    """Nothing, where the file is the one that it works by."""
    running = load(tmp_path, "b").services["running"]._config_kwargs["inventory"]
    home = Home(tmp_path, ROOT, "b")
    home.secrets.chmod(0o700)
    assert changes(running, inventory_for(home, home.settings_file)) == []


def test_a_release_waits_for_that_of_another_master(tmp_path: Path) -> None:
    (release,) = [one for one in load(tmp_path, "a").builders if one.name == RELEASE]
    assert release.canStartBuild is not None


def test_a_reconfiguration_finds_the_same_database(tmp_path: Path) -> None:
    """Buildbot compares, and refuses another one in a running master."""
    first = load(tmp_path / "x", "a").db
    again = load(tmp_path / "x2", "a").db
    assert first.engine_kwargs["creator"] == again.engine_kwargs["creator"]
    assert first.db_url == "postgresql+psycopg2://pymint@db.example/pymint"


def test_what_masters_tell_buildbot_for_the_whole_process(tmp_path: Path) -> None:
    load(tmp_path, "a")
    assert buildbot_masters.EXPIRE_MINUTES == 3
    assert ClusteredBuildbotService.POLL_INTERVAL_SEC < 60
    assert isinstance(enginestrategy.get_drivers_strategy("postgresql+psycopg2"), Strategy)
    assert not isinstance(enginestrategy.get_drivers_strategy("sqlite"), Strategy)


def test_a_master_that_the_settings_do_not_have_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="has no master 'c'"):
        load(tmp_path, "c")
