"""Every few seconds: what was begun and told to nobody is found in the database, and gone on with.

Buildbot's masters tell each other everything by messages, and a message is lost with the process that was about to send
it. So a request that a dead master gave back, a change that nobody heard of, a buildset whose last build ended unheard
would wait for a restart. One query each finds them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from buildbot.db.model import Model
from buildbot.process.results import RETRY
from buildbot.schedulers.triggerable import Triggerable
from buildbot.util.service import BuildbotService
from twisted.internet import defer, task
from twisted.python import log

from master.cluster import watchdog
from master.schedulers import REMEMBERED, Push

EVERY_S = 5.0


def orphans(claimed: Iterable[int], known: Collection[int], seen: Collection[int]) -> set[int]:
    """The requests that this master claimed and does nothing about, this time and the last: a claim whose answer was
    cut off, for one. seen: those of the last time."""
    return {request for request in claimed if request not in known and request in seen}


def stuck(builders: Iterable[Any]) -> list[tuple[Any, Any]]:
    """The builds whose worker is gone, though Buildbot has them among those that run; with their builders."""
    return [
        (builder, build)
        for builder in builders
        for build in builder.building
        if build.workerforbuilder is not None and build.workerforbuilder.worker is None
    ]


class Rounds(BuildbotService):
    """One for each master."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: set[int] = set()
        self.stuck: list[Any] = []
        self.loop = task.LoopingCall(self._round)

    @defer.inlineCallbacks
    def startService(self) -> Any:
        yield super().startService()
        self.loop.clock = self.master.reactor
        self.loop.start(EVERY_S, now=False)

    @defer.inlineCallbacks
    def stopService(self) -> Any:
        if self.loop.running:
            self.loop.stop()
        yield super().stopService()

    @defer.inlineCallbacks
    def _round(self) -> Any:
        parts = (
            self._alive, self._forsaken, self._requests, self._claims, self._buildsets, self._triggers, self._changes,
        )  # fmt: skip
        for part in parts:
            if not self.running or self.master.botmaster.shuttingDown:
                return
            try:
                yield part()
            except Exception:
                # The next round tries again; a loop that ended would be missed by nobody.
                log.err(None, f"rounds: {part.__name__}")

    @defer.inlineCallbacks
    def _alive(self) -> Any:
        """Another master may have taken this one for dead, and do its work again: then it has to end, begin anew."""
        row = yield self.master.db.masters.getMaster(self.master.masterid)
        if row is not None and not row.active and self.loop.running and self.master._master_initialized:
            watchdog.end("another master took this one for dead, since it said nothing for too long", at_once=True)

    @defer.inlineCallbacks
    def _forsaken(self) -> Any:
        """What a master claimed that others took for dead is given back: Buildbot ends its builds, and then deletes no
        claims but its own (db/buildrequests.py), so that the requests would wait for that master for ever."""
        if forsaken := (yield self.master.db.pool.do(_give_back)):
            log.msg(f"rounds: requests {forsaken} were a dead master's: given back")

    @defer.inlineCallbacks
    def _requests(self) -> Any:
        """Requests that nobody claimed are offered to the workers again."""
        rows = yield self.master.db.pool.do(_waiting)
        known = self.master.botmaster.builders
        if names := sorted(name for name in rows if name in known and known[name].getAvailableWorkers()):
            yield self.master.botmaster.brd.maybeStartBuildsOn(names)

    @defer.inlineCallbacks
    def _claims(self) -> Any:
        """Requests that this master claimed, but never began, are given back."""
        claimed = yield self.master.db.pool.do(_claimed, self.master.masterid)
        botmaster = self.master.botmaster
        yield self._end_stuck(botmaster.builders.values())
        known = {
            request.id for one in botmaster.builders.values() for build in one.building for request in build.requests
        }
        known |= set(botmaster._starting_brid_to_cancel)
        if lost := orphans(claimed, known, self.seen):
            log.msg(f"rounds: requests {sorted(lost)} were claimed and never begun: given back")
            yield self.master.data.updates.unclaimBuildRequests(sorted(lost))
        self.seen = {request for request in claimed if request not in known}

    @defer.inlineCallbacks
    def _end_stuck(self, builders: Iterable[Any]) -> Any:
        """A worker that is lost while a build begins leaves Buildbot with a build that never ends."""
        found = stuck(builders)
        for builder, build in found:
            if build in self.stuck:
                log.msg(f"rounds: {build} lost its worker while it began: ended, to begin again")
                builder.building.remove(build)
                if build.buildid is not None:
                    yield self.master.data.updates.finishBuild(buildid=build.buildid, results=RETRY)
        self.stuck = [build for _, build in found if build not in self.stuck]

    @defer.inlineCallbacks
    def _buildsets(self) -> Any:
        """Buildsets all of whose requests are answered are ended."""
        for bsid in (yield self.master.db.pool.do(_answered)):
            yield self.master.data.updates.maybeBuildsetComplete(bsid)

    @defer.inlineCallbacks
    def _triggers(self) -> Any:
        """Builds that wait for others hear of those that ended."""
        for scheduler in self.master.scheduler_manager:
            if isinstance(scheduler, Triggerable):
                for bsid in list(scheduler._waiters):
                    buildset = yield self.master.data.get(("buildsets", str(bsid)))
                    if buildset is not None and buildset["complete"]:
                        scheduler._buildset_complete_cb(("buildsets", str(bsid), "complete"), buildset)

    @defer.inlineCallbacks
    def _changes(self) -> Any:
        """The push scheduler, on the master where it is active, looks for changes that it has not heard of."""
        newest = yield self.master.db.pool.do(_newest_changes)
        for scheduler in self.master.scheduler_manager:
            if isinstance(scheduler, Push) and scheduler.isActive() and (yield scheduler.unheard(newest)):
                yield scheduler.catch_up()


def _waiting(connection: Any) -> list[str]:
    """The builders with a request that nobody claimed."""
    requests, claims, builders = Model.buildrequests, Model.buildrequest_claims, Model.builders
    query = (
        sa.select(builders.c.name)
        .distinct()
        .select_from(requests.join(builders, builders.c.id == requests.c.builderid).outerjoin(
            claims, claims.c.brid == requests.c.id))
        .where(requests.c.complete == 0, claims.c.brid.is_(None))
    )  # fmt: skip
    return [row[0] for row in connection.execute(query)]


def _claimed(connection: Any, masterid: int) -> list[int]:
    requests, claims = Model.buildrequests, Model.buildrequest_claims
    query = (
        sa.select(requests.c.id)
        .select_from(requests.join(claims, claims.c.brid == requests.c.id))
        .where(requests.c.complete == 0, claims.c.masterid == masterid)
    )
    return [row[0] for row in connection.execute(query)]


def _give_back(connection: Any) -> list[int]:
    """Deletes the claims that masters which are not active have on requests that are not answered; those requests."""
    requests, claims, masters = Model.buildrequests, Model.buildrequest_claims, Model.masters
    query = (
        sa.select(claims.c.brid, claims.c.masterid)
        .select_from(claims.join(masters, masters.c.id == claims.c.masterid).join(
            requests, requests.c.id == claims.c.brid))
        .where(requests.c.complete == 0, masters.c.active == 0)
    )  # fmt: skip
    found = connection.execute(query).all()
    for request, master in found:
        connection.execute(claims.delete().where(claims.c.brid == request, claims.c.masterid == master))
    connection.commit()
    return sorted(row[0] for row in found)


def _newest_changes(connection: Any) -> list[int]:
    query = sa.select(Model.changes.c.changeid).order_by(Model.changes.c.changeid.desc()).limit(REMEMBERED)
    return [row[0] for row in connection.execute(query)]


def _answered(connection: Any) -> list[int]:
    """Buildsets that are not complete, though each of their requests is."""
    sets, requests = Model.buildsets, Model.buildrequests
    open_one = sa.select(requests.c.id).where(requests.c.buildsetid == sets.c.id, requests.c.complete == 0)
    some = sa.select(requests.c.id).where(requests.c.buildsetid == sets.c.id)
    query = sa.select(sets.c.id).where(sets.c.complete == 0, ~open_one.exists(), some.exists())
    return [row[0] for row in connection.execute(query)]
