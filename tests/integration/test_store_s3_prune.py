"""What is dropped from a bucket while other masters store into it and plan releases of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from master import settings as farm_settings
from master.bucket.filling import fill
from master.release import kept, planning
from master.release.collect import Collection, collect
from master.release.model import Plan
from master.retention.housekeeping import Terms, drop
from master.settings import Settings
from master.store import Store, Stored
from tests.integration.bucket_farm import Farm, attestation, farm, service
from tests.integration.farm import until
from tests.integration.seaweed import BUCKET
from tests.unit.release_samples import SmallFarm, small_farm
from tests.unit.test_master_store import file, record
from workers.errors import Failure
from workers.model import load_matrix

__all__ = ["farm", "service"]

TAG = "20261130"
NEWEST = Terms(keep_builds=1, row_age_s=None, log_age_s=0, upload_age_s=0, limit_s=600)


def meanwhile(store: Store, act: Callable[[], object]) -> None:
    """Has something happen between a prune's listing of the bucket and the first thing that it drops."""
    replica = store._replica
    assert replica is not None
    listed = replica.bytes_held

    def held() -> object:
        found = listed()
        act()
        return found

    replica.bytes_held = held  # type: ignore[method-assign, assignment]


def test_what_another_master_stores_again_while_a_prune_works_stays(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that nothing named, and that a build of the other master has made again: it names them a moment later."""
    monkeypatch.setattr("master.bucket.remote.YOUNG_S", -1)  # they count as old
    a, b = farm.store("a"), farm.store("b")
    shared, loose = a.put(file(tmp_path, b"shared"), "plan.json"), a.put(file(tmp_path, b"loose"), "loose")
    (before,) = [one for one in a._blobs().values() if one.path.name == shared.sha256]

    def stored_again() -> None:
        # The bucket tells an object's time in whole seconds.
        until("it is another second", lambda: b.put(file(tmp_path, b"shared"), "plan.json") and int(
            b._blobs()[shared.sha256].stored_at) > int(before.stored_at))  # fmt: skip

    meanwhile(a, stored_again)
    a.prune(really=True)
    assert {one.rpartition("/")[2] for one in farm.names() if one.startswith("sha256/")} == {shared.sha256}
    one = record(shared)
    b.add(one)
    assert farm.store("c").checked(shared).read_bytes() == b"shared"
    assert loose.sha256 not in farm.store("c")._blobs()


@pytest.mark.parametrize("kind", ["record", "attestation"])
def test_what_was_dropped_before_a_build_named_it_is_brought_again(farm: Farm, tmp_path: Path, kind: str) -> None:
    """By a prune that had looked at it just before it was stored again."""
    b = farm.store("b")
    archive, bundle = b.put(file(tmp_path, b"archive"), "a.tar.zst"), b.put(file(tmp_path, b"bundle"), "a.sigstore")
    one = record(archive)
    if kind == "attestation":
        b.add(one)
    for stored in (archive, bundle):
        farm.service.client.delete_object(
            Bucket=BUCKET, Key=f"{farm.prefix}/sha256/{stored.sha256[:2]}/{stored.sha256}"
        )
    if kind == "record":
        b.add(one)
        assert farm.store("c").checked(archive).read_bytes() == b"archive"
    else:
        b.attest(one, replace(attestation(1), bundles=[bundle]))
        assert farm.store("c").checked(bundle).read_bytes() == b"bundle"


class Masters:
    """Two masters of one farm, each with a cache of its own, and builds of one commit in the bucket."""

    def __init__(self, farm: Farm, tmp_path: Path, builds: int) -> None:
        self.small: SmallFarm = small_farm(tmp_path / "small")
        for _ in range(builds):
            self.small.build()
        self.home, self.commit = self.small.home, self.small.commit
        fill(farm.store("filled"), self.small.store.root, lambda line: None)
        self.small.store.root.rename(tmp_path / "gone")
        written = self.home.settings_file.read_text() if self.home.settings_file.exists() else ""
        self.settings: dict[str, Settings] = {}
        for name in ("a", "b"):
            self.home.settings_file.write_text(
                f'{written}\n[store]\nbucket = "{BUCKET}"\nprefix = "{farm.prefix}"\n'
                f'endpoint = "{farm.service.endpoint}"\ncredentials_file = "{farm.service.credentials}"\n'
                f'cache = "cache-{name}"\n'
            )
            self.settings[name] = farm_settings.load(self.home, load_matrix())

    def store(self, name: str) -> Store:
        return Store(farm_settings.store_place(self.settings[name], self.home), patient=True)

    def collected(self, name: str, number: int) -> Collection:
        answers = [replace(one, number=number) for one in self.small.readiness.cells]
        readiness = replace(self.small.readiness, cells=answers)
        return collect(self.home, self.settings[name], load_matrix(), readiness, lambda line: None)

    def planned(self, name: str, collection: Collection) -> Plan:
        return planning.make(
            self.home, self.settings[name], collection, tag=TAG, rehearsal=False, say=lambda line: None
        )

    def prune(self, name: str, said: list[str]) -> None:
        drop(self.home, self.settings[name], said.append, NEWEST, really=True)


@pytest.fixture
def masters(farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Masters:
    monkeypatch.setattr("master.retention.housekeeping.GRACE_S", 0)
    monkeypatch.setattr("master.bucket.replica.GRACE_S", 0)
    monkeypatch.setattr("master.release.collect._again", lambda pool, programs, store, cells, say: cells)
    return Masters(farm, tmp_path, 2)


def test_a_release_is_planned_of_what_is_there_or_not_at_all(masters: Masters) -> None:
    """The older of two builds is dropped by one master after the other one has collected it for a release."""
    old = masters.collected("b", 1)
    masters.prune("a", [])
    with pytest.raises(Failure, match="were dropped from the store while it was planned") as caught:
        masters.planned("b", old)
    assert f"{old.cells[0].record.builder} #1" in str(caught.value.found)
    assert list(kept.held(masters.store("a").root)) == []


def test_no_prune_drops_anything_of_a_release_that_is_just_planned(
    masters: Masters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that begins at the worst moment: when all was found there, and before the plan says that it is held."""
    collection, said = masters.collected("b", 1), list[str]()
    prune = threading.Thread(target=masters.prune, args=("a", said))
    keep = kept.keep

    def slowly(store: Path, plan: Plan) -> Path:
        prune.start()
        until("the prune waits, or is through", lambda: said or not prune.is_alive())
        return keep(store, plan)

    monkeypatch.setattr("master.release.kept.keep", slowly)
    plan = masters.planned("b", collection)
    prune.join()
    assert "waiting for it" in said[0]
    masters.prune("b", [])
    other = masters.store("a")
    other.refresh("index")
    (one,) = [cell.record for cell in collection.cells]
    assert other.record(one.commit, one.builder, one.number) == one
    for stored in [*other.files(one), *(Stored(it.name, it.sha256, it.size) for it in plan.assets)]:
        other.path_of(stored.sha256).unlink(missing_ok=True)
        assert other.checked(stored).stat().st_size == stored.size, "from the bucket"
