"""What stops a plan: builds that were dropped, an index that rotted, another release before it, a failed signer."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from master.release import indexes, kept, planning
from master.release.collect import Collection
from master.release.model import Plan
from master.store import ArchiveRecord, Stored
from tests.unit.release_samples import SmallFarm, next_commit, small_farm
from workers.errors import Failure

TAG = "20261125"


@pytest.fixture
def farm(tmp_path: Path) -> SmallFarm:
    return small_farm(tmp_path)


def planned(farm: SmallFarm, collection: Collection, tag: str = TAG) -> Plan:
    return planning.make(farm.home, farm.settings, collection, tag=tag, rehearsal=False, say=lambda line: None)


def without_record(farm: SmallFarm, record: ArchiveRecord) -> None:
    (farm.store.root / "index" / record.commit / record.builder / f"{record.number}.json").unlink()


def without_report(farm: SmallFarm, record: ArchiveRecord) -> None:
    """One that is not published, so that nobody else looks for it."""
    (report,) = (one for one in record.reports if one.name == "sources.json")
    farm.store.path_of(report.sha256).unlink()


@pytest.mark.parametrize("drop", [without_record, without_report])
def test_what_was_dropped_since_it_was_collected_is_not_planned(
    farm: SmallFarm, drop: Callable[[SmallFarm, ArchiveRecord], None]
) -> None:
    record = farm.build()
    collection = farm.unjudged()
    drop(farm, record)
    with pytest.raises(Failure, match="were dropped from the store while it was planned"):
        planned(farm, collection)
    assert kept.of_tag(farm.store.root, TAG) == []


def test_nobody_drops_anything_while_a_plan_is_written(farm: SmallFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.build()
    free: list[bool] = []
    real = kept.keep

    def keep(store: Path, plan: Plan) -> Path:
        with (farm.home.root / "keeping.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free.append(False)
            else:
                free.append(True)
        return real(store, plan)

    monkeypatch.setattr(kept, "keep", keep)
    planned(farm, farm.unjudged())
    assert free == [False]


def test_an_index_of_the_release_before_that_rotted_is_told(farm: SmallFarm, tmp_path: Path) -> None:
    farm.build()
    first = planned(farm, farm.unjudged())
    kept.mark_published(farm.store.root, first)
    index = first.asset(indexes.VERSIONS)
    assert index is not None
    path = farm.store.path_of(index.sha256)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"3.13.5", b"3.13.4"))
    next_commit(farm, tmp_path)
    farm.build(release="3.13.6")
    with pytest.raises(Failure, match=r"versions\.ndjson is damaged in the store"):
        planned(farm, farm.unjudged(), "20261201")


def test_files_are_made_after_the_release_that_was_planned_for(farm: SmallFarm) -> None:
    farm.build()
    plan = planned(farm, farm.unjudged())
    with pytest.raises(Failure, match="was planned after another release"):
        planning.generate(replace(plan, previous="20261101"), None)
    with pytest.raises(Failure, match="was planned after another release"):
        planning.generate(plan, planning.Before(plan, {}))


def test_what_a_failed_signer_says_last_is_no_bundle(farm: SmallFarm, tmp_path: Path) -> None:
    farm.build()
    collection = farm.unjudged()
    stored: Stored = collection.cells[0].archives[0].bundle
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(
        f'#!/bin/sh\necho \'{{"name": "{stored.name}", "sha256": "{stored.sha256}", "size": {stored.size}}}\'\nexit 3\n'
    )
    wrapper.chmod(0o755)
    farm.settings = replace(farm.settings, signing=replace(farm.settings.signing, command=[str(wrapper)]))
    with pytest.raises(Failure, match="the signer ended with 3"):
        planned(farm, collection)
    assert kept.of_tag(farm.store.root, TAG) == []
