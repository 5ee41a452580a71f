"""The ward: a service that looks after workers. It pings them, cuts those that answer nothing, keeps the unfit out of
the way, and remembers what happened to each.

What it knows of a worker stands in the worker's info, which Buildbot keeps and shows: `pymint_doctor`, what its machine
said last, and `pymint_notices`, the last of what happened to it, both JSON. Each notice is also an event
`("workers", ID, "notice")` of Buildbot's message queue, for whoever tells people, and a line in the master's log.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
from buildbot.util.service import BuildbotService
from twisted.internet import defer, task
from twisted.python import log

from master.fleet.authority import Files, ends
from master.fleet.choice import Watch
from master.fleet.notices import DOCTOR, NOTICES, Kind, Notice, kept
from steps.results import FAILURE, RETRY
from steps.ward import WARD
from workers.fitness import Fitness, packed
from workers.progress import seconds

# A pause that the ward made, and ends when the worker is fit again. What people pause, people resume.
BY_WARD = "not fit: "
_CERTIFICATE_DAYS = 30


def after_refusal(refusals: int, unfit_times: int) -> Literal["quarantine", "pause"]:
    """What is done with a worker that was found unfit so often in a row."""
    return "pause" if refusals >= unfit_times else "quarantine"


def is_silent(asked: float | None, now: float, silent_s: float) -> bool:
    """Whether a ping that was sent at `asked` (None: answered) has been without answer for too long."""
    return asked is not None and now - asked > silent_s


class Ward(BuildbotService):
    """One a master, named "ward" (steps/ward.py looks it up by that)."""

    name = WARD

    def __init__(self, watch: Watch, certificate: Path | None) -> None:
        super().__init__(watch=watch, certificate=certificate)
        self.watch = watch
        self.certificate = certificate
        self._asked: dict[str, float] = {}
        self._refusals: dict[str, int] = {}
        self._looking: Any = None
        self._told_of_end = False

    def checkConfig(self, watch: Watch, certificate: Path | None) -> None:
        pass

    def reconfigService(self, watch: Watch, certificate: Path | None) -> Any:
        self.watch, self.certificate = watch, certificate
        if self._looking is not None:
            self._looking.stop()
            self._look_on()
        return defer.succeed(None)

    def startService(self) -> Any:
        self._look_on()
        return super().startService()

    def stopService(self) -> Any:
        if self._looking is not None and self._looking.running:
            self._looking.stop()
        self._looking = None
        return super().stopService()

    def _look_on(self) -> None:
        self._looking = task.LoopingCall(self._look)
        self._looking.start(self.watch.ping_s, now=False).addErrback(log.err, "ward: looking after workers ended")

    # Pings

    def _look(self) -> None:
        """Whatever is the matter with one of them, the others are looked at, and all of them again."""
        now = time.monotonic()
        for worker in list(self.master.workers.workers.values()):
            try:
                self._look_at(worker, now)
            except Exception:
                log.err(None, f"ward: {worker.workername} could not be looked at")
        try:
            self._look_at_certificate()
        except (OSError, ValueError):
            log.err(None, "ward: the certificate of the workers' connection can't be read")

    def _look_at(self, worker: Any, now: float) -> None:
        mind = getattr(worker.conn, "mind", None)
        if mind is None:  # not connected, or the master's own hand, which is no process
            self._asked.pop(worker.workername, None)
        elif is_silent(self._asked.get(worker.workername), now, self.watch.silent_s):
            self._cut(worker, mind, now)
        elif worker.workername not in self._asked:
            self._ping(worker.workername, mind, now)

    def _ping(self, name: str, mind: Any, now: float) -> None:
        """Asks for something that costs nothing and is written to no log. Any answer is a sign of life."""
        self._asked[name] = now

        def answered(result: Any) -> None:
            self._asked.pop(name, None)

        mind.callRemote("getVersion").addBoth(answered)

    def _cut(self, worker: Any, mind: Any, now: float) -> None:
        silent = seconds(now - self._asked.pop(worker.workername))
        building = "; what it was building goes on elsewhere" if _busy(worker) else ""
        self.notice(worker, "hung", f"answered nothing for {silent}: its connection was cut{building}")
        # Not loseConnection: by TLS that waits for a farewell of the other side, which is what does not come.
        mind.broker.transport.abortConnection()

    def _look_at_certificate(self) -> None:
        if self.certificate is None or self._told_of_end:
            return
        left = ends(Files(self.certificate.parent)) - datetime.now(UTC)
        if left < timedelta(days=_CERTIFICATE_DAYS):
            self._told_of_end = True
            log.msg(
                f"ward: the certificate of the workers' connection ends in {left.days} days. Restart the master "
                "(./mint down, ./mint up): it makes a new one, and the workers need to be told nothing."
            )

    # What happens to workers

    def notice(self, worker: Any, kind: Kind, text: str) -> None:
        """Remembers it with the worker, tells the log and whoever listens."""
        log.msg(f"ward: {worker.workername}: {text}")
        new = Notice(datetime.now(UTC).isoformat(timespec="seconds"), kind, text)
        worker.info.setProperty(NOTICES, msgspec.json.encode(kept(notices_of(worker), new)).decode(), "ward")
        event = {"workerid": worker.workerid, "name": worker.workername, **msgspec.to_builtins(new)}
        self.master.mq.produce(("workers", str(worker.workerid), "notice"), event)
        self.remember(worker)

    def remember(self, worker: Any) -> None:
        """Puts what is known of a worker where Buildbot keeps its info."""
        known = {key: value for key in _INFO if (value := worker.info.getProperty(key)) is not None}
        table = self.master.db.model.workers

        def thd(connection: Any) -> None:
            connection.execute(table.update().where(table.c.id == worker.workerid).values(info=known))

        stored = self.master.db.pool.do_with_transaction(thd)
        stored.addErrback(log.err, f"ward: the info of {worker.workername} could not be kept")

    def came(self, worker: Any) -> None:
        """A worker connected; its info is what it said itself."""
        self._asked.pop(worker.workername, None)
        # Buildbot keeps this one in the connection alone.
        if worker.conn is not None and isinstance(processors := worker.conn.info.get(_PROCESSORS), int):
            worker.info.setProperty(_PROCESSORS, processors, "ward")
        fitness = fitness_of(worker)
        reason = worker._pause_reason or ""
        if worker.isPaused() and reason.startswith(BY_WARD) and fitness is not None and not fitness.problems:
            self._refusals.pop(worker.workername, None)
            worker.unpause()
            self.notice(worker, "back", "came back fit: it gets builds again")
        elif fitness is not None and fitness.problems:
            self.notice(worker, "unfit", f"connected, but is not fit: {fitness.problems[0]}")
        self.remember(worker)

    def went(self, worker: Any, building: list[str]) -> None:
        """A worker's connection ended while it was building `building` (builders' names)."""
        if building and self.running:  # the master itself is going otherwise
            self.notice(worker, "lost", f"was lost while it built {', '.join(building)}, which goes on elsewhere")

    def fit(self, worker: Any, fitness: Fitness) -> None:
        self._refusals.pop(worker.workername, None)
        worker.resetQuarantine()
        worker.info.setProperty(DOCTOR, packed(fitness), "ward")
        self.remember(worker)

    async def unfit(self, worker: Any, build: Any, fitness: Fitness | None, problem: str) -> int:
        """The build goes back to the queue: nothing was built, so it may do so as often as it takes."""
        if fitness is not None:
            worker.info.setProperty(DOCTOR, packed(fitness), "ward")
        self._keep_away(worker, "unfit", problem)
        return RETRY

    async def give_back(self, worker: Any, build: Any, problem: str) -> int:
        """A build that its worker's machine ended. One that ends every machine fails in the end."""
        self._keep_away(worker, "full", problem)
        earlier = 0
        for request in build.requests:
            builds = await self.master.data.get(("buildrequests", str(request.id), "builds"))
            earlier = max(earlier, sum(1 for one in builds if one["results"] == RETRY))
        return RETRY if earlier + 1 < self.watch.give_back else FAILURE

    def _keep_away(self, worker: Any, kind: Kind, problem: str) -> None:
        """For some seconds at first, twice as many each time; in the end until it is fit, or someone resumes it."""
        name = worker.workername
        self._refusals[name] = self._refusals.get(name, 0) + 1
        first = problem.strip().splitlines()[0]
        self.notice(worker, kind, f"{'ran full' if kind == 'full' else 'is not fit'}: {first}")
        if after_refusal(self._refusals[name], self.watch.unfit_times) == "pause":
            worker.pause(BY_WARD + first)
            text = f"paused after {self._refusals[name]} times in a row: {first}"
            self.notice(worker, "paused", f"{text} `./mint worker resume {name}` when that is mended.")
            self._refusals.pop(name)
        else:
            worker.putInQuarantine()


_PROCESSORS = "numcpus"
_INFO = ("admin", "host", "access_uri", "version", _PROCESSORS, DOCTOR, NOTICES)


def notices_of(worker: Any) -> list[Notice]:
    """What happened to a worker, oldest first."""
    try:
        return msgspec.json.decode(worker.info.getProperty(NOTICES) or "[]", type=list[Notice])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []


def fitness_of(worker: Any) -> Fitness | None:
    """What a worker's machine said last; None where it said nothing that can be read."""
    try:
        return msgspec.json.decode(worker.info.getProperty(DOCTOR) or "", type=Fitness)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _busy(worker: Any) -> list[str]:
    return [wfb.builder_name for wfb in worker.workerforbuilders.values() if wfb.isBusy()]


class Watched:
    """Of a worker: tells the ward when it comes and goes. Before Buildbot's own class among the bases."""

    workerforbuilders: Any
    master: Any
    workerid: Any
    _pause_reason: Any
    conn: Any

    def _ward(self) -> Ward | None:
        found: Ward | None = self.master.service_manager.namedServices.get(WARD)
        return found

    @defer.inlineCallbacks
    def startService(self) -> Any:
        yield super().startService()  # type: ignore[misc]
        # Buildbot remembers that a worker is paused, and forgets why when it writes that again.
        told = yield self.master.data.get(("workers", self.workerid))
        self._pause_reason = told["pause_reason"]

    @defer.inlineCallbacks
    def attached(self, conn: Any) -> Any:
        yield super().attached(conn)  # type: ignore[misc]
        if self.conn is not None and (ward := self._ward()) is not None:
            ward.came(self)

    @defer.inlineCallbacks
    def detached(self) -> Any:
        building = _busy(self)
        yield super().detached()  # type: ignore[misc]
        if (ward := self._ward()) is not None:
            ward.went(self, building)
