"""Which tags can be had: their form, and what places and this farm's plans know of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from master.home import Home
from master.release import tags
from master.release.choice import Release
from master.release.model import checked_tag
from master.release.places.directory import Directory
from master.release.publishing import publish
from master.settings import Settings
from master.store import Store
from tests.unit.publish_samples import COMMIT, TAG, plan_of
from workers.errors import Failure
from workers.model import ROOT

OURS, ANOTHERS, STRANGE = "a" * 64, "b" * 64, "c" * 64
COMMITS = {OURS: COMMIT, ANOTHERS: "d" * 40}


@pytest.mark.parametrize("tag", ["20261125", "2026112501", "20261231"])
def test_a_day_and_a_second_release_of_it_are_tags(tag: str) -> None:
    assert checked_tag(tag) == tag


@pytest.mark.parametrize(
    "tag", ["", "2026112", "202611250", "20261125011", "2026112501x", "v20261125", "20261325", "20261132", "20261125\n",
            "19991231", "../20261125", "20261125/..", "２０２６1125"],
)  # fmt: skip
def test_nothing_else_is_a_tag(tag: str) -> None:
    with pytest.raises(Failure, match="this is no tag for a release"):
        checked_tag(tag)


@pytest.mark.parametrize(
    ("holders", "begun", "said"),
    [
        ({"directory": None, "github": None}, False, ""),
        ({}, False, ""),
        ({"directory": OURS, "github": OURS}, False, "it is published, of this very commit"),
        ({"directory": OURS, "github": OURS}, True, ""),
        ({"directory": OURS, "github": None}, False, ""),
        ({"directory": OURS, "github": ANOTHERS}, False, "the place github has a release of that name, of the commit"),
        ({"directory": None, "github": ANOTHERS}, True, "the place github has a release of that name, of the commit"),
        ({"directory": STRANGE}, False, "not by a plan of this farm"),
        ({"directory": STRANGE}, True, "not by a plan of this farm"),
    ],
)
def test_who_has_a_tag_decides_whether_it_can_be_had(holders: dict[str, str | None], begun: bool, said: str) -> None:
    found = tags.objection(TAG, COMMIT, holders, COMMITS, begun=begun)
    assert said in found
    assert bool(found) == bool(said)


def test_what_lies_in_the_directory_is_known_by_the_farms_own_plans(tmp_path: Path) -> None:
    home, settings = Home(tmp_path, ROOT), Settings(release=Release(places=["directory"]))
    store = Store(tmp_path / "store")
    plan = plan_of(store)
    publish(plan, store, [Directory(tmp_path / "releases")], tmp_path / "state", print)
    assert "not by a plan of this farm" in tags.ask(home, settings, TAG, COMMIT, dry_run=False, begun=False)
    for dry_run in (False, True):
        assert tags.ask(home, settings, "20261126", COMMIT, dry_run=dry_run, begun=False) == ""


def test_a_dry_run_asks_no_place_behind_a_connection(tmp_path: Path) -> None:
    """The token's file is not there: whoever as much as begins to ask that place says so."""
    chosen = Release(places=["github", "directory"], github_repository="o/r", github_token_file="token")
    home, settings = Home(tmp_path, ROOT), Settings(release=chosen)
    assert tags.ask(home, settings, TAG, COMMIT, dry_run=True, begun=False) == ""
    assert "can't be looked up" in tags.ask(home, settings, TAG, COMMIT, dry_run=False, begun=False)
