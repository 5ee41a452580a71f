"""What pages read from Buildbot's database, in its own thread pool and by its own tables, whatever database it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

T = TypeVar("T")
SUCCESS = 0


@dataclass(frozen=True)
class Commit:
    """A commit that something was asked to be built of. subject, author: of its change; "" where it has none."""

    revision: str
    branch: str
    seen_at: float
    subject: str = ""
    author: str = ""


@dataclass(frozen=True)
class Request:
    """A request for a builder, and the build that answered it, if any. Times in seconds since 1970; result is
    Buildbot's code, None while it runs."""

    builder: str
    builderid: int
    requestid: int
    submitted_at: float
    complete: bool
    buildid: int | None = None
    number: int | None = None
    result: int | None = None
    started_at: float | None = None
    complete_at: float | None = None
    worker: str = ""
    state: str = ""


async def read(master: Any, work: Callable[[Any, Any], T]) -> T:
    """Runs `work(connection, tables)` in a thread of Buildbot's for its database."""
    found: T = await master.db.pool.do(lambda connection: work(connection, master.db.model))
    return found


def commits(connection: Any, tables: Any, repository: str, limit: int, branch: str | None = None) -> list[Commit]:
    """The newest commits of the repository that anything was asked to be built of, newest first. branch: of one."""
    stamps, changes = tables.sourcestamps, tables.changes
    query = (
        sa.select(stamps.c.id, stamps.c.revision, stamps.c.branch, stamps.c.created_at)
        .where(stamps.c.repository == repository, stamps.c.patchid.is_(None), stamps.c.revision.is_not(None))
        .order_by(stamps.c.id.desc())
        .limit(3 * limit)
    )
    if branch is not None:
        query = query.where(stamps.c.branch == branch)
    found: dict[str, Any] = {}
    for row in connection.execute(query):
        if len(found) < limit:
            found.setdefault(row.revision, row)
    said = sa.select(changes.c.revision, changes.c.comments, changes.c.author).where(
        changes.c.revision.in_(list(found))
    )
    by_revision = {row.revision: row for row in connection.execute(said)}
    return [_commit(row, by_revision.get(row.revision)) for row in found.values()]


def _commit(row: Any, change: Any) -> Commit:
    first = (change.comments or "").strip().splitlines()[:1] if change is not None else []
    author = change.author if change is not None else ""
    return Commit(row.revision, row.branch or "", row.created_at, "".join(first)[:200], author or "")


def requests_of(connection: Any, tables: Any, repository: str, revision: str) -> list[Request]:
    """Everything that was asked to be built of a commit, oldest first."""
    stamps, sets = tables.sourcestamps, tables.buildset_sourcestamps
    chosen = sa.select(stamps.c.id).where(
        stamps.c.revision == revision, stamps.c.repository == repository, stamps.c.patchid.is_(None)
    )
    of_sets = sa.select(sets.c.buildsetid).where(sets.c.sourcestampid.in_(list(connection.scalars(chosen))))
    return _requests(connection, tables, list(connection.scalars(of_sets)))


def _requests(connection: Any, tables: Any, buildsets: Sequence[int]) -> list[Request]:
    requests, builds, builders, workers = tables.buildrequests, tables.builds, tables.builders, tables.workers
    rows: list[Any] = []
    for start in range(0, len(buildsets), 500):
        query = (
            sa.select(
                builders.c.name, builders.c.id.label("builderid"), requests.c.id.label("requestid"),
                requests.c.submitted_at, requests.c.complete, builds.c.id.label("buildid"), builds.c.number,
                builds.c.results, builds.c.started_at, builds.c.complete_at, builds.c.state_string,
                workers.c.name.label("worker"),
            )
            .select_from(
                requests.join(builders, builders.c.id == requests.c.builderid)
                .outerjoin(builds, builds.c.buildrequestid == requests.c.id)
                .outerjoin(workers, workers.c.id == builds.c.workerid)
            )
            .where(requests.c.buildsetid.in_(buildsets[start : start + 500]))
            .order_by(requests.c.id, builds.c.id)
        )  # fmt: skip
        rows.extend(connection.execute(query))
    return [
        Request(
            builder=row.name, builderid=row.builderid, requestid=row.requestid, submitted_at=row.submitted_at,
            complete=bool(row.complete), buildid=row.buildid, number=row.number,
            result=row.results if row.complete_at is not None else None, started_at=row.started_at,
            complete_at=row.complete_at, worker=row.worker or "", state=row.state_string or "",
        )
        for row in rows
    ]  # fmt: skip


def durations(connection: Any, tables: Any, builderids: Sequence[int], newest: int) -> dict[int, list[float]]:
    """Seconds that each builder's newest builds that ended well took, without waiting for locks."""
    builds = tables.builds
    found = {}
    for builderid in builderids:
        query = (
            sa.select(builds.c.started_at, builds.c.complete_at, builds.c.locks_duration_s)
            .where(builds.c.builderid == builderid, builds.c.results == SUCCESS, builds.c.complete_at.is_not(None))
            .order_by(builds.c.number.desc())
            .limit(newest)
        )
        found[builderid] = [
            max(0.0, row.complete_at - row.started_at - (row.locks_duration_s or 0))
            for row in connection.execute(query)
        ]
    return found


def builder_ids(connection: Any, tables: Any, names: Sequence[str]) -> dict[str, int]:
    """The ids of builders that were ever configured."""
    builders = tables.builders
    query = sa.select(builders.c.name, builders.c.id).where(builders.c.name.in_(list(names)))
    return {row.name: row.id for row in connection.execute(query)}


def connected(connection: Any, tables: Any) -> frozenset[str]:
    """The names of the workers that are connected to any master."""
    workers, links = tables.workers, tables.connected_workers
    query = sa.select(workers.c.name).join(links, links.c.workerid == workers.c.id)
    return frozenset(connection.scalars(query))
