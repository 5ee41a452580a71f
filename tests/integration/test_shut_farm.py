"""A farm that tells nothing without a sign-in, keeps its secrets in `pass` and writes JSON logs: by its commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from master.access import hash_of
from master.cli.daemons import MARK
from master.cli.processes import below, every, marked
from tests.integration.farm import TARGET, cell_name, commit
from tests.integration.test_mint import Mint, a_mint
from tests.unit import gpg_store

SECRET = "w0rker-password-that-is-in-pass"
WORD = "a-Password-of-bob"


@pytest.fixture(scope="module")
def store() -> Iterator[gpg_store.Store]:
    if not gpg_store.INSTALLED:
        pytest.skip(gpg_store.REASON)
    with gpg_store.made() as one:
        one.put("farm/worker", f"{SECRET}\nits owner: nobody\n")
        one.put("farm/hook", "another-secret-of-the-farm\n")
        yield one


@pytest.fixture(scope="module")
def shut(store: gpg_store.Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mint]:
    made = a_mint(tmp_path_factory.mktemp("shut"))
    mint = next(made)
    with mint.farm.home.settings_file.open("a") as file:
        file.write(
            f'{store.settings()}[[workers]]\nname = "local"\ntargets = ["{TARGET}"]\n'
            'password_file = "secret:farm/worker"\n'
            '[notices]\nwebhook = "http://127.0.0.1:1/"\nwebhook_secret_file = "secret:farm/hook"\nkinds = []\n'
            f'[logs]\nformat = "json"\n[login.users]\nbob = "{hash_of(WORD)}"\n'
            '[access]\nread = "login"\nbuilders = ["bob"]\nreaders = []\nreleasers = []\nadmins = []\n'
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINT_PASSWORD", WORD)
        yield mint
    next(made, None)


def test_all_commands_work_for_who_signs_in_and_say_how_to_whoever_does_not(shut: Mint) -> None:
    head = commit(shut.farm.repository, {})
    code, said = shut("up")
    assert code == 0, said
    code, said = shut("status")
    assert code == 0, said
    assert "untold    builds, queue and workers are shown to who signs in: --user NAME" in said
    code, said = shut.build("--rev", head)
    assert code == 1
    assert "this farm tells nothing to who did not sign in (401)" in said
    assert "--user NAME" in said
    code, said = shut.build("--rev", head, "--user", "bob")
    assert code == 0, said
    code, said = shut("status", "--user", "bob", "--json")
    assert code == 0, said
    status = json.loads(said)
    assert status["workers"] == {"local": True}
    assert [(one["builder"], one["result"]) for one in status["recent"]] == [(cell_name(), "success")]
    code, said = shut("follow", str(status["recent"][0]["id"]), "--user", "bob")
    assert code == 0, said
    code, said = shut("worker", "list", "--user", "bob")
    assert code == 0, said
    assert "local" in said
    code, said = shut("release", "--tag", "20261130", "--sha", head, "--user", "bob")
    assert code == 1
    assert "you are not among those who may do that (403)" in said, "bob may look, and build"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINT_PASSWORD", "wrong")
        code, said = shut("follow", "1", "--user", "bob")
    assert code == 1
    assert "bob is not let in (401)" in said


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_line_of_the_logs_is_an_object_that_says_when_and_of_what(shut: Mint) -> None:
    home = shut.farm.home
    for path in (home.master / "twistd.log", home.worker / "twistd.log"):
        found = lines(path)
        assert len(found) > 20
        for one in found:
            assert {"time", "level", "namespace", "message"} <= one.keys()
            assert datetime.fromisoformat(one["time"]).tzinfo == UTC
            assert one["level"] in ("debug", "info", "warn", "error", "critical")
    said = lines(home.master / "twistd.log")
    (done,) = [one for one in said if one["message"] == "step 'validate' complete: success (None)"]
    assert (done["builder"], done["build"], done["worker"]) == (cell_name(), 1, "local")
    assert done["buildid"] > 0
    (signed,) = [one for one in said if one["namespace"] == "pymint.signer"]
    assert re.fullmatch(r"build \d+: \d bundles signed", signed["message"])
    assert signed["builder"] == cell_name()
    assert {one["worker"] for one in lines(home.worker / "twistd.log")} == {"local"}


def test_the_secret_is_in_no_log_no_command_line_no_environment_and_no_answer(shut: Mint) -> None:
    farm = shut.farm
    bad = SECRET.encode()
    for path in farm.home.root.rglob("*"):
        if path.is_file() and path != farm.home.secrets / "worker-local":
            assert bad not in path.read_bytes(), path
    started = marked(MARK, str(farm.home.root))
    assert len(started) >= 2
    for process in [*started, *below([one.pid for one in started], every())]:
        for name in ("environ", "cmdline"):
            assert bad not in Path(f"/proc/{process.pid}/{name}").read_bytes()
    with httpx.Client(base_url=farm.url) as client:
        client.get("auth/login", auth=("bob", WORD))
        for where in ("builds?property=*", "workers", "builders", "forceschedulers", "masters", "steps"):
            answer = client.get(f"api/v2/{where}")
            assert answer.is_success or where == "steps", where
            assert SECRET not in answer.text
        for build in client.get("api/v2/builds").json()["builds"]:
            for part in ("properties", "steps", "data"):
                assert SECRET not in client.get(f"api/v2/builds/{build['buildid']}/{part}").text


def test_checkconfig_names_a_secret_that_is_missing(shut: Mint, store: gpg_store.Store, tmp_path: Path) -> None:
    code, said = shut("checkconfig")
    assert code == 0, said
    lacking = tmp_path / "lacking.toml"
    text = shut.farm.home.settings_file.read_text()
    lacking.write_text(text.replace("secret:farm/hook", "secret:farm/gone"))
    code, said = shut("checkconfig", str(lacking))
    assert code == 1
    assert "[notices] webhook_secret_file = 'secret:farm/gone': there is no secret 'farm/gone'" in said
    assert SECRET not in said
    assert "another-secret" not in said
