"""What the gate is told: a commit's builds from Buildbot's database, and what the store's index has of them.

Builds, never buildsets: a buildset can end well without one. Everything is only read, in any process, by one query and
a file or two a cell.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from master import settings as farm_settings
from master.home import Home
from master.mirror import fetch_now, has_on_branch
from master.release.gate import Built, Kept, Standing, Terms, judge, that_count
from master.release.model import Readiness
from master.settings import Settings
from master.store import Store
from workers.errors import Failure
from workers.model import Matrix

# Buildbot has no index from a source stamp to its buildsets, nor by revision: both are small tables, read through once.
# CROSS JOIN keeps SQLite from reading the large ones instead.
_STAMPS = "SELECT id FROM sourcestamps WHERE revision = ? AND repository = ? AND patchid IS NULL"
_SETS = "SELECT buildsetid FROM buildset_sourcestamps WHERE sourcestampid = ?"
_REQUESTS = """
SELECT builders.name, buildrequests.complete, builds.number, builds.id, builds.results, builds.complete_at
FROM buildrequests
CROSS JOIN builders ON builders.id = buildrequests.builderid
LEFT JOIN builds ON builds.buildrequestid = buildrequests.id
WHERE buildrequests.buildsetid = ?
"""


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=10)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise Failure(
            "release", "the master's database can't be read", found=str(error),
            todo=f"It is {database}. Has the farm ever been up (./mint up)?",
        ) from error  # fmt: skip


def builds_of(
    database: Path, commit: str, repository: str, builders: Collection[str]
) -> tuple[list[Built], frozenset[str]]:
    """The builds of a commit by these builders, and the builders with a request that waits. Raises Failure."""
    found: dict[int, Built] = {}
    waiting: set[str] = set()
    with _reading(database) as connection:
        stamps = [row[0] for row in connection.execute(_STAMPS, (commit, repository))]
        sets = [row[0] for stamp in stamps for row in connection.execute(_SETS, (stamp,))]
        rows = [row for one in sets for row in connection.execute(_REQUESTS, (one,))]
    for builder, answered, number, buildid, result, ended in rows:
        if builder not in builders:
            continue
        if buildid is not None:
            found[buildid] = Built(builder, number, buildid, None if ended is None else result)
        if not answered:
            waiting.add(builder)
    return list(found.values()), frozenset(waiting)


def read(database: Path, store: Store, commit: str, repository: str, builders: Collection[str]) -> Standing:
    """All that the gate needs to know of a commit. Raises Failure when the database can't be read."""
    builds, waiting = builds_of(database, commit, repository, builders)
    kept = {(one.builder, one.number): _kept(store, commit, one) for one in that_count(builds).values()}
    return Standing(builds, waiting, {key: value for key, value in kept.items() if value is not None})


def _kept(store: Store, commit: str, build: Built) -> Kept | None:
    try:
        record = store.record(commit, build.builder, build.number)
        if record is None:
            return None
        return Kept(record.buildid, record.provider, store.attested(record) is not None)
    except Failure as failure:
        return Kept(problem=f"its record can't be used: {failure.what}")


def terms_of(settings: Settings, matrix: Matrix) -> Terms:
    """What settings.toml says that a release needs."""
    chosen = settings.release
    return Terms(
        set_name=chosen.set if chosen.cells is None else "[release] cells",
        cells=farm_settings.release_cells(settings, matrix),
        worked=frozenset(cell.builder_name for cell in farm_settings.worked_cells(settings, matrix)),
        allow_unvalidated=chosen.allow_unvalidated,
        signing=settings.signing.profile != "none",
    )


def off_branch(home: Home, settings: Settings, commit: str, *, fetch: bool) -> list[str]:
    """Why the commit can't be released, should it not be on the branch by the master's mirror; else nothing.

    fetch: whether the mirror is brought up to date when it does not have the commit there.
    """
    branch = settings.repository.branch
    if has_on_branch(home.repository, commit, branch):
        return []
    if fetch:
        fetch_now(home.repository, farm_settings.repository_url(settings, home))
        if has_on_branch(home.repository, commit, branch):
            return []
    return [f"the commit {commit} is not on {branch}"]


def ask(
    home: Home, settings: Settings, matrix: Matrix, commit: str, *, fetch: bool = False, reasons: Collection[str] = ()
) -> Readiness:
    """Whether a commit can be released, by all that this farm knows. Blocking. Raises Failure."""
    terms = terms_of(settings, matrix)
    builders = [cell.builder_name for cell in terms.cells]
    repository = farm_settings.repository_url(settings, home)
    store = Store(farm_settings.store_path(settings, home))
    standing = read(home.database, store, commit, repository, builders)
    return judge(commit, terms, standing, [*off_branch(home, settings, commit, fetch=fetch), *reasons])
