"""Who may read, where that takes a login: every path but a few that are named here, whatever answers it."""

from __future__ import annotations

from typing import Any

from twisted.web import resource

# Signing in; what other programs call, each with a check of its own; and what watches whether the master lives.
OPEN = frozenset({"auth", "change_hook", "health"})


def is_open(path: bytes) -> bool:
    """Whether a path's first part is for everybody. `avatar`, `config`, `ws` and Buildbot's scripts are not."""
    return path.decode("utf-8", "replace") in OPEN


class SignIn(resource.Resource):
    """Instead of what was asked for. Browsers at the page itself are sent to sign in; the part of the address behind
    its `#` comes along, so a link to a build leads there in the end. What is read by programs is told why."""

    isLeaf = True

    def __init__(self, at_root: bool) -> None:
        super().__init__()
        self.at_root = at_root

    def render(self, request: Any) -> bytes:
        request.setHeader(b"cache-control", b"no-store")
        if self.at_root and request.method in (b"GET", b"HEAD"):
            request.redirect(b"auth/login")
            return b""
        request.setResponseCode(401)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"Sign in first, at /auth/login of this farm: here only who has a role reads.\n"


class NoRole(resource.Resource):
    """For who signed in and may not even read."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        request.setResponseCode(403)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        return b"You are signed in, but [access] of this farm's settings gives you no role. /auth/logout signs out.\n"


class Reading:
    """Asked by the door for each request. master: to know who is signed in, and what roles that gives."""

    def __init__(self, master: Any) -> None:
        self.master = master

    def refusal(self, path: bytes, request: Any) -> resource.Resource | None:
        """What is answered instead, None to whoever may read."""
        if is_open(path):
            return None
        user = self.master.www.getUserInfos(request)
        if self.master.www.authz.getRolesFromUser(user):
            return None
        at_root = path == b"" and not request.postpath
        return SignIn(at_root) if user.get("anonymous") else NoRole()
