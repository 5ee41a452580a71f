"""What becomes of newer releases from one look to the next, with a real repository and a real upstream on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from master.home import Home
from master.settings import Settings
from master.settings.tables import Repository
from master.updates.candidates import ADVISORIES, CANDIDATES, LOOK, CandidatesReport, Made
from master.updates.choice import Updates
from master.updates.stages import PINS, RULES, Work, make_candidates
from tests.integration.farm import git
from tests.unit.sources_server import Heard, Served, Server, serving
from tests.unit.upstream import pins_toml, tarball
from workers.model import load_matrix
from workers.reports.base import read_report, write_report
from workers.updates.advisories import AdvisoriesReport
from workers.updates.model import Offer, Standing, UpdatesReport


@dataclass
class Night:
    """A repository that pins 2.0 of two sources, and an upstream of which the tests say what it has."""

    site: Server
    home: Home
    most: int = 1
    problem: str = ""

    def look(self, newest: dict[str, list[str]]) -> dict[str, Made]:
        """What the stage makes of these offers, newest first, by source. What it tells loudly is in `problem`."""
        pins = [
            Standing(name, "2.0", "", "", [self.offer(name, one) for one in versions], ["upstream"])
            for name, versions in newest.items()
        ]
        write_report(UpdatesReport("pymint/updates/1", True, 0, pins), self.home.updates / LOOK)
        write_report(AdvisoriesReport("pymint/advisories/1", 0, [], []), self.home.updates / ADVISORIES)
        settings = replace(Settings(), updates=Updates(most=self.most), repository=Repository(str(self.repository)))
        self.problem = make_candidates(Work(self.home, settings, load_matrix(), (), Heard())).problem
        made = read_report(self.home.updates / CANDIDATES, CandidatesReport).made
        return {one.source: one for one in made}

    @property
    def repository(self) -> Path:
        return self.home.root / "repository"

    def offer(self, name: str, version: str) -> Offer:
        return Offer(version, "upstream", "up", self.site.url(f"{name}-{version}.tar.gz"))

    def publish(self, name: str, version: str, top: str = "") -> None:
        self.site.files[f"{name}-{version}.tar.gz"] = Served(tarball(top or f"{name}-{version}"))


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    monkeypatch.setenv("MINT_CACHE", str(tmp_path / "cache"))
    with serving() as site:
        one = Night(site, Home(tmp_path, Path(__file__).parents[2]))
        (one.repository / "cpython-unix").mkdir(parents=True)
        pins, rules = [], []
        for name in ("openssl", "zlib", "cpython-3.13"):
            url = site.url(f"{name}-{{version}}.tar.gz")
            pins.append(pins_toml(name, "2.0", url.replace("{version}", "2.0"), b"old"))
            rules.append(f'["{name}"]\nurls = ["{url}"]\nunsigned = "nobody signs"\n')
        (one.repository / PINS).write_text("".join(pins))
        (one.repository / RULES).write_text("".join(rules))
        git(one.repository, "init", "--quiet", "--initial-branch=main")
        git(one.repository, "add", "-A")
        git(one.repository, "commit", "--quiet", "-m", "pins")
        yield one


def test_what_cannot_be_had_takes_no_other_releases_turn(night: Night) -> None:
    night.publish("zlib", "2.1")
    made = night.look({"openssl": ["2.2"], "zlib": ["2.1"]})
    assert made["openssl"].state == "refused"
    assert "no source delivers it: 2.2" in made["openssl"].words
    assert made["zlib"].state == "branched", made["zlib"].words


def test_no_more_branches_are_made_than_are_wanted_and_the_first_ones_are_cpythons(night: Night) -> None:
    night.publish("zlib", "2.1")
    night.publish("cpython-3.13", "2.1")
    made = night.look({"zlib": ["2.1"], "cpython-3.13": ["2.1"]})
    assert {name: one.state for name, one in made.items()} == {"cpython-3.13": "branched", "zlib": "waiting"}
    # The next night, the one that stands takes nobody's turn.
    again = night.look({"zlib": ["2.1"], "cpython-3.13": ["2.1"]})
    assert {name: one.state for name, one in again.items()} == {"cpython-3.13": "branched", "zlib": "branched"}
    assert again["cpython-3.13"].commit == made["cpython-3.13"].commit


def test_an_older_release_is_not_pinned_anew_each_night_for_a_newer_one_that_is_not_there(night: Night) -> None:
    night.publish("zlib", "2.1")
    first = night.look({"zlib": ["2.2", "2.1"]})["zlib"]
    assert (first.state, first.version) == ("branched", "2.1")
    assert [one.partition(":")[0] for one in first.missed] == ["2.2"]
    second = night.look({"zlib": ["2.2", "2.1"]})["zlib"]
    assert (second.state, second.version, second.commit) == ("branched", "2.1", first.commit)
    assert second.missed == first.missed
    night.publish("zlib", "2.2")
    third = night.look({"zlib": ["2.2", "2.1"]})["zlib"]
    assert (third.state, third.version, third.missed) == ("branched", "2.2", [])
    assert night.look({"zlib": ["2.2", "2.1"]})["zlib"].commit == third.commit


def test_a_lie_about_the_newest_is_told_whatever_stands(night: Night) -> None:
    night.publish("zlib", "2.1")
    night.look({"zlib": ["2.1"]})
    night.publish("zlib", "2.2", top="zlib-2.0")
    made = night.look({"zlib": ["2.2", "2.1"]})["zlib"]
    assert (made.state, made.version, made.loud) == ("refused", "2.2", True)
    assert night.problem.startswith("updates: what is offered as zlib 2.2 may be something else\n")
    assert "zlib 2.2: at its top it should have zlib-2.2, and has zlib-2.0 (from up)" in night.problem
    assert "no branch could be made" not in night.problem


def test_a_branch_that_cannot_be_pushed_is_no_lie_about_the_release(night: Night) -> None:
    night.publish("zlib", "2.1")
    hook = night.repository / ".git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho no robots here\nexit 1\n")
    hook.chmod(0o755)
    made = night.look({"zlib": ["2.1"]})["zlib"]
    assert (made.state, made.loud) == ("refused", True)
    assert night.problem.startswith("updates: no branch could be made for zlib 2.1\n")
    assert "no robots here" in night.problem
    assert "may be something else" not in night.problem
    hook.unlink()
    assert night.look({"zlib": ["2.1"]})["zlib"].state == "branched"
    assert night.problem == ""
