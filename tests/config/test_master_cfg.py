"""What Buildbot makes of master.cfg: loaded as `buildbot checkconfig` loads it, without a process or a port."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from buildbot.config.errors import ConfigErrors
from buildbot.config.master import FileLoader
from twisted.internet import defer

from master import settings
from master.access import hash_of
from master.builders import FARM_WORKER
from master.forms import FARM, FORCE_CELL, FORCE_FARM
from master.schedulers import CHOSEN_CELLS, PUSH
from workers.model import ROOT, load_matrix

CFG = ROOT / "master" / "master.cfg"
X86, ARM, MAC = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"
STAGES = [
    "checkout", "plan", "sources", "dependencies", "openssl", "fips-provider", "cpython", "package", "validate",
    "prove-fips", "test-suite", "archive", "derive", "validate-flavours", "prove-flavours", "upload", "record",
    "attest",
]  # fmt: skip
OWN = ("__Janitor",)


def load(home: Path, toml: str = "") -> Any:
    (home / "master").mkdir(parents=True, exist_ok=True)
    (home / "secrets").mkdir(exist_ok=True)
    (home / "settings.toml").write_text(toml)
    return FileLoader(str(home / "master"), str(CFG)).loadConfig()


def worker(*targets: str, name: str = "local") -> str:
    return f'[[workers]]\nname = "{name}"\ntargets = {list(targets)}\n'


def builders(config: Any) -> dict[str, Any]:
    return {one.name: one for one in config.builders if one.name not in OWN}


def step_names(builder: Any) -> list[str]:
    return [step.buildStep().name for step in builder.factory.steps]


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return load(tmp_path, worker(X86))


def test_master_cfg_only_assembles() -> None:
    assert len(CFG.read_text().splitlines()) <= 60


def test_the_steps_of_every_cell_are_the_stages_in_their_order(config: Any) -> None:
    for name, builder in builders(config).items():
        assert step_names(builder) == (["fan-out"] if name == FARM else STAGES), name


def test_the_documentation_names_the_same_steps() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("## A build's stages")[2].partition("\n\nEvery program")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == STAGES


def test_names_are_ones_that_buildbot_takes_everywhere(config: Any) -> None:
    for name, builder in builders(config).items():
        assert len(name) <= 70
        assert "+" not in name
        for step in step_names(builder):
            assert re.fullmatch(r"[A-Za-z_-][A-Za-z0-9_-]{0,49}", step)


def test_there_is_a_builder_for_each_cell_with_a_worker_and_no_other(tmp_path: Path) -> None:
    matrix = load_matrix()
    for targets in ([X86], [X86, MAC], [X86, ARM, MAC]):
        config = load(tmp_path, worker(*targets))
        wanted = {cell.builder_name for cell in matrix.all_cells() if cell.target.triple in targets}
        assert set(builders(config)) == wanted | {FARM}


def test_cells_without_a_worker_are_named_and_nothing_queues_them(tmp_path: Path) -> None:
    config = load(tmp_path, worker(X86))
    said = "\n".join(project.description for project in config.projects)
    for cell in load_matrix().all_cells():
        assert (cell.builder_name in said) == (cell.target.triple != X86)
    for scheduler in config.schedulers.values():
        if isinstance(scheduler.builderNames, list):
            assert not [name for name in scheduler.builderNames if X86 not in name and name not in (FARM, *OWN)]


def test_without_settings_this_machine_builds_its_own_target(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert {one.workername for one in config.workers} == {settings.LOCAL_WORKER, FARM_WORKER, *OWN}
    native = settings.native_target()
    assert native
    assert all(native in name for name in builders(config) if name != FARM)


def test_without_any_worker_the_configuration_still_loads(tmp_path: Path) -> None:
    config = load(tmp_path, "workers = []\n")
    assert not builders(config)


def test_every_cell_can_be_forced_and_the_release_set_is_pushed(config: Any) -> None:
    cells = {name for name in builders(config) if name != FARM}
    assert set(config.schedulers[FORCE_CELL].builderNames) == cells
    assert config.schedulers[FORCE_FARM].builderNames == [FARM]
    release = {cell.builder_name for cell in load_matrix().cells_of("release")}
    assert set(config.schedulers[PUSH].builderNames) == release & cells
    assert CHOSEN_CELLS in config.schedulers


def test_a_push_builds_the_chosen_cells(tmp_path: Path) -> None:
    name = f"cpython-3.13-{X86}-noopt"
    config = load(tmp_path, f'[push]\ncells = ["{name}"]\n{worker(X86)}')
    assert config.schedulers[PUSH].builderNames == [name]


def test_every_commit_is_built_at_once(config: Any) -> None:
    assert config.schedulers[PUSH]._config_kwargs["treeStableTimer"] is None


def test_nothing_is_collapsed(config: Any) -> None:
    """Buildbot's default drops a force's options and calls the dropped request a success."""
    assert config.collapseRequests is False
    assert {builder.collapseRequests for builder in builders(config).values()} == {False}


def test_forced_and_pushed_builds_of_a_commit_share_one_source_stamp(config: Any) -> None:
    (poller,) = config.change_sources
    for name in (FORCE_CELL, FORCE_FARM):
        fixed = {}
        for field in config.schedulers[name]._config_kwargs["codebases"][0].fields:
            fixed[field.name] = field.default
        assert fixed["repository"] == poller._config_kwargs.get("repourl", poller._config_args[0])
        assert fixed["branch"] == poller._config_kwargs["branches"][0]
        assert fixed["project"] == poller._config_kwargs["project"] == ""


def test_every_worker_has_work(config: Any) -> None:
    used = {name for builder in config.builders for name in builder.workernames}
    assert used == {one.workername for one in config.workers}


def test_the_fan_out_takes_no_worker_from_the_cells_it_waits_for(config: Any) -> None:
    farm = builders(config)[FARM]
    assert farm.workernames == [FARM_WORKER]
    assert all(FARM_WORKER not in one.workernames for name, one in builders(config).items() if name != FARM)


def test_every_program_has_time_limits_and_is_asked_to_end(config: Any) -> None:
    for step in builders(config)[f"cpython-3.13-{X86}-pgo-lto"].factory.steps:
        built = step.buildStep()
        if hasattr(built, "program"):
            assert built.maxTime == 360 * 60
            assert built.timeout == 90 * 60
            assert (built.interruptSignal, built.sigtermTime) == ("TERM", 30)
        if built.name != "upload":
            assert built.haltOnFailure
            assert built.flunkOnFailure


def test_nothing_leaves_the_machine_and_only_loopback_is_open(config: Any) -> None:
    assert config.buildbotNetUsageData is None
    assert config.www["port"] == "tcp:8010:interface=127.0.0.1"
    assert [config.protocols["pb"]["port"]] == ["tcp:9989:interface=127.0.0.1"]
    assert {"waterfall_view", "console_view", "grid_view"} <= set(config.www["plugins"])


def test_settings_reach_the_programs(tmp_path: Path) -> None:
    toml = (
        '[sources]\nmirrors = ["https://mirror.example/"]\nupstream = false\ndistro = false\noffline = "/srv/sources"\n'
        '[fips]\nprocedure = "policy"\nslh_dsa = false\n[build]\njobs = 7\n[suite]\nextent = "full"\n'
    )
    config = load(tmp_path, toml + worker(X86))
    steps = {
        step.buildStep().name: step.buildStep()
        for step in builders(config)[f"cpython-3.13-{X86}-pgo-lto"].factory.steps
    }
    where = ["--mirror=https://mirror.example/", "--offline=/srv/sources", "--no-distro", "--no-upstream"]
    assert steps["plan"].options == [*where, "--fips-procedure=policy", "--no-slh-dsa"]
    assert steps["sources"].options == where
    assert steps["cpython"].options == ["--jobs=7"]
    assert steps["test-suite"].options == ["--extent=full", "--jobs=7"]


def test_an_open_page_without_a_login_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path, '[web]\nport = 8010\ninterface = "0.0.0.0"\n')
    text = caught.value.errors[0]
    assert "settings.toml:3: [web] interface: the page would let anyone in the network start builds" in text
    load(tmp_path, f'[web]\ninterface = "0.0.0.0"\n[login.users]\nanna = "{hash_of("x")}"\n')


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ("force", ("forceschedulers", "force-cell")),
        ("force", ("forceschedulers", "force-farm")),
        ("stop", ("builds", "1")),
        ("rebuild", ("builds", "1")),
        ("cancel", ("buildrequests", "1")),
        ("set_priority", ("buildrequests", "1")),
        ("enable", ("schedulers", "1")),
        ("pause", ("workers", "1")),
        ("kill", ("workers", "1")),
        ("an-action-of-the-future", ("builders", "1")),
    ],
)
def test_with_a_login_only_operators_control_anything(tmp_path: Path, action: str, path: tuple[str, ...]) -> None:
    config = load(tmp_path, f'[login.users]\nanna = "{hash_of("x")}"\n')
    authz = config.www["authz"]
    authz.setMaster(None)

    def allowed(user: dict[str, Any], what: str) -> bool:
        outcome: list[bool] = []
        asked = defer.maybeDeferred(authz.assertUserAllowed, path, what, {}, user)
        asked.addCallbacks(lambda _: outcome.append(True), lambda _: outcome.append(False))
        return outcome[0]

    anonymous, stranger = {"anonymous": True}, {"username": "mallory"}
    assert allowed({"username": "anna"}, action)
    assert not allowed(anonymous, action)
    assert not allowed(stranger, action)
    assert allowed(anonymous, "get")
