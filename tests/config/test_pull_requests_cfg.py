from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from buildbot.config.errors import ConfigErrors

from master.access import RELEASE, hash_of
from master.forms import FARM, FORCE_FARM
from master.retention.builder import HOUSEKEEPING
from master.settings import FARM_WORKER
from master.updates.looking_after import PINS
from tests.config.test_master_cfg import STAGES, X86, builders, load, step_names, worker

CELL = f"cpython-3.13-{X86}-noopt"
PULLS = (
    f'[github]\nrepository = "example/pythons"\ntoken_file = "token"\nwebhook_secret_file = "hook"\n'
    f'[pull_requests]\ncells = ["{CELL}"]\nlog_mb = 3\nstage_minutes = 20\nsilent_minutes = 10\n'
    f'[login.users]\nanna = "{hash_of("x")}"\n[watch]\nfloor_gb = 3.5\n'
    f"{worker(X86)}{worker(X86, name='strangers')}pull_requests = true\n"
)


@pytest.fixture
def with_pulls(tmp_path: Path) -> Any:
    (tmp_path / "hook").write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "hook").chmod(0o600)
    return load(tmp_path, PULLS)


def test_pull_requests_have_their_own_builders_and_workers(with_pulls: Any) -> None:
    for name, builder in builders(with_pulls).items():
        inside = dict.fromkeys((FARM, RELEASE, PINS, HOUSEKEEPING), FARM_WORKER)
        wanted = {**inside, f"pr-{CELL}": "strangers"}.get(name, "local")
        assert builder.workernames == [wanted]
        assert len(name) <= 70
    assert [name for name in builders(with_pulls) if name.startswith("pr-")] == [f"pr-{CELL}"]


def test_a_pull_request_runs_the_same_stages_and_is_never_signed(with_pulls: Any) -> None:
    assert step_names(builders(with_pulls)[f"pr-{CELL}"]) == [one for one in STAGES if one != "attest"]


def test_what_the_master_writes_down_of_itself_has_no_secret(with_pulls: Any) -> None:
    """The webhook's secret is with the page that deliveries come to, which is among what is written down."""
    inventory = with_pulls.services["running"]._config_kwargs["inventory"]
    assert "Hook{" in inventory.others["door"]["children"]
    assert "0123456789abcdef" not in str(inventory)
    assert hash_of("x").partition(":")[0] not in str(inventory)


def test_another_password_of_a_user_is_another_configuration(tmp_path: Path) -> None:
    found = []
    for word in ("x", "y"):
        config = load(tmp_path, f'[login.users]\nanna = "{hash_of(word, b"0" * 16)}"\n')
        found.append(config.services["running"]._config_kwargs["inventory"].others["[www]"])
    assert found[0]["value"] == found[1]["value"]
    assert found[0]["access"] != found[1]["access"]


@pytest.mark.parametrize("store", ["./store", "store/pulls", "link", "{home}/store", "x/../store"])
def test_archives_of_pull_requests_lie_apart_by_whatever_path(tmp_path: Path, store: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "store")
    (tmp_path / "hook").write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "hook").chmod(0o600)
    toml = PULLS.replace("log_mb = 3", f'log_mb = 3\nstore = "{store.format(home=tmp_path)}"')
    with pytest.raises(ConfigErrors, match="is not apart from main's archives"):
        load(tmp_path, toml)


def test_only_the_scheduler_of_pull_requests_starts_their_builders(with_pulls: Any) -> None:
    for name, scheduler in with_pulls.schedulers.items():
        if isinstance(scheduler.builderNames, list):
            pulled = [one for one in scheduler.builderNames if one.startswith("pr-")]
            assert pulled == ([f"pr-{CELL}"] if name == "pull-requests" else [])
    assert f"pr-{CELL}" not in str(with_pulls.schedulers[FORCE_FARM]._config_kwargs["properties"][-1].choices)


def test_no_checkout_takes_what_is_the_others(with_pulls: Any) -> None:
    for name, builder in builders(with_pulls).items():
        first = builder.factory.steps[0].buildStep()
        if first.name == "checkout":
            assert first.pull is name.startswith("pr-")


def test_a_pull_requests_programs_have_tighter_limits(with_pulls: Any) -> None:
    for step in builders(with_pulls)[f"pr-{CELL}"].factory.steps:
        built = step.buildStep()
        if hasattr(built, "program"):
            assert (built.maxTime, built.timeout) == (20 * 60, 10 * 60)
            assert (built.limits.log_bytes, built.limits.report_bytes) == (3_000_000, 4 * 1024 * 1024)
            assert (built.interruptSignal, built.sigtermTime) == ("TERM", 30)
            assert built.limits.floor_gb == 3.5


def test_what_pull_requests_leave_goes_elsewhere(with_pulls: Any, tmp_path: Path) -> None:
    stores = {}
    for name, builder in builders(with_pulls).items():
        for step in builder.factory.steps:
            built = step.buildStep()
            if built.name == "record":
                stores[name] = built.keep.store
    assert stores.pop(f"pr-{CELL}") == tmp_path / "pull-requests"
    assert {one.root for one in stores.values()} == {tmp_path / "store"}


@pytest.mark.parametrize(
    ("secret", "mode", "text"),
    [("letmein123", 0o600, "too short"), ("x" * 40, 0o644, "everybody"), ("", 0o600, "holds no secret"),
     ("two words of a secret, long enough", 0o600, "holds no secret")],
)  # fmt: skip
def test_a_webhooks_secret_that_is_none_is_refused(tmp_path: Path, secret: str, mode: int, text: str) -> None:
    (tmp_path / "hook").write_text(secret)
    (tmp_path / "hook").chmod(mode)
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path, PULLS)
    assert text in caught.value.errors[0]
    assert not secret or secret not in caught.value.errors[0]
