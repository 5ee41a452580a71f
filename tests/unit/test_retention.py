from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.release import kept
from master.release.model import PLAN_NAME
from master.retention import housekeeping, rows
from master.retention.deciding import BuildRow, Held, logs_to_drop, rows_to_drop, uploads_to_drop
from master.retention.housekeeping import Terms
from master.settings import Settings
from tests.unit.backup_samples import Sample, sample
from tests.unit.gate_samples import Builds, commit_of
from tests.unit.publish_samples import plan_of
from tests.unit.test_master_store import BUILDER
from workers.errors import Failure
from workers.model import ROOT

EVERYTHING = Terms(keep_builds=1, row_age_s=0.0, log_age_s=0.0, upload_age_s=0.0, limit_s=600)
FOREVER = float("inf")

commits = st.sampled_from([commit_of(number) for number in range(6)])
builds = st.lists(
    st.builds(
        BuildRow, id=st.integers(1, 10_000), builder=st.sampled_from(["a", "b", "release"]), number=st.integers(1, 50),
        ended=st.none() | st.integers(0, 1000), commits=st.frozensets(commits, max_size=2),
    ),
    unique_by=lambda row: row.id,
)  # fmt: skip
holds = st.builds(
    Held, commits=st.frozensets(commits),
    records=st.frozensets(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 50))),
    newest=st.frozensets(st.integers(1, 10_000)),
)  # fmt: skip


@given(builds, holds, st.integers(0, 1001))
def test_nothing_of_a_released_commit_no_running_build_and_no_recorded_one_is_ever_dropped(
    found: list[BuildRow], held: Held, before: int
) -> None:
    for dropped in (set(rows_to_drop(found, held, before)), set(logs_to_drop(found, held, before))):
        for row in found:
            if row.commits & held.commits or row.ended is None or row.ended >= before:
                assert row.id not in dropped
    dropped = set(rows_to_drop(found, held, before))
    for row in found:
        if (row.builder, row.number) in held.records or row.id in held.newest:
            assert row.id not in dropped
        elif row.ended is not None and row.ended < before and not row.commits & held.commits:
            assert row.id in dropped, "what nothing holds goes"


@given(st.lists(st.tuples(st.text("0123456789x", min_size=1), st.floats(0, 10))), st.frozensets(st.integers(0, 99)))
def test_an_upload_of_a_running_build_stays(found: list[tuple[str, float]], running: frozenset[int]) -> None:
    for name in uploads_to_drop(found, running, 5):
        assert not name.isdigit() or int(name) not in running
        assert min(changed for other, changed in found if other == name) < 5


@pytest.fixture
def farm(tmp_path: Path) -> Sample:
    return sample(tmp_path)


def fill(farm: Sample, count: int, first: int = 100) -> list[int]:
    """Builds without archives, each of a commit of its own, with steps, properties, a log and data."""
    made = []
    with closing(sqlite3.connect(farm.home.database)) as connection, connection:
        maker = Builds(farm.home.database, 3, 3, farm._builders)
        for number in range(first, first + count):
            (build,) = maker.add_all(connection, [(commit_of(number), BUILDER, 2)])
            made.append(build)
            (step,) = connection.execute("SELECT min(id) FROM steps WHERE buildid = ?", (build,)).fetchone()
            log = connection.execute(
                "INSERT INTO logs (name, slug, stepid, complete, num_lines, type) "
                "VALUES ('stdio', 'stdio', ?, 1, 1, 's')",
                (step,),
            ).lastrowid
            connection.execute("INSERT INTO logchunks VALUES (?, 0, 0, 'text', 0)", (log,))
            connection.execute(
                "INSERT INTO build_data (buildid, name, value, length, source) VALUES (?, 'plan', 'x', 1, 's')",
                (build,),
            )
    return made


def ids(farm: Sample, query: str = "SELECT id FROM builds") -> set[int]:
    with closing(sqlite3.connect(farm.home.database)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == [], "nothing refers to what is gone"
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {row[0] for row in connection.execute(query)}


def count(farm: Sample, table: str) -> int:
    with closing(sqlite3.connect(farm.home.database)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


NOTHING = Held()


def drop(farm: Sample, held: Held = NOTHING, *, deadline: float = FOREVER, really: bool = True,
         rows_before: float | None = FOREVER, logs_before: float = FOREVER) -> rows.Dropped:  # fmt: skip
    return rows.drop(farm.home.database, held, rows_before=rows_before, logs_before=logs_before, deadline=deadline,
                     really=really)  # fmt: skip


def test_rows_go_with_all_that_belongs_to_them_and_what_is_held_stays(farm: Sample) -> None:
    made = fill(farm, 250)
    recorded = next(iter(ids(farm) - set(made)))
    held = Held(frozenset({commit_of(105)}), frozenset({(BUILDER, 1)}))
    shown = drop(farm, held, really=False)
    assert ids(farm) == {recorded, *made}
    done = drop(farm, held)
    assert done.builds == shown.builds == 248
    assert done.finished
    assert ids(farm) == {recorded, made[5], made[-1]}, "the recorded, the released, and the newest, to count on from"
    assert {count(farm, table) for table in ("buildsets", "buildrequests", "buildset_sourcestamps")} == {3}
    assert count(farm, "steps") == count(farm, "build_properties") == 6
    assert count(farm, "logchunks") == 1, "only the released one keeps its log"
    assert drop(farm, held) == rows.Dropped(), "nothing is left to do"


def test_logs_go_and_the_page_says_so(farm: Sample) -> None:
    made = fill(farm, 5)
    held = Held(frozenset({commit_of(100)}))
    assert drop(farm, held, rows_before=None).logs == 4
    assert ids(farm) >= set(made)
    assert count(farm, "logchunks") == count(farm, "build_data") == 1
    assert len(ids(farm, "SELECT id FROM logs WHERE type = 'd'")) == 4


def test_a_run_ends_at_its_time_and_the_next_goes_on(farm: Sample) -> None:
    fill(farm, 250)
    ticks = iter(range(100))
    done = rows.drop(farm.home.database, Held(), rows_before=FOREVER, logs_before=FOREVER, deadline=2,
                     really=True, clock=lambda: float(next(ticks)))  # fmt: skip
    assert not done.finished
    assert 0 < done.builds < 249
    assert drop(farm).finished
    assert len(ids(farm)) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from master.retention import rows
from master.retention.deciding import Held
after = [int(sys.argv[2])]
class Connection:
    def __init__(self, real): self.real, self.together, self.begin = real, real.together, real.begin
    def execute(self, text, *more):
        if text.lstrip().startswith("DELETE"):
            after[0] -= 1
            if after[0] < 0: os.kill(os.getpid(), signal.SIGKILL)
        return self.real.execute(text, *more)
opened = rows.opened
from contextlib import contextmanager
@contextmanager
def watched(database, *, really):
    with opened(database, really=really) as real:
        yield Connection(real)
rows.opened = watched
ever = float("inf")
rows.drop(Path(sys.argv[1]), Held(), rows_before=ever, logs_before=ever, deadline=ever, really=True)
"""


@pytest.mark.parametrize("after", [0, 3, 9, 17])
def test_a_killed_run_leaves_whole_transactions(farm: Sample, after: int) -> None:
    fill(farm, 150)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(farm.home.database), str(after)], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    assert len(ids(farm)) in (151, 51), "a batch or nothing"
    assert drop(farm).finished
    assert len(ids(farm)) == 1


def test_a_master_that_writes_meanwhile_is_waited_for(farm: Sample) -> None:
    fill(farm, 5)
    with closing(sqlite3.connect(farm.home.database, isolation_level=None, timeout=0.1)) as master:
        master.execute("PRAGMA journal_mode = WAL")
        master.execute("BEGIN IMMEDIATE")
        waiting = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(farm.home.database), "1000"], cwd=ROOT, stderr=subprocess.PIPE
        )
        time.sleep(1.5)
        master.execute("COMMIT")
        assert waiting.wait(120) == 0
    assert len(ids(farm)) == 1


def test_what_was_just_stored_waits_for_its_record(farm: Sample) -> None:
    stored = farm.store.put_bytes(b"being recorded", "a")
    half = farm.store.root / ".new-half"
    half.write_bytes(b"x")
    assert farm.store.prune(really=True, grace_s=3600) == []
    assert len(farm.store.prune(really=True)) == 2
    assert not farm.store.path_of(stored.sha256).exists()


def test_what_is_stored_again_is_new_again(farm: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = farm.store.put_bytes(b"old", "a")
    path = farm.store.path_of(stored.sha256)
    before = path.stat().st_ctime_ns
    later = time.time() + 7200
    time.sleep(0.02)
    farm.store.put_bytes(b"old", "a")
    assert path.stat().st_ctime_ns > before
    monkeypatch.setattr("master.store.time.time", lambda: later)
    assert farm.store.prune(really=False, grace_s=3600) == [path]


def test_what_is_stored_again_while_prune_works_stays(farm: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = farm.store.put_bytes(b"old", "a")
    time.sleep(0.4)
    listed = farm.store._blobs

    def listing() -> Any:
        found = listed()
        farm.store.put_bytes(b"old", "a")
        return found

    monkeypatch.setattr(farm.store, "_blobs", listing)
    farm.store.prune(really=True, grace_s=0.3)
    assert farm.store.path_of(stored.sha256).exists()


def test_an_upload_that_goes_by_itself_stops_nothing(farm: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("77", "78", "79"):
        (farm.home.incoming / name).mkdir(parents=True)
    changed = housekeeping._changed

    def looking(path: Path) -> float:
        for other in farm.home.incoming.iterdir():
            if other != path:
                other.rmdir()
        return changed(path)

    monkeypatch.setattr(housekeeping, "_changed", looking)
    housekeeping.drop(farm.home, Settings(), lambda line: None, EVERYTHING, really=True)
    assert list(farm.home.incoming.iterdir()) == []


def publish(farm: Sample, commit: str) -> None:
    """A plan of that commit, as far as retention looks at it."""
    plan = replace(plan_of(farm.store, large=900), commit=commit)
    kept.keep(farm.store.root, plan)
    kept.mark_published(farm.store.root, plan)
    for path in farm.store.root.glob(f"releases/*/*/{PLAN_NAME}"):
        os.utime(path, (0, 0))


def test_the_whole_housekeeping_keeps_a_released_commit(farm: Sample) -> None:
    first = next(iter(farm.store.records()))
    publish(farm, first.commit)
    for number in range(3):
        farm.build(f"later {number}".encode())
    fill(farm, 3)
    (farm.home.incoming / "77").mkdir(parents=True)
    (farm.home.incoming / "77" / "archive").write_bytes(b"x")
    said: list[str] = []
    for _ in range(2):
        assert housekeeping.drop(farm.home, Settings(), said.append, EVERYTHING, really=True)
    left = {(one.builder, one.number) for one in farm.store.records()}
    assert left == {(BUILDER, 1), (BUILDER, 4)}, "the released one and each cell's newest"
    for stored in farm.store.files(first):
        assert farm.store.checked(stored)
    assert first.buildid in ids(farm)
    assert list(farm.home.incoming.iterdir()) == []
    assert any("incoming/77" in line for line in said)


def test_a_record_that_can_not_be_read_stops_everything(farm: Sample) -> None:
    fill(farm, 3)
    (path,) = (farm.store.root / "index").rglob("*.json")
    path.chmod(0o644)
    path.write_text("{")
    before = ids(farm)
    with pytest.raises(Failure):
        housekeeping.drop(farm.home, Settings(), lambda line: None, EVERYTHING, really=True)
    assert ids(farm) == before


def test_the_nightly_backup_comes_first_and_stops_the_rest_when_it_is_not_whole(farm: Sample) -> None:
    nightly = Settings(backup=replace(Settings().backup, directory="backups"))
    housekeeping.back_up(farm.home, nightly, lambda line: None)
    second = farm.build(b"second")
    farm.store.path_of(second.archive.sha256).unlink()
    time.sleep(1.1)  # a backup is called by its second
    with pytest.raises(Failure, match="not in the store as recorded"):
        housekeeping.back_up(farm.home, nightly, lambda line: None)
