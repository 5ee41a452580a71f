"""Measures what `vitals.judge` decides about, in the running master. Nothing here waits for ever."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from twisted.internet import defer, threads

from master.bucket.access import Bucket
from master.watch.polling import last_poll, pollers_of
from master.watch.vitals import Checkup, Limits, Vitals, judge

T = TypeVar("T")
# Longer than a busy disk takes, shorter than a person waits.
LIMIT_S = 10.0
# Asked again within this time, the same answer is given: nobody makes work by asking.
FRESH_S = 5.0
PROBE = ("pymint", "health", "probe")
BEGAN = time.monotonic()


@dataclass(frozen=True)
class Places:
    """store, incoming: directories that are written to. database: the SQLite file, None for a server's.

    bucket: where the store is, None where it is a directory.
    """

    store: Path
    incoming: Path
    database: Path | None
    bucket: Bucket | None = None

    def disks(self) -> Sequence[Path]:
        return [self.store, self.incoming]


class Measuring:
    """Asks for a Checkup, one at a time: a disk that hangs takes one thread and not all of them."""

    def __init__(self, places: Places, limits: Limits) -> None:
        self.places = places
        self.limits = limits
        self._bucket = asking(places.bucket) if places.bucket is not None else None
        self.vitals = Vitals(up=0)  # the last that were measured
        self._last: tuple[float, Checkup] | None = None
        self._running: defer.Deferred[Checkup] | None = None
        self._out: set[str] = set()

    def checkup(self, master: Any) -> defer.Deferred[Checkup]:
        """The answers, at most FRESH_S seconds old. Never fails."""
        if self._last is not None and time.monotonic() - self._last[0] < FRESH_S:
            return defer.succeed(self._last[1])
        if self._running is None:
            self._running = defer.Deferred.fromCoroutine(self._measure(master))
            self._running.addBoth(self._ended)
        waiting: defer.Deferred[Checkup] = defer.Deferred()
        self._running.addCallback(lambda found: (waiting.callback(found), found)[1])
        return waiting

    def _ended(self, found: Checkup) -> Checkup:
        self._running = None
        self._last = (time.monotonic(), found)
        return found

    async def _measure(self, master: Any) -> Checkup:
        late = (f"no answer within {LIMIT_S:.0f} s", True, None)
        database, active, sign_of_life = await _asked(master, self._database(master), late)
        looking = self._in_thread("disks", disks, self.places)
        free, unwritable = await _asked(master, looking, ({}, {"the disk": "no answer"}))
        bucket = None
        if self._bucket is not None:
            (bucket,) = await _asked(master, self._in_thread("bucket", self._bucket), late[:1])
        self.vitals = Vitals(
            up=time.monotonic() - BEGAN,
            database=database,
            active=active,
            sign_of_life=sign_of_life,
            queue=await _asked(master, _echo(master), False),
            polled=last_poll(master),
            free=free,
            unwritable=unwritable,
            bucket=bucket,
        )
        # Of several masters another one looks at the repository; where there is one it has begun within a second.
        polls = not master.config.multiMaster or bool(pollers_of(master))
        checks = judge(self.vitals, self.limits if polls else replace(self.limits, poll_s=None))
        return Checkup(all(one.ok for one in checks), int(time.time()), checks)

    def _in_thread(self, name: str, ask: Callable[..., T], *arguments: Any) -> defer.Deferred[T]:
        """No thread is sent after one that did not come back: the page and the API have ten, all told."""
        if name in self._out:
            return defer.fail(defer.TimeoutError())
        self._out.add(name)

        def asked() -> T:
            try:
                return ask(*arguments)
            finally:
                self._out.discard(name)

        return threads.deferToThread(asked)

    @defer.inlineCallbacks
    def _database(self, master: Any) -> Any:
        """What is wrong, whether it says that this master runs, and the age of its sign of life."""
        if self.places.database is not None:
            problem = yield self._in_thread("database", file_problem, self.places.database)
            if problem:
                return problem, True, None

        def thd(connection: Any) -> Any:
            table = master.db.model.masters
            query = sa.select(table.c.active, table.c.last_active).where(table.c.id == master.masterid)
            return connection.execute(query).fetchone()

        row = yield master.db.pool.do(thd)
        return ("", bool(row[0]), time.time() - row[1]) if row else ("", False, None)


def file_problem(database: Path) -> str:
    """What a new reader finds wrong with a SQLite file; "" when it reads. An open connection would read its memory."""
    try:
        uri = f"file:{quote(str(database))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=LIMIT_S / 2)) as connection:
            connection.execute("SELECT count(*) FROM masters").fetchone()
    except sqlite3.Error as error:
        return f"{database}: {error}"
    return ""


def asking(bucket: Bucket) -> Callable[[], tuple[str]]:
    """Asks a bucket whether it answers: what is wrong with it, "" when nothing is. Blocking."""
    from master.bucket.remote import Remote, problem_of  # loads the client, which a directory does not need

    remote = Remote(replace(bucket, access=replace(bucket.access, read_s=LIMIT_S / 2)), patience_s=0)
    return lambda: (problem_of(remote.ask),)


def disks(places: Places) -> tuple[dict[str, int], dict[str, str]]:
    """Free bytes by place, and the places that can't be written with the reason. Blocking."""
    free: dict[str, int] = {}
    unwritable: dict[str, str] = {}
    for place in places.disks():
        try:
            place.mkdir(parents=True, exist_ok=True)
            free[str(place)] = shutil.disk_usage(place).free
            with tempfile.NamedTemporaryFile(dir=place, prefix=".new-health-") as stream:
                stream.write(b"x")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            unwritable[str(place)] = error.strerror or str(error)
    return free, unwritable


@defer.inlineCallbacks
def _echo(master: Any) -> Any:
    """Whether a message comes back."""
    back: defer.Deferred[bool] = defer.Deferred()
    heard: Callable[..., None] = lambda *_: None if back.called else back.callback(True)  # noqa: E731
    listening = yield master.mq.startConsuming(heard, PROBE)
    try:
        master.mq.produce(PROBE, {"at": time.time()})
        return (yield back.addTimeout(LIMIT_S, master.reactor, onTimeoutCancel=lambda *_: False))
    finally:
        yield listening.stopConsuming()


async def _asked(master: Any, question: defer.Deferred[Any], instead: Any) -> Any:
    """The answer, or `instead` when there is none in time, or an error."""
    try:
        return await question.addTimeout(LIMIT_S, master.reactor)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # whatever it was, the farm is not well
        if isinstance(instead, tuple) and instead and isinstance(instead[0], str):
            said = next(iter(str(error).splitlines()), type(error).__name__)
            return (instead[0] if isinstance(error, defer.TimeoutError) else said, *instead[1:])
        return instead
