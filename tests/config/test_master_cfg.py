"""What Buildbot makes of master.cfg: loaded as `buildbot checkconfig` loads it, without a process or a port."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from buildbot.config.errors import ConfigErrors
from buildbot.config.master import FileLoader
from buildbot.data.connector import DataConnector
from buildbot.schedulers.forcesched import ForceScheduler, ValidationError
from twisted.internet import defer

from master import settings
from master.access import RELEASE, hash_of
from master.forms import FARM, FORCE_CELL, FORCE_FARM, CellForce
from master.schedulers import CHOSEN_CELLS, PUSH
from master.updates.looking_after import PINS, PINS_FORM, PINS_NIGHTLY
from workers.machine import native_target
from workers.model import ROOT, load_matrix

CFG = ROOT / "master" / "master.cfg"
X86, ARM, MAC = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"
STAGES = [
    "fit", "checkout", "plan", "sources", "dependencies", "openssl", "fips-provider", "cpython", "package", "validate",
    "prove-fips", "test-suite", "archive", "derive", "validate-flavours", "prove-flavours", "upload", "record",
    "attest",
]  # fmt: skip
OWN = ("housekeeping",)
RELEASE_STAGES = ["gate", "collect", "plan", "publish"]
NO_CELLS = (FARM, RELEASE, PINS)
PINS_STAGES = ["look", "advisories", "candidates", "request-builds"]


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
        others = {FARM: ["fan-out"], RELEASE: RELEASE_STAGES, PINS: PINS_STAGES}
        assert step_names(builder) == others.get(name, STAGES), name


def test_the_documentation_names_the_same_steps() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("## A build's stages")[2].partition("\n\nEvery program")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == STAGES
    table = text.partition("## A release's stages")[2].partition("\n\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == RELEASE_STAGES


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
        assert set(builders(config)) == wanted | set(NO_CELLS)


def test_cells_without_a_worker_are_named_and_nothing_queues_them(tmp_path: Path) -> None:
    config = load(tmp_path, worker(X86))
    said = "\n".join(project.description for project in config.projects)
    for cell in load_matrix().all_cells():
        assert (cell.builder_name in said) == (cell.target.triple != X86)
    # Buildbot's own form takes any builder id: whoever may send one could send a release through it.
    forms = [one for one in config.schedulers.values() if isinstance(one, ForceScheduler)]
    assert forms
    assert all(isinstance(one, CellForce) for one in forms)
    for scheduler in config.schedulers.values():
        if isinstance(scheduler.builderNames, list):
            assert not [name for name in scheduler.builderNames if X86 not in name and name not in (*NO_CELLS, *OWN)]


def test_without_settings_this_machine_builds_its_own_target(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert {one.workername for one in config.workers} == {settings.LOCAL_WORKER, settings.FARM_WORKER}
    native = native_target()
    assert native
    assert all(native in name for name in builders(config) if name not in NO_CELLS)


def test_without_any_worker_the_configuration_still_loads(tmp_path: Path) -> None:
    config = load(tmp_path, "workers = []\n")
    assert not builders(config)


def test_every_cell_can_be_forced_and_the_release_set_is_pushed(config: Any) -> None:
    cells = set(builders(config)) - set(NO_CELLS)
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
    for name in (FORCE_CELL, FORCE_FARM, RELEASE):
        fixed = {}
        for field in config.schedulers[name]._config_kwargs["codebases"][0].fields:
            fixed[field.name] = field.default
        assert fixed["repository"] == poller._config_kwargs.get("repourl", poller._config_args[0])
        assert fixed["branch"] == poller._config_kwargs["branches"][0]
        assert fixed["project"] == poller._config_kwargs["project"] == ""


def test_every_worker_has_work(config: Any) -> None:
    used = {name for builder in config.builders for name in builder.workernames}
    assert used == {one.workername for one in config.workers}


def test_the_fan_out_and_releases_take_no_worker_from_the_cells(config: Any) -> None:
    for name, one in builders(config).items():
        assert one.workernames == [settings.FARM_WORKER if name in NO_CELLS else "local"]


def test_releases_are_made_one_at_a_time(config: Any) -> None:
    (lock,) = builders(config)[RELEASE].locks
    assert (lock.lockid.name, lock.mode) == ("release", "exclusive")


def test_the_pins_are_looked_after_at_night_unless_no_hour_is_chosen(config: Any, tmp_path: Path) -> None:
    clock = config.schedulers[PINS_NIGHTLY]
    assert (clock.builderNames, clock._config_kwargs["hour"]) == ([PINS], [3])
    stamp = clock._config_kwargs["codebases"][""]
    (poller,) = config.change_sources
    assert stamp["repository"] == poller._config_args[0]
    by_hand = load(tmp_path / "by-hand", f"[updates]\nhours = []\nbranches = false\n{worker(X86)}")
    assert PINS_FORM in by_hand.schedulers
    assert PINS_NIGHTLY not in by_hand.schedulers
    assert step_names(builders(by_hand)[PINS]) == PINS_STAGES[:-1]


@pytest.mark.parametrize(
    ("line", "said"),
    [("hours = [24]", "a day has no such hour"), ("minute = 60", "an hour has no such minute"),
     ("most = 0", "too few or too many"), ('author = "me"', "git takes no such author")],
)  # fmt: skip
def test_wrong_settings_of_looking_after_are_told(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path, f"[updates]\n{line}\n")
    assert said in caught.value.errors[0]


def test_a_release_is_a_dry_run_unless_it_says_otherwise(config: Any) -> None:
    scheduler = config.schedulers[RELEASE]
    assert scheduler.builderNames == [RELEASE]
    (dry_run,) = [one for one in scheduler._config_kwargs["properties"] if one.name == "dry_run"]
    assert dry_run.default is True
    assert dry_run.getFromKwargs({}) is True
    assert dry_run.getFromKwargs({"dry_run": [False]}) is False
    for nonsense in ("", "no thanks", None, 7):
        with pytest.raises(ValidationError):
            dry_run.getFromKwargs({"dry_run": [nonsense]})


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
        ("set_priority", ("buildrequests", "2")),
        ("enable", ("schedulers", "1")),
        ("pause", ("workers", "1")),
        ("kill", ("workers", "1")),
    ],
)
def test_with_a_login_only_its_users_control_anything(tmp_path: Path, action: str, path: tuple[str, ...]) -> None:
    config = load(tmp_path, f'[login.users]\nanna = "{hash_of("x")}"\n')
    anonymous, stranger = {"anonymous": True}, signed_in("mallory")
    assert allowed(config, signed_in("anna"), action, path)
    assert not allowed(config, anonymous, action, path)
    assert not allowed(config, stranger, action, path)
    assert allowed(config, anonymous, "get", path)


def test_what_no_rule_is_about_is_for_nobody(tmp_path: Path) -> None:
    config = load(tmp_path, f'[login.users]\nanna = "{hash_of("x")}"\n')
    for action, path in (("an-action-of-the-future", ("builders", "1")), ("force", ("no", "such", "path"))):
        assert not allowed(config, signed_in("anna"), action, path)


def signed_in(name: str) -> dict[str, Any]:
    return {"username": name, "signed_in_by": "password"}


RELEASES_ID, CELLS_ID = 7, 8


class Data(DataConnector):
    """Buildbot's own paths and endpoints, without a database: of builds and requests the first is a release's, the
    second a cell's. Through REST, with a master: tests/integration/test_access.py."""

    master = None

    def __init__(self) -> None:
        super().__init__()
        self._setup()

    def getEndpoint(self, path: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
        endpoint, named = super().getEndpoint(path)

        async def get(_: Any, asked: dict[str, Any]) -> dict[str, Any]:
            number = asked.get("buildid", asked.get("buildrequestid", asked.get("build_number")))
            return {"builderid": RELEASES_ID if number == 1 else CELLS_ID}

        endpoint.get = get
        return endpoint, named

    async def get(self, path: tuple[str, ...]) -> list[dict[str, Any]]:
        assert path == ("builders",)
        return [{"builderid": RELEASES_ID, "name": RELEASE}, {"builderid": CELLS_ID, "name": "cpython"}]


class Master:
    data = Data()


def allowed(
    config: Any, user: dict[str, Any], action: str, path: tuple[str, ...], options: dict[str, Any] | None = None
) -> bool:
    authz = config.www["authz"]
    authz.setMaster(Master())
    outcome: list[bool] = []
    asked = defer.maybeDeferred(authz.assertUserAllowed, path, action, options or {}, user)
    asked.addCallbacks(lambda _: outcome.append(True), lambda _: outcome.append(False))
    return outcome[0]


@pytest.mark.parametrize(
    ("action", "path", "options"),
    [
        ("force", ("forceschedulers", RELEASE), {}),
        ("force", ("forceschedulers", "housekeeping-now"), {"builderid": RELEASES_ID}),
        ("force", ("forceschedulers", "housekeeping-now"), {"builderid": str(RELEASES_ID)}),
        ("force", ("forceschedulers", "housekeeping-now"), {"builderid": f"0{RELEASES_ID}"}),
        ("force", ("forceschedulers", "housekeeping-now"), {"builderid": f" {RELEASES_ID}"}),
        ("force", ("forceschedulers", FORCE_CELL), {"builderNames": [RELEASE]}),
        ("force", ("forceschedulers", FORCE_CELL), {"builderNames": RELEASE}),
        ("rebuild", ("builds", "1"), {}),
        ("rebuild", ("builders", str(RELEASES_ID), "builds", "1"), {}),
        ("stop", ("builds", "1"), {}),
        ("cancel", ("buildrequests", "1"), {}),
        ("set_priority", ("buildrequests", "1"), {}),
    ],
)
def test_only_releasers_control_releases(
    tmp_path: Path, action: str, path: tuple[str, ...], options: dict[str, Any]
) -> None:
    users = f'[login.users]\nanna = "{hash_of("x")}"\notto = "{hash_of("y")}"\n[access]\nreleasers = ["anna"]\n'
    config = load(tmp_path, users)
    assert allowed(config, signed_in("anna"), action, path, options)
    assert not allowed(config, signed_in("otto"), action, path, options)
    assert not allowed(config, {"anonymous": True}, action, path, options)


def test_who_may_not_release_still_builds(tmp_path: Path) -> None:
    users = f'[login.users]\nanna = "{hash_of("x")}"\notto = "{hash_of("y")}"\n[access]\nreleasers = ["anna"]\n'
    config = load(tmp_path, users)
    otto = signed_in("otto")
    for action, path in (("force", ("forceschedulers", FORCE_CELL)), ("stop", ("builds", "2")),
                         ("cancel", ("buildrequests", "2")), ("rebuild", ("builds", "2"))):  # fmt: skip
        assert allowed(config, otto, action, path, {"builderNames": ["cpython"]})


def test_workers_may_be_containers_and_pods_and_the_ward_looks_after_all(tmp_path: Path) -> None:
    toml = (
        f"{worker(X86, name='docker-1')}[workers.docker]\nmemory_gb = 2\n"
        f'{worker(X86, name="pod-1")}[workers.kubernetes]\nimage = "r/i@sha256:1"\nmaster_url = "https://k"\n'
        f'{worker(X86, name="iron")}[images]\nworkers = ["iron"]\n[protocol]\ninterface = "0.0.0.0"\n'
    )
    config = load(tmp_path, toml)
    kinds = {one.workername: type(one).__name__ for one in config.workers}
    assert (kinds["docker-1"], kinds["pod-1"], kinds["iron"]) == ("Container", "Pod", "Machine")
    assert config.protocols["pb"]["port"].startswith("ssl:9989:interface=0.0.0.0:privateKey=")
    assert "ward" in config.services
    names = step_names(builders(config)["images-x86_64"])
    assert names == ["fit", "checkout", "image-build", "image-fips-policy"]
    assert builders(config)["images-x86_64"].workernames == ["iron"]
    for name in ("notices", "watch"):
        assert config.services[name]._config_kwargs["workers"] == ["iron"], "the others are away between two builds"
    assert config.schedulers["force-images"].builderNames == ["images-x86_64"]
