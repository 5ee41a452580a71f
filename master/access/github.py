"""Signing in with GitHub: members of one organisation only, with the teams that they are in.

Buildbot's own GitHubAuth lets any account of GitHub in, and takes a code from whoever brings one: another page could
sign a browser in as somebody else. Here the answer has to bring back what was given to that very browser.
The token is used for three questions and forgotten; it is written nowhere.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import jwt
from buildbot.www import auth, resource
from twisted.internet import defer, threads
from twisted.python import log

from master.access.web import BY, GITHUB
from workers.errors import Failure

COOKIE = "pymint_signing_in"
PATIENCE_S = 600
SCOPE = "read:org"
# GitHub's pages have 100 teams at most; nobody is in more than a few hundred.
PAGES = 10
ROUTE = re.compile(r"\A/[A-Za-z0-9/_.?&=+%~-]{0,500}\Z")


@dataclass(frozen=True)
class Service:
    """Where GitHub is asked. url: of its pages; secret: read each time, so that a new one needs no restart."""

    url: str
    organisation: str
    client_id: str
    secret: Callable[[], str]

    @property
    def api(self) -> str:
        return "https://api.github.com" if self.url == "https://github.com" else f"{self.url}/api/v3"


@dataclass(frozen=True)
class Member:
    login: str
    name: str
    teams: list[str]


def refused(what: str, found: str, todo: str) -> Failure:
    return Failure("access", what, found=found, todo=todo)


def exchange(service: Service, code: str, redirect_uri: str, client: httpx.Client) -> str:
    """The token for a code. Raises Failure."""
    said = {
        "client_id": service.client_id, "client_secret": service.secret(), "code": code, "redirect_uri": redirect_uri,
    }  # fmt: skip
    answer = _json(
        client.post(f"{service.url}/login/oauth/access_token", data=said, headers={"Accept": "application/json"})
    )
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token:
        # Only the kind of error: what else GitHub said may repeat what it was sent.
        kind = str(answer.get("error", "no token"))[:60] if isinstance(answer, dict) else "no token"
        raise refused(
            "GitHub did not accept the sign-in", kind, "Sign in again; else check github_client_id and secret."
        )
    return token


def member(service: Service, token: str, client: httpx.Client) -> Member:
    """Who a token is of, if an active member of the organisation. Raises Failure."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
    user = _json(client.get(f"{service.api}/user", headers=headers))
    name = user.get("login") if isinstance(user, dict) else None
    if not isinstance(name, str) or not name:
        raise refused("GitHub does not say who signed in", "no login", "Sign in again.")
    place = client.get(f"{service.api}/user/memberships/orgs/{service.organisation}", headers=headers)
    found = _json(place) if place.status_code not in (403, 404) else {}
    if not isinstance(found, dict) or found.get("state") != "active" or not _is(found, service.organisation):
        raise refused(
            f"{name} is no member of {service.organisation}", "no active membership that GitHub tells of",
            "Ask an owner of the organisation for one; it also has to allow this application to read it.",
        )  # fmt: skip
    return Member(name, str(user.get("name") or name), sorted(_teams(service, client, headers)))


def _is(membership: dict[str, Any], organisation: str) -> bool:
    said = membership.get("organization")
    return isinstance(said, dict) and str(said.get("login", "")).lower() == organisation.lower()


def _teams(service: Service, client: httpx.Client, headers: dict[str, str]) -> set[str]:
    """Slugs, of the organisation's own teams only: others have teams of the same name."""
    found: set[str] = set()
    for page in range(1, PAGES + 1):
        query = {"per_page": 100, "page": page}
        teams = _json(client.get(f"{service.api}/user/teams", params=query, headers=headers))
        if not isinstance(teams, list):
            raise refused("GitHub does not tell the teams", "no list", "Sign in again.")
        for team in teams:
            if isinstance(team, dict) and _is(team, service.organisation) and isinstance(team.get("slug"), str):
                found.add(team["slug"])
        if len(teams) < 100:
            break
    return found


def _json(response: httpx.Response) -> Any:
    if not response.is_success:
        raise refused(
            "GitHub did not answer as it should", f"status {response.status_code} for {response.request.url.path}",
            "Sign in again; https://www.githubstatus.com says whether it is up.",
        )  # fmt: skip
    try:
        return response.json()
    except ValueError as error:
        raise refused("GitHub's answer can't be read", type(error).__name__, "Sign in again.") from error


def who(service: Service, code: str, redirect_uri: str) -> Member:
    """The member who brings a code. Blocking. Raises Failure, in whose text is neither code nor token nor secret."""
    try:
        with httpx.Client(timeout=20, follow_redirects=False) as client:
            return member(service, exchange(service, code, redirect_uri, client), client)
    except httpx.HTTPError as error:
        raise refused(
            "GitHub can't be reached", type(error).__name__, "Look at this machine's network and try again."
        ) from None


@dataclass(frozen=True)
class Begun:
    """What a browser keeps while its user is at GitHub. route: where to in the end."""

    state: str
    route: str


def sealed(begun: Begun, key: str, now: float) -> str:
    claims = {"state": begun.state, "route": begun.route, "exp": int(now) + PATIENCE_S, "aud": COOKIE}
    return jwt.encode(claims, key, algorithm="HS256")


def opened(cookie: str, key: str) -> Begun | None:
    """What `sealed` made, if it was this farm's and is not too old."""
    try:
        said = jwt.decode(cookie, key, algorithms=["HS256"], audience=COOKIE)
        return Begun(str(said["state"]), str(said["route"]))
    except (jwt.PyJWTError, KeyError):
        return None


class GitHubLogin(auth.AuthBase):
    """Buildbot's `auth`, with `auth/login` as the address to which GitHub sends people back."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.service = service
        self.home = ""

    def reconfigAuth(self, master: Any, new_config: Any) -> None:
        self.master = master
        self.home = new_config.buildbotURL

    def getConfigDict(self) -> dict[str, Any]:
        return {"name": "GitHub", "oauth2": True, "fa_icon": "fa-github", "autologin": False}

    def getLoginResource(self) -> Any:
        return _Login(self.master, self)


class _Login(auth.LoginResource):
    needsReconfig = False

    def __init__(self, master: Any, login: GitHubLogin) -> None:
        super().__init__(master)
        self.login = login

    @property
    def _key(self) -> str:
        key: str = self.master.www.site.session_secret
        return key

    @defer.inlineCallbacks
    def renderLogin(self, request: Any) -> Any:
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"referrer-policy", b"no-referrer")
        code, state = _said(request, b"code"), _said(request, b"state")
        if not code and not _said(request, b"error"):
            raise resource.Redirect(self._begin(request))
        begun = opened((request.getCookie(COOKIE.encode()) or b"").decode("ascii", "replace"), self._key)
        self._keep(request, "", 0)
        if begun is None or not hmac.compare_digest(begun.state.encode(), state.encode()):
            return self._refuse(request, "This sign-in was not begun by this browser, or more than ten minutes ago.")
        if not code:
            return self._refuse(request, "GitHub did not let you sign in here, or you did not want to.")
        try:
            address = self.login.home + "auth/login"
            found = yield threads.deferToThread(who, self.login.service, code, address)
        except Failure as failure:
            log.msg(f"access: a sign-in was refused: {failure.what}")
            return self._refuse(request, str(failure))
        session = request.getSession()
        session.user_info = {
            "username": found.login, "full_name": found.name, "teams": found.teams, BY: GITHUB,
            "organisation": self.login.service.organisation,
        }  # fmt: skip
        session.updateSession(request)
        raise resource.Redirect(self.login.home + "#" + begun.route)

    def _begin(self, request: Any) -> str:
        route = _said(request, b"redirect")
        begun = Begun(secrets.token_urlsafe(32), route if ROUTE.match(route) else "/")
        self._keep(request, sealed(begun, self._key, time.time()), PATIENCE_S)
        asked = {
            "client_id": self.login.service.client_id, "redirect_uri": self.login.home + "auth/login",
            "scope": SCOPE, "state": begun.state, "allow_signup": "false",
        }  # fmt: skip
        return f"{self.login.service.url}/login/oauth/authorize?{urlencode(asked)}"

    def _keep(self, request: Any, text: str, seconds: int) -> None:
        secure = self.login.home.startswith("https:")
        # Lax: it comes along when GitHub sends the browser back, and with nothing that another page sends by itself.
        request.addCookie(
            COOKIE, text, path="/", max_age=str(seconds), secure=secure, httpOnly=True, sameSite="lax"
        )  # fmt: skip

    def _refuse(self, request: Any, text: str) -> bytes:
        request.setResponseCode(403)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return f"{text}\n\nTry again: {self.login.home}auth/login\n".encode()


def _said(request: Any, name: bytes) -> str:
    values = request.args.get(name, [b""])
    text: str = values[0].decode("utf-8", "replace")[:1000]
    return text
