"""`./mint release` as a person types it, at a terminal: the password is asked for and not shown, and the words."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from master.access import hash_of
from master.cli.processes import marked
from tests.integration.farm import TARGET, Farm, cell_name, make_repository
from tests.integration.test_release import mint
from workers.model import ROOT

WORD = "correct horse battery"
TAG = "20261125"
# Nobody who compiles beside the tests is waited for in vain.
WAIT_S = 600


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A running master with two users, of whom one may release. Nothing is built."""
    hashed = hash_of(WORD)
    settings = (
        f'[[workers]]\nname = "elsewhere"\ntargets = ["{TARGET}"]\n'
        f'[login.users]\nanna = "{hashed}"\notto = "{hashed}"\n'
        f'[release]\ncells = ["{cell_name()}"]\n[access]\nreleasers = ["anna"]\n'
    )
    one = Farm(tmp_path_factory.mktemp("person"), pushed=[], more_settings=settings)
    one.first = make_repository(one.repository)
    try:
        # With the password of whoever starts it in the environment, as a person may have it.
        done = mint(one, "up")
        assert done.returncode == 0, done.stderr
        yield one
    finally:
        mint(one, "down")
        one.http.close()


def typed(farm: Farm, *arguments: str, password: str | None = None) -> tuple[int, str]:
    """The exit code, and all that the terminal shows."""
    environment = {name: value for name, value in os.environ.items() if name != "MINT_PASSWORD"}
    child = pexpect.spawn(
        sys.executable, ["-m", "master.cli", "release", *arguments], cwd=str(ROOT), encoding="utf-8", timeout=WAIT_S,
        env={**environment, "MINT_HOME": str(farm.home.root), "TERM": "xterm"}, dimensions=(24, 120),
    )  # fmt: skip
    shown = ""
    if password is not None:
        child.expect_exact("Password of ")
        shown = f"{child.before}{child.after}"
        child.waitnoecho()
        child.sendline(password)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus is not None, "it was ended by a signal"
    return child.exitstatus, (shown + (child.before or "")).replace("\r\n", "\n")


def request(farm: Farm, user: str, password: str) -> tuple[int, str]:
    return typed(farm, "--tag", TAG, "--sha", farm.first, "--user", user, password=password)


def test_a_releaser_gets_past_the_role_to_the_gate(farm: Farm) -> None:
    code, shown = request(farm, "anna", WORD)
    assert code == 1
    assert f"revision: 0 of 1 cell is ready (set [release] cells). Missing: {cell_name()}." in shown
    assert "Password of anna: \n" in shown
    assert WORD not in shown


def test_who_may_only_build_is_told_so_and_where_that_is_decided(farm: Farm) -> None:
    code, shown = request(farm, "otto", WORD)
    assert code == 1
    assert "you are not among those who may do that (403)" in shown
    assert "[access] releasers" in shown
    assert WORD not in shown


def test_a_wrong_password_is_told_and_not_repeated(farm: Farm) -> None:
    code, shown = request(farm, "anna", "wrong pony")
    assert code == 1
    assert "anna is not let in (401)" in shown
    assert "wrong pony" not in shown


def test_nobody_in_particular_is_told_to_say_who_they_are(farm: Farm) -> None:
    code, shown = typed(farm, "--tag", TAG, "--sha", farm.first)
    assert code == 1
    assert "Say who you are with --user NAME" in shown


def test_what_is_half_done_is_thrown_away_and_what_is_published_stays(farm: Farm) -> None:
    releases = farm.home.root / "releases"
    draft = releases / ".drafts" / f"{TAG}.{'ab' * 32}"
    draft.mkdir(parents=True)
    (draft / "SHA256SUMS").write_text("half")
    (releases / TAG).mkdir()
    (releases / TAG / "release-plan.json").write_text("{}")
    code, shown = typed(farm, "--abandon", "--tag", TAG)
    assert (code, shown) == (0, f"directory: what was half done of {TAG} is deleted\n")
    assert not draft.exists()
    assert (releases / TAG / "release-plan.json").exists()
    code, shown = typed(farm, "--abandon", "--tag", TAG)
    assert (code, shown) == (0, f"directory: nothing is half done of {TAG}\n")


def test_abandoning_wants_a_tag_and_nothing_else(farm: Farm) -> None:
    for arguments in (["--abandon"], ["--abandon", "--tag", TAG, "--user", "anna"]):
        code, shown = typed(farm, *arguments)
        assert code == 2
        assert "--abandon takes --tag only" in shown
    code, shown = typed(farm, "--abandon", "--tag", "v1.0")
    assert code == 1
    assert "This is no tag" in shown or "no tag for a release" in shown


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
def test_no_process_of_the_farm_has_the_password_of_whoever_started_it(farm: Farm) -> None:
    """`mint` has it in the environment, MINT_PASSWORD."""
    found = [Path(f"/proc/{one.pid}/environ").read_bytes() for one in marked("MINT_HOME", str(farm.home.root))]
    assert found
    assert not [one for one in found if b"MINT_PASSWORD" in one]
