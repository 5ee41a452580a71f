"""What is brought into a bucket and out of it: a directory, a backup, and what a stage without network needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from master import settings as farm_settings
from master.backup.making import make
from master.backup.model import Backups
from master.backup.restoring import restore
from master.bucket.filling import fill
from master.bucket.remote import Away
from master.home import Home
from master.release import fetching, guard, kept, planning
from master.release.collect import collect
from master.release.model import identity
from master.release.stages import PLAN_MADE, READINESS
from master.store import Store, Stored
from tests.integration.bucket_farm import Farm, attestation, farm, service
from tests.integration.seaweed import BUCKET, Fault
from tests.unit.backup_samples import sample
from tests.unit.publish_samples import plan_of
from tests.unit.release_samples import small_farm
from tests.unit.test_master_store import file, record
from workers.errors import Failure
from workers.model import ROOT, load_matrix
from workers.reports.base import write_report

__all__ = ["farm", "service"]


def test_a_directory_is_brought_to_the_bucket_whole_and_only_where_nobody_elses_is(farm: Farm, tmp_path: Path) -> None:
    before = Store(tmp_path / "before")
    one = record(before.put(file(tmp_path, b"x"), "a.tar.zst"))
    before.add(one)
    before.attest(one, attestation(1))
    plan = plan_of(before)
    kept.keep(before.root, plan)
    kept.mark_published(before.root, plan)
    farm.wire.faults.append(Fault(r"PUT .*/index/", "drop", when="after"))
    for _ in range(2):  # the second time as after it was killed
        fill(farm.store("a"), before.root, lambda line: None)
    b = farm.store("b")
    b.usage()
    assert list(b.records()) == [one]
    assert b.attested(one) == attestation(1)
    assert kept.published(b.root) == [plan]
    assert all(b.checked(Stored(it.name, it.sha256, it.size)) for it in plan.assets)
    b.add(record(one.archive, 2))
    with pytest.raises(Failure, match="has 1 records that"):
        fill(farm.store("c"), before.root, lambda line: None)


def test_what_is_damaged_in_a_directory_is_not_taken_for_whole(farm: Farm, tmp_path: Path) -> None:
    before = Store(tmp_path / "before")
    before.add(record(before.put(file(tmp_path, b"x"), "a.tar.zst")))
    (path,) = (before.root / "sha256").glob("*/*")
    path.chmod(0o644)
    path.write_bytes(b"y")
    with pytest.raises(Failure, match="is damaged in"):
        fill(farm.store("a"), before.root, lambda line: None)
    assert [name for name in farm.names() if name.startswith("index/")] == [], "nothing refers to it yet"


def test_a_backup_has_what_only_the_bucket_has_and_comes_back_as_a_directory(farm: Farm, tmp_path: Path) -> None:
    one = sample(tmp_path)
    first = next(one.store.records())
    fill(farm.store("a"), one.store.root, lambda line: None)
    (one.store.root).rename(tmp_path / "gone")
    backups = Backups(tmp_path / "kept")
    made = make(one.home, farm.place("b"), backups, lambda line: None)
    assert made.damaged == []
    home = Home(tmp_path / "again", ROOT)
    restore(home, backups, lambda line: None)
    back = Store(home.root / "store")
    assert list(back.records()) == [first]
    assert [back.checked(it).stat().st_size for it in back.files(first)] == [it.size for it in back.files(first)]
    farm.wire.faults.append(Fault(".", 503, times=1000))
    with pytest.raises(Away):
        make(one.home, farm.place("c", patience_s=0), backups, lambda line: None)


def test_a_stage_without_network_finds_here_what_it_needs_and_what_a_dry_run_made_goes_there(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the signer's own process; the kernel's part in it is tests/integration/test_release_rehearsal.py's."""
    small, quiet = small_farm(tmp_path / "small"), lambda line: None
    one, home = small.build(), small.home
    fill(farm.store("unused"), small.store.root, quiet)
    small.store.root.rename(tmp_path / "gone")
    with home.settings_file.open("a") as stream:
        stream.write(
            f'[store]\nbucket = "{BUCKET}"\nprefix = "{farm.prefix}"\nendpoint = "{farm.service.endpoint}"\n'
            f'credentials_file = "{farm.service.credentials}"\ncache = "cache"\n'
        )
    chosen, matrix = farm_settings.load(home, load_matrix()), load_matrix()
    alone = farm_settings.without_bucket(chosen, home)
    write_report(small.readiness, tmp_path / READINESS)
    fetching.bring(home, chosen, "collect", tmp_path, quiet)
    monkeypatch.setattr("master.release.collect._again", lambda pool, programs, store, cells, say: cells)
    monkeypatch.setenv(guard.MARK, "1")
    collection = collect(home, alone, matrix, small.readiness, quiet)
    assert [cell.record for cell in collection.cells] == [one]
    rehearsal = planning.make(home, alone, collection, tag="20261130", rehearsal=True, say=quiet)
    assert not [name for name in farm.names() if name.startswith("releases/")]
    monkeypatch.delenv(guard.MARK)
    write_report(rehearsal, tmp_path / PLAN_MADE)
    fetching.bring(home, chosen, "publish", tmp_path, quiet)
    plan = planning.make(home, chosen, collection, tag="20261130", rehearsal=False, say=quiet)
    other = farm.store("other")
    other.refresh(kept.RELEASES)
    for made in (rehearsal, plan):
        assert kept.read(other.root, made.tag, identity(made)) == made
        assert all(other.checked(Stored(it.name, it.sha256, it.size)) for it in made.assets)
