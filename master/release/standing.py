"""What the gate is told: a commit's builds from Buildbot's database, and what the store's index has of them.

Builds, never buildsets: a buildset can end well without one. Everything is only read, in any process, by one query and
a file or two a cell.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from master import settings as farm_settings
from master.database import reading, where
from master.home import Home
from master.mirror import fetch_now, has_on_branch
from master.release.gate import Built, Kept, Standing, Terms, judge, that_count
from master.release.model import Readiness
from master.settings import Settings
from master.store import Store
from workers.errors import Failure
from workers.model import Matrix

if TYPE_CHECKING:
    from master.database import Where

# Buildbot has no index from a source stamp to its buildsets, nor by revision: both are small tables, read through once.
# CROSS JOIN keeps SQLite from reading the large ones instead; PostgreSQL chooses well by itself, and knows no ON there.
_STAMPS = "SELECT id FROM sourcestamps WHERE revision = :commit AND repository = :repository AND patchid IS NULL"
_SETS = "SELECT buildsetid FROM buildset_sourcestamps WHERE sourcestampid = :stamp"
_REQUESTS = """
SELECT builders.name, buildrequests.complete, builds.number, builds.id, builds.results, builds.complete_at
FROM buildrequests
{join} builders ON builders.id = buildrequests.builderid
LEFT JOIN builds ON builds.buildrequestid = buildrequests.id
WHERE buildrequests.buildsetid = :one
"""


def builds_of(
    database: Where, commit: str, repository: str, builders: Collection[str]
) -> tuple[list[Built], frozenset[str]]:
    """The builds of a commit by these builders, and the builders with a request that waits. Raises Failure."""
    found: dict[int, Built] = {}
    waiting: set[str] = set()
    requests = sa.text(_REQUESTS.format(join="CROSS JOIN" if isinstance(database, Path) else "JOIN"))
    with reading(database, "release", "Has the farm ever been up (./mint up)?") as connection:
        wanted = {"commit": commit, "repository": repository}
        stamps = [row[0] for row in connection.execute(sa.text(_STAMPS), wanted)]
        sets = [row[0] for stamp in stamps for row in connection.execute(sa.text(_SETS), {"stamp": stamp})]
        rows = [row for one in sets for row in connection.execute(requests, {"one": one})]
    for builder, answered, number, buildid, result, ended in rows:
        if builder not in builders:
            continue
        if buildid is not None:
            found[buildid] = Built(builder, number, buildid, None if ended is None else result)
        if not answered:
            waiting.add(builder)
    return list(found.values()), frozenset(waiting)


@dataclass(frozen=True)
class Told:
    """What `builds_of` found, for a process that can't ask: a dry run has no network, and PostgreSQL is behind one."""

    builds: list[Built]
    waiting: list[str]


def tell(home: Home, settings: Settings, matrix: Matrix, commit: str) -> Told:
    """Raises Failure when the database can't be read."""
    builders = [cell.builder_name for cell in terms_of(settings, matrix).cells]
    repository = farm_settings.repository_url(settings, home)
    builds, waiting = builds_of(where(home, settings), commit, repository, builders)
    return Told(builds, sorted(waiting))


def read(database: Where | Told, store: Store, commit: str, repository: str, builders: Collection[str]) -> Standing:
    """All that the gate needs to know of a commit. Raises Failure when the database can't be read."""
    if isinstance(database, Told):
        builds, waiting = database.builds, frozenset(database.waiting)
    else:
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
    home: Home, settings: Settings, matrix: Matrix, commit: str, *, fetch: bool = False, reasons: Collection[str] = (),
    told: Told | None = None,
) -> Readiness:  # fmt: skip
    """Whether a commit can be released, by all that this farm knows. Blocking. Raises Failure.

    told: instead of what the database says.
    """
    terms = terms_of(settings, matrix)
    builders = [cell.builder_name for cell in terms.cells]
    repository = farm_settings.repository_url(settings, home)
    store = Store(farm_settings.store_place(settings, home))
    standing = read(told or where(home, settings), store, commit, repository, builders)
    return judge(commit, terms, standing, [*off_branch(home, settings, commit, fetch=fetch), *reasons])
