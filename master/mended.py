"""What pymint mends in Buildbot 4.3. Each with the reason; a test asks again at Buildbot's next version."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from json import JSONEncoder
from typing import Any

from buildbot.db import logs
from buildbot.db.buildrequests import BuildRequestsConnectorComponent
from buildbot.process.build import Build
from buildbot.process.results import EXCEPTION, RETRY
from buildbot.worker.base import Worker
from buildbot.worker.protocols.pb import Connection
from buildbot.www import auth
from buildbot.www.rest import V2RootResource
from buildbot.www.service import BuildbotSession
from twisted.internet import defer, reactor, threads
from twisted.python import log
from twisted.spread import pb


def _set_build_requests_priority(self: Any, brids: list[int], priority: int) -> Any:
    """Buildbot hands the value to `Connection.execute` as a keyword, which SQLAlchemy 2 does not take: status 500.

    Requests that are complete meanwhile keep their priority, as in Buildbot's own.
    """

    def work(connection: Any) -> None:
        requests = self.db.model.buildrequests
        with connection.begin():
            for batch in self.doBatch(brids, 100):
                chosen = requests.update().where(requests.c.id.in_(batch), requests.c.complete != 1)
                connection.execute(chosen.values(priority=priority))

    return self.db.pool.do(work)


def _update_session(self: Any, request: Any) -> None:
    """Buildbot's cookie can be read by scripts, and is sent along with what other pages send.

    secure: also behind a proxy that speaks TLS, which Buildbot does not see.
    """
    name = auth.build_cookie_name(request.isSecure(), request.sitepath)
    secure = request.isSecure() or self.site.master.config.buildbotURL.startswith("https:")
    request.addCookie(name, self.uid, path=b"/", secure=secure, httpOnly=True, sameSite="lax")


def _write_json_data(request: Any, encoder: JSONEncoder, data: Any) -> None:
    """Buildbot writes to the connection from its thread, while the reactor closes it where the client has left.

    The reactor then takes a closed descriptor for an open one. Each connection to come gets that number and is dropped:
    the page and the API answer nobody any more, until a restart (Twisted's issue 11625 names the cause). The thread
    here encodes, the reactor writes. Runs in a thread.
    """
    chunks = []
    for chunk in encoder.iterencode(data):
        if _left(request):
            return
        chunks.append(chunk)
    # Asked for before this thread's end is told, after which Buildbot finishes the request: the order is kept.
    reactor.callFromThread(_send, request, "".join(chunks).encode())


def _send(request: Any, body: bytes) -> None:
    if _left(request):
        return
    request.setHeader(b"content-length", b"%d" % len(body))
    if request.method != b"HEAD":
        request.write(body)


def _left(request: Any) -> bool:
    """Where the connection is lost a request is not finished, but has no channel."""
    return bool(request.finished) or request.channel is None


async def _iter_on_pool(
    generator_sync: Callable[[], Generator[Any, None, None]], *, reactor: Any, provider_threadpool: Any, **_: Any
) -> AsyncGenerator[Any, None]:
    """Buildbot's thread waits until the last of its items was taken: for ever, where the client of a log left before.

    The pool has a thread for each two processors, and what is logged is compressed by it, too. So one to four such
    clients, and no log could be read any more and no build could end. A chunk of a log is 64 kB: here the thread hands
    over all of its lines and is free.
    """
    for item in await threads.deferToThreadPool(reactor, provider_threadpool, lambda: list(generator_sync())):
        yield item


@defer.inlineCallbacks
def _worker_attached(self: Any, conn: Any) -> Any:
    """Buildbot's logs what went wrong and keeps the connection: the worker believes that it is the master's, and the
    master never gives it anything. Cut off, it comes again."""
    try:
        yield super(Worker, self).attached(conn)
    except Exception:
        log.err(None, f"worker {self.name} cannot attach: its connection is cut, so that it comes again")
        conn.loseConnection()


@defer.inlineCallbacks
def _connection_attached(self: Any, mind: Any) -> Any:
    """Twisted tells of a connection's end only who has asked before it, and asks for Buildbot once this has returned.

    So a worker that was lost meanwhile stayed connected for the master, and whenever it came back it was refused:
    "already connected".
    """
    self.startKeepaliveTimer()
    self.notifyOnDisconnect(self._stop_keepalive_timer)
    yield self.worker.attached(self)
    if mind.broker.disconnected:
        self.detached(mind)
        raise pb.Error("the worker was lost while it was attached")
    return self


def _lose_connection(self: Any) -> None:
    """Buildbot's asks politely, which by TLS waits for a farewell of the other side: of one that is hung, for ever.

    It does so where a worker comes again and its old connection does not answer. That one was still the worker's then,
    and the new one in nobody's hands. What was not sent yet is thrown away by both.
    """
    self.stopKeepaliveTimer()
    self.mind.broker.transport.abortConnection()


_start_build_of_buildbot = Build.startBuild


@defer.inlineCallbacks
def _start_build(self: Any, workerforbuilder: Any) -> Any:
    """Buildbot leaves a build that nobody ends, and a request that is never done, in two moments of its beginning.

    Where the worker is lost, it asks None for its connection or its quarantine, and logs "a serious error": such a
    build is ended here, to begin again. Where the request is taken back, it notes that and returns: ended as such.
    """
    try:
        yield _start_build_of_buildbot(self, workerforbuilder)
    except Exception:
        log.err(None, f"{self}: cannot begin: it is ended, to begin again")
        if self.finished:
            return
        if self.subs is None:
            self.conn = None  # it is not told of this one's end, and would ask None to be told no more
        if self._preparation_step is not None and self._preparation_step.stepid is not None:
            yield self.master.data.updates.finishStep(self._preparation_step.stepid, EXCEPTION, False)
        yield self.buildFinished(["worker", "lost"], RETRY)
    else:
        if self.stopped and not self.finished and self._preparation_step is None:
            yield self.buildFinished(["cancelled", f"({self.stopped_reason})"], self.results)


def mend() -> None:
    """Safe to repeat."""
    Build.startBuild = _start_build
    logs._async_iter_on_pool = _iter_on_pool
    Worker.attached = _worker_attached
    Connection.attached = _connection_attached
    Connection.loseConnection = _lose_connection
    V2RootResource._write_json_data = staticmethod(_write_json_data)
    BuildRequestsConnectorComponent.set_build_requests_priority = _set_build_requests_priority
    BuildbotSession.updateSession = _update_session
