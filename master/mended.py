"""What pymint mends in Buildbot 4.3. Each with the reason, and a test that fails once it is not needed any more."""

from __future__ import annotations

from typing import Any

from buildbot.db.buildrequests import BuildRequestsConnectorComponent
from buildbot.www import auth
from buildbot.www.service import BuildbotSession


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


def mend() -> None:
    """Safe to repeat."""
    BuildRequestsConnectorComponent.set_build_requests_priority = _set_build_requests_priority
    BuildbotSession.updateSession = _update_session
