"""The master's database made smaller while the master uses it: a few builds a transaction, for a limited time.

Killed at any moment, it leaves whole transactions behind, and the next run goes on. Buildbot's own janitor deletes in
one statement, which was seen to take hours (buildbot#4926), and knows nothing of releases.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from master.retention.deciding import BuildRow, Held, logs_to_drop, rows_to_drop
from workers.errors import Failure

BATCH = 100
# Between two batches, so that a waiting master writes first.
BREATH_S = 0.02

_ROWS = """
SELECT builds.id, builders.name, builds.number, builds.complete_at,
  (SELECT group_concat(sourcestamps.revision) FROM buildrequests
   JOIN buildset_sourcestamps ON buildset_sourcestamps.buildsetid = buildrequests.buildsetid
   JOIN sourcestamps ON sourcestamps.id = buildset_sourcestamps.sourcestampid
   WHERE buildrequests.id = builds.buildrequestid)
FROM builds JOIN builders ON builders.id = builds.builderid
WHERE builds.id > ? AND builds.complete_at < ? {more}
ORDER BY builds.id LIMIT ?
"""
_WITH_LOGS = """AND (EXISTS (SELECT 1 FROM build_data WHERE build_data.buildid = builds.id) OR EXISTS (
  SELECT 1 FROM steps JOIN logs ON logs.stepid = steps.id WHERE steps.buildid = builds.id AND logs.type != 'd'))"""
_STEPS = "SELECT id FROM steps WHERE buildid IN ({builds})"
_LOGS = f"SELECT id FROM logs WHERE stepid IN ({_STEPS})"
_SETS = "SELECT id FROM test_result_sets WHERE buildid IN ({builds})"
# Children before their parents. SQLite would do it by itself, but reads a whole table a row where it has no index.
_DROP_BUILDS = (
    f"DELETE FROM logchunks WHERE logid IN ({_LOGS})",
    f"DELETE FROM logs WHERE stepid IN ({_STEPS})",
    f"DELETE FROM test_results WHERE test_result_setid IN ({_SETS})",
    "DELETE FROM test_result_sets WHERE buildid IN ({builds})",
    "DELETE FROM steps WHERE buildid IN ({builds})",
    "DELETE FROM build_properties WHERE buildid IN ({builds})",
    "DELETE FROM build_data WHERE buildid IN ({builds})",
    "UPDATE buildsets SET parent_buildid = NULL WHERE parent_buildid IN ({builds})",
    "UPDATE buildsets SET rebuilt_buildid = NULL WHERE rebuilt_buildid IN ({builds})",
    "DELETE FROM builds WHERE id IN ({builds})",
)
_DROP_LOGS = (
    f"DELETE FROM logchunks WHERE logid IN ({_LOGS})",
    f"UPDATE logs SET type = 'd' WHERE stepid IN ({_STEPS})",
    "DELETE FROM build_data WHERE buildid IN ({builds})",
)
# A request that was answered, and of which no build is left; and a set without any request.
_DROP_REQUESTS = (
    "DELETE FROM buildrequest_claims WHERE brid IN ({requests})",
    "DELETE FROM buildrequests WHERE id IN ({requests})",
)
_DROP_SETS = (
    "DELETE FROM buildset_properties WHERE buildsetid IN ({sets})",
    "DELETE FROM buildset_sourcestamps WHERE buildsetid IN ({sets})",
    "DELETE FROM buildsets WHERE id IN ({sets})",
)


@dataclass(frozen=True)
class Dropped:
    """builds, logs: how many builds lost their rows, or their logs. finished: nothing is left to do."""

    builds: int = 0
    logs: int = 0
    finished: bool = True


@contextmanager
def opened(database: Path, *, really: bool) -> Iterator[sqlite3.Connection]:
    """A connection beside the master's. Raises Failure."""
    try:
        uri = f"file:{quote(str(database))}?mode={'rw' if really else 'ro'}"
        with closing(sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise Failure(
            "retention", "the master's database could not be made smaller", found=str(error),
            todo=f"It is {database}. What was dropped before is whole; the next run goes on.",
        ) from error  # fmt: skip


def newest_of(connection: sqlite3.Connection) -> frozenset[int]:
    """The id of each builder's newest build."""
    rows = connection.execute("SELECT id FROM builds GROUP BY builderid HAVING number = max(number)")
    return frozenset(row[0] for row in rows)


def running(connection: sqlite3.Connection) -> frozenset[int]:
    return frozenset(row[0] for row in connection.execute("SELECT id FROM builds WHERE complete_at IS NULL"))


def drop(
    database: Path, held: Held, *, rows_before: float | None, logs_before: float, deadline: float, really: bool,
    clock: Callable[[], float] = time.monotonic,
) -> Dropped:  # fmt: skip
    """Drops builds' rows and logs that ended before these moments, until a deadline by `clock`. Raises Failure."""
    done = Dropped()
    with opened(database, really=really) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        # Those of the moment at which it drops, and not of when somebody began to look.
        held = replace(held, newest=newest_of(connection))

        def of_rows(rows: list[BuildRow]) -> int:
            return _drop_rows(connection, rows_to_drop(rows, held, rows_before or 0), really)

        def of_logs(rows: list[BuildRow]) -> int:
            return _drop_logs(connection, logs_to_drop(rows, held, logs_before), really)

        if rows_before is not None:
            count, finished = _each(connection, "", rows_before, deadline, clock, of_rows)
            done = replace(done, builds=count, finished=finished)
        if done.finished:
            count, finished = _each(connection, _WITH_LOGS, logs_before, deadline, clock, of_logs)
            done = replace(done, logs=count, finished=finished)
    return done


def _each(
    connection: sqlite3.Connection, more: str, before: float, deadline: float, clock: Callable[[], float],
    work: Callable[[list[BuildRow]], int],
) -> tuple[int, bool]:  # fmt: skip
    """Works through the builds that ended before a moment: how many were dropped, and whether it came to the end."""
    last, total = 0, 0
    while clock() < deadline:
        found = connection.execute(_ROWS.format(more=more), (last, before, BATCH)).fetchall()
        if not found:
            return total, True
        last = found[-1][0]
        total += work([
            BuildRow(one, builder, number, ended, frozenset((commits or "").split(",")))
            for one, builder, number, ended, commits in found
        ])  # fmt: skip
    return total, False


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    time.sleep(BREATH_S)


def _numbers(ids: Collection[int]) -> str:
    return ", ".join(str(int(one)) for one in ids)


def _drop_logs(connection: sqlite3.Connection, builds: list[int], really: bool) -> int:
    if builds and really:
        with _transaction(connection):
            for statement in _DROP_LOGS:
                connection.execute(statement.format(builds=_numbers(builds)))
    return len(builds)


def _drop_rows(connection: sqlite3.Connection, builds: list[int], really: bool) -> int:
    if not builds or not really:
        return len(builds)
    named = _numbers(builds)
    with _transaction(connection):
        asked = connection.execute(f"SELECT DISTINCT buildrequestid FROM builds WHERE id IN ({named})").fetchall()
        for statement in _DROP_BUILDS:
            connection.execute(statement.format(builds=named))
        requests = [row[0] for row in connection.execute(
            f"SELECT id, buildsetid FROM buildrequests WHERE id IN ({_numbers([row[0] for row in asked])}) "
            "AND complete = 1 AND NOT EXISTS (SELECT 1 FROM builds WHERE builds.buildrequestid = buildrequests.id)"
        )]  # fmt: skip
        if requests:
            sets = connection.execute(
                f"SELECT DISTINCT buildsetid FROM buildrequests WHERE id IN ({_numbers(requests)})"
            ).fetchall()
            for statement in _DROP_REQUESTS:
                connection.execute(statement.format(requests=_numbers(requests)))
            empty = [row[0] for row in sets if connection.execute(
                "SELECT 1 FROM buildrequests WHERE buildsetid = ?", row).fetchone() is None]  # fmt: skip
            for statement in _DROP_SETS if empty else ():
                connection.execute(statement.format(sets=_numbers(empty)))
    return len(builds)
