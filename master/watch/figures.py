"""What the metrics say, read from the running master: one query a question, and what is large only now and then."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from twisted.internet import defer, threads
from twisted.python import log

from master.release.model import Readiness

T = TypeVar("T")
# A store has tens of thousands of files.
SIZES_S = 900.0
GATE_S = 60.0


@dataclass(frozen=True)
class Queue:
    """waiting, running: requests of a builder. oldest: seconds for which the first has waited."""

    waiting: int = 0
    running: int = 0
    oldest: float = 0.0


@dataclass(frozen=True)
class WorkerState:
    connected: bool
    paused: bool
    graceful: bool


@dataclass(frozen=True)
class Figures:
    """Sizes in bytes, times in seconds. cells: of the branch's head, by their state for a release."""

    queues: Mapping[str, Queue] = field(default_factory=dict)
    workers: Mapping[str, WorkerState] = field(default_factory=dict)
    store_bytes: int = 0
    store_files: int = 0
    incoming_bytes: int = 0
    database_bytes: int = 0
    head: str = ""
    cells: Mapping[str, int] = field(default_factory=dict)
    ready: bool | None = None


class Remembered(Generic[T]):
    """The last answer of a slow question, asked again in a thread once it is old. One question at a time."""

    def __init__(self, first: T, age_s: float, ask: Callable[[], T]) -> None:
        self.answer = first
        self._age_s, self._ask = age_s, ask
        self._asked: float | None = None
        self._busy = False

    def get(self) -> defer.Deferred[T]:
        """The answer: waited for the first time, and later what is known while it is asked again."""
        if self._busy or (self._asked is not None and time.monotonic() - self._asked < self._age_s):
            return defer.succeed(self.answer)
        self._busy, first = True, self._asked is None
        asking = threads.deferToThread(self._ask)
        asking.addCallbacks(self._answered, self._unanswered).addBoth(self._ended)
        return asking if first else defer.succeed(self.answer)

    def _answered(self, answer: T) -> T:
        self.answer = answer
        return answer

    def _unanswered(self, failure: Any) -> T:
        log.msg(f"watch: a figure is as it was before: {failure.getErrorMessage()}")
        return self.answer

    def _ended(self, answer: T) -> T:
        self._busy, self._asked = False, time.monotonic()
        return answer


def size_of(*places: Path) -> tuple[int, int]:
    """Bytes and files below these directories. Blocking."""
    total = count = 0
    waiting = [str(place) for place in places]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
                        count += 1
        except OSError:  # it went away meanwhile
            continue
    return total, count


def read_database(model: Any, connection: Any, now: float, branch: str) -> dict[str, Any]:
    """Queues, workers and the branch's newest commit. Everything by an index, whatever the number of builds."""
    requests, builders, claims = model.buildrequests, model.builders, model.buildrequest_claims
    query = (
        sa.select(builders.c.name, claims.c.brid.is_not(None), sa.func.count(), sa.func.min(requests.c.submitted_at))
        .select_from(
            requests.join(builders, builders.c.id == requests.c.builderid).outerjoin(
                claims, claims.c.brid == requests.c.id
            )
        )
        .where(requests.c.complete == 0)
        .group_by(builders.c.name, claims.c.brid.is_not(None))
    )
    queues: dict[str, Queue] = {}
    for name, claimed, count, oldest in connection.execute(query):
        known = queues.get(name, Queue())
        queues[name] = (
            Queue(known.waiting, count, known.oldest) if claimed else Queue(count, known.running, now - oldest)
        )
    linked = {row[0] for row in connection.execute(sa.select(model.connected_workers.c.workerid))}
    table = model.workers
    rows = connection.execute(sa.select(table.c.id, table.c.name, table.c.paused, table.c.graceful))
    workers = {name: WorkerState(number in linked, bool(off), bool(ending)) for number, name, off, ending in rows}
    changes = model.changes
    newest = sa.select(changes.c.revision).where(changes.c.branch == branch).order_by(changes.c.changeid.desc())
    row = connection.execute(newest.limit(1)).fetchone()
    return {"queues": queues, "workers": workers, "head": row[0] if row and row[0] else ""}


class Reading:
    """Reads Figures. names: of the workers that stay connected; Buildbot lists its own helpers, too."""

    def __init__(
        self, *, store: Path, incoming: Path, database: Path | None, names: list[str], branch: str,
        gate: Callable[[str], Readiness],
    ) -> None:  # fmt: skip
        self.database, self.names, self.branch = database, names, branch
        self._store = Remembered((0, 0), SIZES_S, lambda: size_of(store))
        self._incoming = Remembered((0, 0), 30, lambda: size_of(incoming))
        self._head = ""
        self._gate: Remembered[Readiness | None] = Remembered(None, GATE_S, lambda: gate(self._head))

    async def figures(self, master: Any) -> Figures:
        """All of it. Raises what the database does."""
        now = time.time()
        said = await master.db.pool.do(lambda connection: read_database(master.db.model, connection, now, self.branch))
        self._head = said["head"]
        readiness = await self._gate.get() if self._head else None
        cells: dict[str, int] = {}
        for one in readiness.cells if readiness is not None else ():
            cells[one.state] = cells.get(one.state, 0) + 1
        store_bytes, store_files = await self._store.get()
        workers = said["workers"]
        return Figures(
            queues=said["queues"],
            workers={name: workers.get(name, WorkerState(False, False, False)) for name in self.names},
            store_bytes=store_bytes,
            store_files=store_files,
            incoming_bytes=(await self._incoming.get())[0],
            database_bytes=_database_bytes(self.database),
            head=self._head,
            cells=cells,
            ready=readiness.ready if readiness is not None else None,
        )


def _database_bytes(database: Path | None) -> int:
    total = 0
    for ending in ("", "-wal", "-shm") if database is not None else ():
        try:
            total += Path(f"{database}{ending}").stat().st_size
        except OSError:
            continue
    return total
