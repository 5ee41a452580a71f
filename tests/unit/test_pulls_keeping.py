"""The store of pull requests: bounded in bytes and in days, and of no use to anything of main."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from master.pulls.keeping import PullKeeper, keeper_of, outdated
from master.store import ArchiveRecord, Store
from tests.unit.handover_samples import Handover, handed_over
from workers.errors import Failure

DAY = 86400


def handover(tmp_path: Path, number: int) -> Handover:
    """Of a build of a pull request, laid out and not yet recorded."""
    one = handed_over(tmp_path / str(number), Store(tmp_path / "unused"), number=number, buildid=number)
    one.record()
    return replace(one, submission=replace(one.submission, builder="pr-x", branch="refs/pull/7/head"))


@pytest.fixture
def record(tmp_path: Path) -> ArchiveRecord:
    handed_over(tmp_path, Store(tmp_path / "s")).record()
    (found,) = Store(tmp_path / "s").records()
    return found


def test_what_is_kept_is_shown_at_an_address_of_its_own(tmp_path: Path) -> None:
    keeper = PullKeeper(tmp_path / "store", 10**9, 30)
    kept = keeper(handover(tmp_path, 1).submission)
    assert kept.links["all files"] == "pull-archives/pr-x/1/"
    assert {link.split("/")[0] for link in kept.links.values()} == {"pull-archives"}
    found = Store(tmp_path / "store").find("pr-x", 1)
    assert found is not None
    assert found.branch == "refs/pull/7/head"


def test_the_oldest_give_way_to_the_newest(tmp_path: Path) -> None:
    first = handover(tmp_path, 1).submission
    PullKeeper(tmp_path / "store", 10**9, 30)(first)
    (kept,) = Store(tmp_path / "store").records()
    size = sum({one.sha256: one.size for one in kept.files()}.values())
    arriving = sum(path.stat().st_size for path in first.directory.iterdir())
    keeper = PullKeeper(tmp_path / "store", arriving + size - 1, 30)
    for number in (2, 3):
        keeper(handover(tmp_path, number).submission)
    assert [one.number for one in Store(tmp_path / "store").records()] == [3]
    assert not list((tmp_path / "store").glob(".new-*"))


def test_a_build_that_alone_is_too_large_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    PullKeeper(tmp_path / "store", 10**9, 30)(handover(tmp_path, 1).submission)
    with pytest.raises(Failure, match="larger than all archives of pull requests may be"):
        PullKeeper(tmp_path / "store", 1000, 30)(handover(tmp_path, 2).submission)
    assert [one.number for one in Store(tmp_path / "store").records()] == [1]


def test_what_is_old_goes_without_a_build(tmp_path: Path) -> None:
    keeper = keeper_of(tmp_path / "store", 1.0, 30)
    keeper.tidy()
    assert not (tmp_path / "store").exists()
    keeper(handover(tmp_path, 1).submission)
    keeper.tidy()
    assert list(Store(tmp_path / "store").records())
    replace(keeper, keep_days=-1).tidy()
    assert not list(Store(tmp_path / "store").records())
    assert not [path for path in (tmp_path / "store" / "sha256").rglob("*") if path.is_file()]


def test_which_records_are_dropped(record: ArchiveRecord) -> None:
    size = sum({one.sha256: one.size for one in record.files()}.values())
    ages = [replace(record, number=days, recorded_at=100 * DAY - days * DAY) for days in (1, 10, 40)]
    assert [one.number for one in outdated(ages, 100 * DAY, 30, 10**9)] == [40]
    # The same bytes are stored once, so they count once.
    assert [one.number for one in outdated(ages, 100 * DAY, 30, size)] == [40]
    later = replace(record, number=2, buildid=record.buildid + 1, recorded_at=99 * DAY)
    other = replace(later, archive=replace(record.archive, sha256="f" * 64))
    assert [one.number for one in outdated([*ages, other], 100 * DAY, 30, size)] == [40, 10, 1]
    assert [one.number for one in outdated(ages, 100 * DAY, 30, 0)] == [40, 10, 1]


def test_nothing_is_dropped_while_another_build_is_stored(tmp_path: Path) -> None:
    """The lock is one of the file system: another process of the master's machine has to wait too."""
    keeper = PullKeeper(tmp_path / "store", 10**9, -1)
    order: list[str] = []

    def tidy() -> None:
        keeper.tidy()
        order.append("tidied")

    with keeper._alone():
        waiting = threading.Thread(target=tidy)
        waiting.start()
        (tmp_path / "store" / ".new-half").write_bytes(b"half of a file")
        time.sleep(0.2)
        order.append("stored")
        assert (tmp_path / "store" / ".new-half").exists()
    waiting.join(30)
    assert order == ["stored", "tidied"]
    assert not (tmp_path / "store" / ".new-half").exists()
    assert (tmp_path / "store" / ".lock").stat().st_mode & 0o077 == 0
