"""Listens to the master and sends what people want to hear of."""

from __future__ import annotations

import time
from typing import Any

from buildbot.util.service import BuildbotService
from twisted.internet import defer, task, threads
from twisted.python import log

from master.home import Home
from master.notices.choice import Notices
from master.notices.deciding import Deciding, Ended, Notice
from master.notices.sending import Sending
from master.secrets.places import Keeping, secrets_of
from master.settings import Settings, page_url, stays, workers_of
from master.watch.polling import pollers_of

LOOK_S = 60.0


class Notifying(BuildbotService):
    """Sends notices. What it has told is kept over reconfigurations, so nothing is told twice."""

    name = "notices"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deciding = Deciding("", 0)
        self._consumer: Any = None
        self._looking = task.LoopingCall(self._look)

    @defer.inlineCallbacks
    def reconfigService(self, chosen: Notices, keeping: Keeping, branch: str, page: str, workers: list[str]) -> Any:
        yield super().reconfigService()
        self.chosen, self.page, self.workers = chosen, page, workers
        self.sending = Sending(chosen, keeping)
        self.deciding.branch, self.deciding.worker_s = branch, 60.0 * chosen.worker_minutes

    @defer.inlineCallbacks
    def startService(self) -> Any:
        yield super().startService()
        self._consumer = yield self.master.mq.startConsuming(self._build_ended, ("builds", None, "finished"))
        self._looking.start(LOOK_S, now=False)

    @defer.inlineCallbacks
    def stopService(self) -> Any:
        if self._looking.running:
            self._looking.stop()
        if self._consumer is not None:
            yield self._consumer.stopConsuming()
        yield super().stopService()

    @property
    def wanted(self) -> bool:
        return bool(self.chosen.mail_to) or self.chosen.webhook is not None

    def _build_ended(self, _: Any, build: dict[str, Any]) -> None:
        # Every one of several masters hears of it; the one that built it tells.
        if self.wanted and build["masterid"] == self.master.masterid:
            defer.Deferred.fromCoroutine(self._tell_build(build)).addErrback(log.err, "notices: of a build")

    async def _tell_build(self, build: dict[str, Any]) -> None:
        data = self.master.data
        builder = await data.get(("builders", str(build["builderid"])))
        steps = await data.get(("builds", str(build["buildid"]), "steps"))
        found = await data.get(("builds", str(build["buildid"]), "properties"))
        said = {name: value for name, (value, _) in found.items()}
        notice = self.deciding.of_build(
            Ended(
                builder=builder["name"],
                number=build["number"],
                result=build["results"],
                branch=str(said.get("branch", "")),
                commit=str(said.get("got_revision") or said.get("revision") or ""),
                page=f"{self.page}#/builders/{build['builderid']}/builds/{build['number']}",
                failed=[(one["name"], one["state_string"]) for one in steps if one["results"] in (2, 4)],
                tag=str(said.get("tag", "")),
                dry_run=said.get("dry_run") is not False,
            )
        )
        if notice is not None:
            await self.tell(notice)

    def _look(self) -> Any:
        if not self.wanted:
            return None
        return defer.Deferred.fromCoroutine(self._tell_state()).addErrback(log.err, "notices: of the farm's state")

    async def _tell_state(self) -> None:
        watch = self.master.service_manager.namedServices.get("watch")
        if watch is not None:
            for notice in self.deciding.of_checkup(await watch.measuring.checkup(self.master), self.page):
                await self.tell(notice)
        if self.master.config.multiMaster and not pollers_of(self.master):
            return  # the one that polls tells of workers, for all
        rows = await self.master.data.get(("workers",))
        known = {one["name"]: bool(one["connected_to"]) for one in rows}
        connected = {name: known.get(name, False) for name in self.workers}
        for notice in self.deciding.of_workers(connected, time.monotonic(), f"{self.page}#/workers"):
            await self.tell(notice)

    async def tell(self, notice: Notice) -> None:
        """Sends it, if it is of a kind that is wanted; what can't be sent is logged, and holds nothing up."""
        if notice.kind in self.chosen.kinds:
            for problem in await threads.deferToThread(self.sending.send, notice):
                log.msg(f"notices: {notice.subject!r} could not be sent: {problem}")


def notifying(home: Home, chosen: Settings) -> Notifying:
    return Notifying(
        chosen=chosen.notices, keeping=secrets_of(home.root, chosen.secrets), branch=chosen.repository.branch,
        page=page_url(chosen), workers=[one.name for one in workers_of(chosen) if stays(one)],
    )  # fmt: skip
