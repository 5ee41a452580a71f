"""What Buildbot's database knows of a commit: its requests and builds, and what was reported of them. Only read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from master.github.statuses import Request

# As in master/release/standing.py: the two small tables are read through once, then everything goes by index.
_STAMPS = sa.text("SELECT id FROM sourcestamps WHERE revision = :commit AND repository = :repository")
_REQUESTS = sa.text(
    "SELECT buildrequests.id, builders.name, builders.id, buildrequests.complete, buildrequests.results,"
    " builds.number, builds.id, builds.started_at, builds.complete_at"
    " FROM buildset_sourcestamps"
    " JOIN buildrequests ON buildrequests.buildsetid = buildset_sourcestamps.buildsetid"
    " JOIN builders ON builders.id = buildrequests.builderid"
    " LEFT JOIN builds ON builds.buildrequestid = buildrequests.id"
    " WHERE buildset_sourcestamps.sourcestampid = :stamp ORDER BY buildrequests.id, builds.id"
)
_OPEN = sa.text(
    "SELECT buildrequests.id, sourcestamps.revision FROM buildrequests"
    " JOIN buildset_sourcestamps ON buildset_sourcestamps.buildsetid = buildrequests.buildsetid"
    " JOIN sourcestamps ON sourcestamps.id = buildset_sourcestamps.sourcestampid"
    " WHERE buildrequests.complete = 0 AND sourcestamps.branch = :branch AND sourcestamps.repository = :repository"
)
_OF_BUILDSET = sa.text(
    "SELECT sourcestamps.revision, sourcestamps.branch, sourcestamps.repository FROM buildset_sourcestamps"
    " JOIN sourcestamps ON sourcestamps.id = buildset_sourcestamps.sourcestampid"
    " WHERE buildset_sourcestamps.buildsetid = :buildset"
)
_RECENT = sa.text(
    "SELECT DISTINCT buildsetid FROM (SELECT buildsetid FROM buildrequests ORDER BY id DESC LIMIT :count) AS newest"
)
_NEWEST = sa.text(
    "SELECT builds.id FROM builds"
    " JOIN builders ON builders.id = builds.builderid"
    " JOIN buildrequests ON buildrequests.id = builds.buildrequestid"
    " JOIN buildset_sourcestamps ON buildset_sourcestamps.buildsetid = buildrequests.buildsetid"
    " JOIN sourcestamps ON sourcestamps.id = buildset_sourcestamps.sourcestampid"
    " WHERE builders.name = :builder AND builds.results = 0 AND sourcestamps.branch = :branch"
    " AND sourcestamps.repository = :repository ORDER BY builds.id DESC LIMIT 1"
)


async def _rows(master: Any, query: Any, **values: Any) -> Sequence[Any]:
    rows = await master.db.pool.do(lambda connection: connection.execute(query, values).fetchall())
    return list(rows)


async def requests_of(master: Any, commit: str, repository: str, builders: frozenset[str]) -> list[Request]:
    """The requests of a commit for these builders, with the newest build of each."""
    found: dict[int, Request] = {}
    for (stamp,) in await _rows(master, _STAMPS, commit=commit, repository=repository):
        for request, builder, builderid, complete, results, number, buildid, began, ended in await _rows(
            master, _REQUESTS, stamp=stamp
        ):
            if builder in builders:
                found[request] = Request(
                    request, builder, builderid, bool(complete), results, number, buildid, _seconds(began),
                    _seconds(ended),
                )  # fmt: skip
    return list(found.values())


def _seconds(moment: int | datetime | None) -> int | None:
    return int(moment.timestamp()) if isinstance(moment, datetime) else moment


async def open_requests(master: Any, branch: str, repository: str) -> list[tuple[int, str]]:
    """The requests of a branch that are not answered yet: their ids and commits."""
    return [(request, commit) for request, commit in await _rows(master, _OPEN, branch=branch, repository=repository)]


async def commit_of(master: Any, buildset: int, repository: str) -> tuple[str, str] | None:
    """Commit and branch of a buildset, when it is of this repository."""
    for commit, branch, found in await _rows(master, _OF_BUILDSET, buildset=buildset):
        if found == repository and commit:
            return commit, branch or ""
    return None


async def recent_buildsets(master: Any, count: int) -> list[int]:
    """Those of the newest `count` requests."""
    return [buildset for (buildset,) in await _rows(master, _RECENT, count=count)]


async def newest_good(master: Any, builder: str, branch: str, repository: str) -> int | None:
    """The id of the newest build of a builder that went well, of a commit of the branch."""
    rows = await _rows(master, _NEWEST, builder=builder, branch=branch, repository=repository)
    return int(rows[0][0]) if rows else None


async def reported(master: Any, buildid: int, step: str) -> bytes | None:
    """The report that a step left, as it was when it was checked."""
    found = await master.data.get(("builds", buildid, "data", step, "value"))
    return bytes(found["raw"]) if found and found.get("raw") else None
