"""The first stage of a release: what the gate has against it ends the release, whatever else is ready."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from master.release import stages, standing, tags
from master.release.gate import Built
from master.release.model import CellAnswer, Readiness
from master.release.stages import Work
from master.settings import Settings
from master.settings.tables import Repository
from tests.unit.release_samples import SmallFarm, small_farm
from workers.errors import Failure
from workers.model import load_matrix
from workers.progress import Progress
from workers.reports.base import read_report, write_report

TAG = "20261125"


@pytest.fixture
def farm(tmp_path: Path) -> SmallFarm:
    """One whose releases need one cell, which was built."""
    found = small_farm(tmp_path)
    found.build()
    chosen = replace(found.settings.release, cells=[found.answers[0].builder], allow_unvalidated=True)
    found.settings = replace(found.settings, release=chosen)
    return found


def work(farm: SmallFarm, place: Path, builds: list[Built], settings: Settings | None = None) -> Work:
    place.mkdir(exist_ok=True)
    write_report(standing.Told(builds, []), place / stages.TOLD)
    return Work(
        farm.home, settings or farm.settings, load_matrix(), TAG, farm.commit, place, True, Progress(StringIO())
    )


def good(farm: SmallFarm) -> list[Built]:
    return [Built(farm.answers[0].builder, 1, 1, 0)]


def test_a_commit_that_is_ready_goes_on(farm: SmallFarm, tmp_path: Path) -> None:
    report = stages.gate(work(farm, tmp_path / "run", good(farm)))
    assert report.summary.startswith(f"dry run {TAG} of {farm.commit[:12]}: 1 of 1 cell is ready")
    said = read_report(tmp_path / "run" / stages.READINESS, Readiness)
    assert said.cells == [CellAnswer(farm.answers[0].builder, "ready", 1)]


def test_a_commit_that_is_not_ready_ends_the_release(farm: SmallFarm, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=rf"can't be released as {TAG}: 0 of 1 cell is ready") as caught:
        stages.gate(work(farm, tmp_path / "run", []))
    assert f"Missing: {farm.answers[0].builder}." in caught.value.todo


def test_a_tag_that_is_taken_ends_it_though_every_cell_is_ready(
    farm: SmallFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "ask", lambda *unused, **more: "the tag is taken")
    with pytest.raises(Failure, match="can't be released") as caught:
        stages.gate(work(farm, tmp_path / "run", good(farm)))
    assert "the tag is taken." in caught.value.todo


def test_a_commit_that_is_not_on_the_branch_ends_it_though_every_cell_is_ready(farm: SmallFarm, tmp_path: Path) -> None:
    settings = replace(farm.settings, repository=Repository(branch="another"))
    with pytest.raises(Failure, match="can't be released") as caught:
        stages.gate(work(farm, tmp_path / "run", good(farm), settings))
    assert f"the commit {farm.commit} is not on another." in caught.value.todo


def test_what_the_settings_do_not_allow_ends_it(farm: SmallFarm, tmp_path: Path) -> None:
    strict = replace(farm.settings, release=replace(farm.settings.release, allow_unvalidated=False))
    with pytest.raises(Failure, match="can't be released") as caught:
        stages.gate(work(farm, tmp_path / "run", good(farm), strict))
    assert "is not CMVP-validated" in caught.value.todo
    unsigned = replace(farm.settings, signing=replace(farm.settings.signing, profile="none"))
    with pytest.raises(Failure, match="can't be released") as caught:
        stages.gate(work(farm, tmp_path / "run", good(farm), unsigned))
    assert 'profile is "none"' in caught.value.todo
