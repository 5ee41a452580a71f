"""The master's database made smaller while masters use it: a few builds a transaction, for a limited time.

Killed at any moment, it leaves whole transactions behind, and the next run goes on. Buildbot's own janitor deletes in
one statement, which was seen to take hours (buildbot#4926), and knows nothing of releases.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from master.retention.deciding import BuildRow, Held, logs_to_drop, rows_to_drop
from workers.errors import Failure

if TYPE_CHECKING:
    from master.cluster.postgres import Postgres
    from master.database import Where

BATCH = 100
# Between two batches, so that a waiting master writes first.
BREATH_S = 0.02

_ROWS = """
SELECT builds.id, builders.name, builds.number, builds.complete_at,
  (SELECT {together} FROM buildrequests
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


class Connection:
    """To either kind of database, outside of any transaction until one is begun. Statements have `?` for a value."""

    together = "group_concat(sourcestamps.revision)"
    begin = "BEGIN IMMEDIATE"

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """Something to fetch rows from."""
        return self.raw.execute(statement, values)


class _Postgres(Connection):
    together = "string_agg(sourcestamps.revision, ',')"
    begin = "BEGIN"

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        cursor = self.raw.cursor()
        cursor.execute(statement.replace("?", "%s"), values)
        return cursor


@contextmanager
def opened(database: Where, *, really: bool) -> Iterator[Connection]:
    """A connection beside the masters'. Raises Failure. A path is SQLite's."""
    if not isinstance(database, Path):
        with _opened_postgres(database, really=really) as one:
            yield one
        return
    try:
        uri = f"file:{quote(str(database))}?mode={'rw' if really else 'ro'}"
        with closing(sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            yield Connection(connection)
    except sqlite3.Error as error:
        raise _failed(str(database), error) from error


@contextmanager
def _opened_postgres(database: Postgres, *, really: bool) -> Iterator[Connection]:
    import psycopg2

    try:
        with closing(database()) as connection:
            connection.set_session(autocommit=True, readonly=not really)
            yield _Postgres(connection)
    except psycopg2.Error as error:
        raise _failed(database.url, error) from error


def _failed(place: str, error: Exception) -> Failure:
    return Failure(
        "retention", "the master's database could not be made smaller", found=str(error).strip(),
        todo=f"It is {place}. What was dropped before is whole; the next run goes on.",
    )  # fmt: skip


def newest_of(connection: Connection) -> frozenset[int]:
    """The id of each builder's newest build."""
    rows = connection.execute(
        "SELECT builds.id FROM builds JOIN (SELECT builderid, max(number) AS number FROM builds GROUP BY builderid) "
        "AS newest ON newest.builderid = builds.builderid AND newest.number = builds.number"
    )
    return frozenset(row[0] for row in rows.fetchall())


def running(connection: Connection) -> frozenset[int]:
    rows = connection.execute("SELECT id FROM builds WHERE complete_at IS NULL")
    return frozenset(row[0] for row in rows.fetchall())


def drop(
    database: Where, held: Held, *, rows_before: float | None, logs_before: float, deadline: float, really: bool,
    clock: Callable[[], float] = time.monotonic,
) -> Dropped:  # fmt: skip
    """Drops builds' rows and logs that ended before these moments, until a deadline by `clock`. Raises Failure."""
    done = Dropped()
    with opened(database, really=really) as connection:
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
    connection: Connection, more: str, before: float, deadline: float, clock: Callable[[], float],
    work: Callable[[list[BuildRow]], int],
) -> tuple[int, bool]:  # fmt: skip
    """Works through the builds that ended before a moment: how many were dropped, and whether it came to the end."""
    last, total = 0, 0
    while clock() < deadline:
        found = connection.execute(
            _ROWS.format(more=more, together=connection.together), (last, _number(before), BATCH)
        ).fetchall()
        if not found:
            return total, True
        last = found[-1][0]
        total += work([
            BuildRow(one, builder, number, ended, frozenset((commits or "").split(",")))
            for one, builder, number, ended, commits in found
        ])  # fmt: skip
    return total, False


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    connection.execute(connection.begin)
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    time.sleep(BREATH_S)


def _number(moment: float) -> int:
    """Of seconds since 1970, as the columns have them; what lies beyond them is their end."""
    return math.ceil(min(moment, 2**31 - 1))


def _numbers(ids: Collection[int]) -> str:
    return ", ".join(str(int(one)) for one in ids)


def _drop_logs(connection: Connection, builds: list[int], really: bool) -> int:
    if builds and really:
        with _transaction(connection):
            for statement in _DROP_LOGS:
                connection.execute(statement.format(builds=_numbers(builds)))
    return len(builds)


def _drop_rows(connection: Connection, builds: list[int], really: bool) -> int:
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
        ).fetchall()]  # fmt: skip
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
