"""The farm's conversation with GitHub: what it hears becomes changes, what it builds becomes statuses and comments.

Nothing of Buildbot ever waits for it. Events only say what has to be looked at; one errand at a time is then done, in a
thread, with pauses as GitHub wants them, and what is said is worked out when it is said.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from buildbot.changes.base import ChangeSource
from twisted.internet import defer, threads
from twisted.python import log

from master.github import facts
from master.github.api import Api, Pull, Trouble, Unwanted
from master.github.errands import Errand, Errands
from master.github.events import COMMIT, commit_in
from master.github.gathering import Gathering
from master.github.hook import TOPIC
from master.github.memory import Memory
from master.github.statuses import mark_of, of_commit, to_send
from master.pulls.decide import Known, verdict
from master.pulls.keeping import PullKeeper
from master.pulls.names import CATEGORY, number_of, ref_of
from master.secrets.places import Place
from workers.errors import Failure

# At a start the commits of so many requests are looked at: one may have ended in the moment when the master did.
RECENT = 200
# What happens at once is told at once.
TOGETHER_S = 0.3
# GitHub may know less of a pull request for a moment than what it just delivered says.
AGAIN_S = 10.0
WAITS_FOR = "waits for a maintainer's word"


@dataclass(frozen=True)
class Setup:
    """What the bridge is given. A value, so that a reconfiguration can compare it.

    address, project, token_file: of GitHub's API; repository, branch: as git knows them. main, pulls: the builders
    that are told of. pace_s: between two requests that write, comment_s: between two edits of a comment, rest_s: what
    rests after trouble are counted in (master/github/errands.py). keeper: of what pull requests leave.
    """

    address: str
    project: str
    token_file: Place
    repository: str
    branch: str
    page_url: str
    main: tuple[str, ...]
    pulls: tuple[str, ...]
    statuses: bool
    comments: bool
    same_repository: bool
    pace_s: float
    comment_s: float
    poll_s: float
    rest_s: float
    keeper: PullKeeper


class Bridge(ChangeSource):
    """Active on one master at a time, as every change source is."""

    name = "github"

    def checkConfig(self, setup: Setup) -> None:
        super().checkConfig()

    @defer.inlineCallbacks
    def reconfigService(self, setup: Setup) -> Any:
        yield super().reconfigService()
        self.setup = setup
        self.api = Api(setup.address, setup.project, setup.token_file)
        if self.active:
            # What is asked of GitHub, and by which builders, may be another now.
            self._want("poll", "")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.errands = Errands()
        self.memory = Memory()
        self._consumers: list[Any] = []
        self._hints: dict[str, str] = {}
        self._commented: dict[str, float] = {}
        self._call: Any = None
        self._busy = False
        self._free_at = 0.0

    # Buildbot's side

    @defer.inlineCallbacks
    def startService(self) -> Any:
        # A push is heard on every master: the poller may be active on another one than this is.
        self._listener = yield self.master.mq.startConsuming(self._heard, TOPIC)
        yield super().startService()

    @defer.inlineCallbacks
    def stopService(self) -> Any:
        yield super().stopService()
        yield self._listener.stopConsuming()

    @defer.inlineCallbacks
    def activate(self) -> Any:
        self.errands = Errands(self.setup.rest_s)
        yield defer.Deferred.fromCoroutine(self.memory.load(self.master))
        listen = self.master.mq.startConsuming
        self._consumers = [
            (yield listen(partial(self._of_request, "buildsetid"), ("buildrequests", None, None))),
            (yield listen(partial(self._of_request, "buildrequestid"), ("builds", None, "new"))),
            (yield listen(partial(self._of_request, "buildrequestid"), ("builds", None, "finished"))),
        ]
        for commit in self.memory.owed:
            self._want("statuses", commit)
        for number in self.memory.pulls:
            self._want("comment", str(number))
        if self.setup.pulls:
            self._want("poll", "")
        recent = yield defer.Deferred.fromCoroutine(facts.recent_buildsets(self.master, RECENT))
        for buildset in recent:
            yield defer.Deferred.fromCoroutine(self._concerns(buildset))

    @defer.inlineCallbacks
    def deactivate(self) -> Any:
        if self._call is not None and self._call.active():
            self._call.cancel()
        for consumer in self._consumers:
            yield consumer.stopConsuming()
        self._consumers = []

    def _heard(self, _: Any, event: dict[str, Any]) -> None:
        """A delivery was taken."""
        if event["kind"] == "Pushed":
            for source in self.master.change_svc:
                if hasattr(source, "doPoll"):
                    source.force()
            return
        if not self.active or not self.setup.pulls:
            return
        if event["kind"] == "Labelled":
            self._want("word", f"{event['number']} {event['head']} {event['login']}")
        elif event["kind"] == "Pulled":
            if event["head"] is not None:
                self._hints[str(event["number"])] = event["head"]
            self._want("look", str(event["number"]))

    def _of_request(self, key: str, _: Any, event: dict[str, Any]) -> None:
        """A request or a build came, began or ended."""
        coroutine = self._of_buildset(event[key]) if key == "buildsetid" else self._of_build(event[key])
        defer.Deferred.fromCoroutine(coroutine).addErrback(log.err, "github: an event could not be followed")

    async def _of_build(self, request: int) -> None:
        found = await self.master.data.get(("buildrequests", request))
        if found is not None:
            await self._of_buildset(found["buildsetid"])

    async def _of_buildset(self, buildset: int) -> None:
        if self.active:
            await self._concerns(buildset)

    async def _concerns(self, buildset: int) -> None:
        """What has to be told because something became of this buildset."""
        found = await facts.commit_of(self.master, buildset, self.setup.repository)
        if found is None or not COMMIT.match(found[0]):
            return
        commit, branch = found
        number = number_of(branch)
        if self.setup.statuses:
            self._want("statuses", commit, TOGETHER_S)
            await self.memory.owe(self.master, self.errands.open("statuses"))
        if number is not None:
            known = self.memory.pulls.get(number)
            if known is not None and known.head != commit:
                await self._cancel(number, known.head)
            self._want("comment", str(number), TOGETHER_S)

    # One errand at a time

    def _now(self) -> float:
        return float(self.master.reactor.seconds())

    def _want(self, kind: Any, about: str, after_s: float = 0.0) -> None:
        at = self._now() + after_s
        if kind == "comment":
            if not self.setup.comments:
                return
            at = max(at, self._commented.get(about, 0.0) + self.setup.comment_s)
        self.errands.want(Errand(kind, about), at)
        self._arrange()

    def _arrange(self) -> None:
        due = self.errands.next_due()
        if self._busy or due is None or not self.active:
            return
        if self._call is not None and self._call.active():
            self._call.cancel()
        wait = max(due, self._free_at) - self._now()
        self._call = self.master.reactor.callLater(max(wait, 0.0), self._turn)

    def _turn(self) -> None:
        errand = self.errands.take(self._now())
        if errand is None:
            self._arrange()
            return
        self._busy = True
        done = defer.Deferred.fromCoroutine(self._do(errand))
        done.addErrback(self._unexpected, errand)
        done.addBoth(self._over)

    def _over(self, _: Any) -> None:
        self._busy = False
        self._arrange()

    def _unexpected(self, failure: Any, errand: Errand) -> None:
        if self.active:
            log.err(failure, f"github: {errand.kind} {errand.about}")
            self.errands.refused(errand, self._now())

    async def _do(self, errand: Errand) -> None:
        doing: dict[str, Callable[[str], Any]] = {
            "word": self._word, "look": self._look_at, "poll": self._poll, "statuses": self._statuses,
            "comment": self._comment,
        }  # fmt: skip
        try:
            await doing[errand.kind](errand.about)
        except Trouble as trouble:
            rest = self.errands.troubled(errand, self._now(), trouble.wait_s)
            log.msg(f"github: {trouble.what}; again in {rest:.0f} s")
        except Failure as failure:
            self.errands.refused(errand, self._now())
            log.msg(str(failure))
        except Unwanted as unwanted:
            log.msg(f"github: given up: {unwanted}")
        else:
            self.errands.went_well()

    async def _ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The answer of a blocking request, or what it raises."""
        answer = await threads.deferToThread(call, *arguments)
        if not self.active:
            raise defer.CancelledError
        return answer

    async def _write(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await self._ask(call, *arguments)
        finally:
            self._free_at = self._now() + self.setup.pace_s

    # What it hears

    async def _poll(self, _: str) -> None:
        """All that is open, and what was and is not any more: whatever the hook has missed."""
        pulls = await self._ask(self.api.open_pulls, self.setup.branch)
        for pull in pulls:
            await self._look(pull.number, pull)
        for number in set(self.memory.pulls) - {pull.number for pull in pulls}:
            self._want("look", str(number))
        self._want("poll", "", self.setup.poll_s)
        await threads.deferToThread(self.setup.keeper.tidy)

    async def _word(self, about: str) -> None:
        """Somebody set the label that is a word, on the pull request as it was then."""
        number, head, login = about.split()
        if await self._ask(self.api.may_write, login):
            await self._remember_word(int(number), head)
        else:
            log.msg(f"github: {login} may not push, so the label on pull request {number} starts nothing")
        self._want("look", number)

    async def _remember_word(self, number: int, head: str) -> None:
        known = self.memory.pulls.get(number) or Known(number, head)
        await self.memory.keep(self.master, known.with_word(head))

    async def _look_at(self, about: str) -> None:
        number = int(about)
        hinted = self._hints.get(about)
        pull = await self._ask(self.api.pull, number)
        self._hints.pop(about, None)
        if hinted is not None and pull is not None and pull.head != hinted:
            self._want("look", about, AGAIN_S)
        await self._look(number, pull)

    async def _look(self, number: int, pull: Pull | None) -> None:
        setup, known = self.setup, self.memory.pulls.get(number)
        own = {"same_repository": setup.same_repository}
        said = "leave" if pull is None else verdict(pull, known, setup.branch, setup.project, **own)
        if pull is None or said == "leave":
            if known is not None:
                await self._cancel(number, None)
                await self.memory.forget(self.master, number)
            return
        if known is None or known.head != pull.head:
            known = replace(known or Known(number, pull.head), head=pull.head, built=None)
            await self.memory.keep(self.master, known)
        await self._cancel(number, pull.head)
        if said == "wait" and await self._ask(self._has_word, pull):
            known, said = known.with_word(pull.head), "build"
        if said == "build":
            await self._add_change(pull)
            known = replace(known, built=pull.head)
        known = replace(known, waits=said == "wait")
        if known != self.memory.pulls.get(number):
            await self.memory.keep(self.master, known)
        if setup.statuses:
            self._want("statuses", pull.head, TOGETHER_S)
        self._want("comment", str(number), TOGETHER_S)

    def _has_word(self, pull: Pull) -> bool:
        """Whether a comment of somebody who may push says that this very commit may be built. Blocking."""
        asked: dict[str, bool] = {}
        for comment in self.api.comments(pull.number):
            if commit_in(comment.body) == pull.head:
                if comment.login not in asked:
                    asked[comment.login] = self.api.may_write(comment.login)
                if asked[comment.login]:
                    return True
        return False

    async def _add_change(self, pull: Pull) -> None:
        await self.master.data.updates.addChange(
            files=[], comments=f"Head of pull request {pull.number}", author=f"pull request {pull.number}",
            revision=pull.head, branch=ref_of(pull.number), category=CATEGORY, repository=self.setup.repository,
            project="", codebase="", properties={"pull_request": pull.number},
        )  # fmt: skip

    async def _cancel(self, number: int, head: str | None) -> None:
        """Ends what is requested or being built of a pull request, but for its head. Never anything of a branch."""
        for request, commit in await facts.open_requests(self.master, ref_of(number), self.setup.repository):
            if commit != head:
                why = "the pull request is closed" if head is None else f"overtaken by {head}"
                await self.master.data.control("cancel", {"reason": why}, ("buildrequests", request))

    # What it tells

    async def _statuses(self, commit: str) -> None:
        """Sends one; the next is worked out anew."""
        setup, sent = self.setup, self.memory.sent_of(commit)
        requests = await facts.requests_of(self.master, commit, setup.repository, frozenset(setup.main + setup.pulls))
        waits = any(one.head == commit and one.waits for one in self.memory.pulls.values())
        status = to_send(of_commit(requests, setup.page_url, WAITS_FOR if waits else None), sent)
        if status is not None:
            # What GitHub refuses for good it refuses each time: it counts as sent.
            try:
                await self._write(self.api.set_status, commit, status)
            except Unwanted as unwanted:
                log.msg(f"github: given up: {unwanted}")
            await self.memory.sent(self.master, commit, status.context, mark_of(status))
            self._want("statuses", commit)
        await self.memory.owe(self.master, self.errands.open("statuses"))

    async def _comment(self, about: str) -> None:
        known = self.memory.pulls.get(int(about))
        if known is None:
            return
        setup = self.setup
        gathering = Gathering(self.master, setup.repository, setup.branch, setup.page_url, setup.pulls)
        text, digest = await gathering.comment(known)
        if known.said == digest:
            return
        self._commented[about] = self._now()
        known = await self._at_its_comment(known)
        text = f"<!-- pymint {known.mark} -->\n{text}"
        if known.comment is None or not await self._write(self.api.change_comment, known.comment, text):
            if known.comment is not None:  # somebody took it away
                known = replace(known, comment=None, mark=secrets.token_hex(8))
                await self.memory.keep(self.master, known)
                raise Trouble(f"the comment on pull request {known.number} is gone", 0.0)
            made = await self._write(self.api.add_comment, known.number, text)
            known = replace(known, comment=made.id)
        await self.memory.keep(self.master, replace(known, said=digest))

    async def _at_its_comment(self, known: Known) -> Known:
        """With the id of the farm's own comment, should one have been written whose answer was lost.

        The mark is remembered before it is ever shown: whoever copies it comes after.
        """
        if known.comment is not None:
            return known
        if known.mark:
            found = await self._ask(self._marked, known.number, f"<!-- pymint {known.mark} -->")
            return replace(known, comment=found)
        known = replace(known, mark=secrets.token_hex(8))
        await self.memory.keep(self.master, known)
        return known

    def _marked(self, number: int, mark: str) -> int | None:
        """The first comment that begins so. Blocking."""
        found = [one.id for one in self.api.comments(number) if one.body.startswith(mark)]
        return found[-1] if found else None
