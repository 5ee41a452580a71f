"""`/change_hook/github`: what GitHub delivers. Everything else below `/change_hook` is closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import defer
from twisted.python import log
from twisted.web import resource, server

from master.bodies import LARGEST
from master.github.events import Nothing, Ping, Refused, check_delivery, check_signature, read
from master.github.replays import Replays

# What a taken delivery becomes inside of the master; whoever it concerns listens (master/github/bridge.py).
TOPIC = ("pymint", "github", "event")


class Closed(resource.Resource):
    """In the place of Buildbot's own hooks: one of its dialects takes a change from anybody."""

    def render(self, request: Any) -> bytes:
        return _say(request, 404, "There is no such hook.")

    def getChild(self, path: bytes, request: Any) -> resource.Resource:
        return self


class Hook(resource.Resource):
    """Takes deliveries for one repository. secret: signs them. labels: that are a word for a build.

    The checks go from what costs nothing to what asks the database, and nothing of a body is read as anything before
    its signature is known to be good.
    """

    isLeaf = True

    def __init__(self, repository: str, secret: str, labels: Sequence[str]) -> None:
        super().__init__()
        self.repository = repository
        self._secret = secret
        self.labels = list(labels)
        self.replays = Replays()

    def render(self, request: Any) -> Any:
        if request.method != b"POST":
            request.setHeader(b"allow", b"POST")
            return _say(request, 405, "Deliveries are sent by POST.")
        # Whoever sent it may be gone before the database has answered.
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        taken = defer.Deferred.fromCoroutine(self._take(request))
        taken.addErrback(self._broken)
        taken.addCallback(lambda answer: None if gone else self._finish(request, *answer))
        return server.NOT_DONE_YET

    async def _take(self, request: Any) -> tuple[int, str]:
        try:
            return 202, await self._checked(request)
        except Refused as refused:
            log.msg(f"github: a delivery was refused with {refused.status}: {refused.text}")
            return refused.status, refused.text

    async def _checked(self, request: Any) -> str:
        said = request.getHeader
        if (said("content-type") or "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "Wanted application/json: choose it as the webhook's content type.")
        request.content.seek(0)
        body = request.content.read(LARGEST + 1)
        if len(body) > LARGEST:
            raise Refused(413, f"Larger than {LARGEST} bytes.")
        old = said("x-hub-signature") is not None
        signature = check_signature(self._secret, said("x-hub-signature-256"), body, old=old)
        delivery, name = check_delivery(said("x-github-delivery"), said("x-github-event"))
        event = read(name, body, self.repository, self.labels)
        master = request.site.master
        # The id is not signed, so the signature is remembered too: it is that of one body alone.
        if not await self.replays.first_time(master, delivery, signature):
            raise Refused(409, "This was delivered before.")
        if isinstance(event, Ping):
            return "pong"
        if isinstance(event, Nothing):
            return f"Nothing to do: {event.why}."
        master.mq.produce(TOPIC, {"kind": type(event).__name__, **vars_of(event)})
        return "Taken."

    def _broken(self, failure: Any) -> tuple[int, str]:
        log.err(failure, "github: a delivery could not be taken")
        return 500, "It could not be taken; the farm's log says why. Deliver it again."

    def _finish(self, request: Any, status: int, text: str) -> None:
        request.write(_say(request, status, text))
        request.finish()


def vars_of(event: object) -> dict[str, Any]:
    """The fields of an event, as plain values."""
    return {name: getattr(event, name) for name in getattr(event, "__dataclass_fields__", {})}


def _say(request: Any, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    request.setHeader(b"x-content-type-options", b"nosniff")
    return text.encode() + b"\n"


def hook_tree(hook: Hook | None) -> resource.Resource:
    """What stands at `/change_hook`."""
    tree = Closed()
    if hook is not None:
        tree.putChild(b"github", hook)
    return tree
