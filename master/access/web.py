"""The rules and the ways to sign in, as Buildbot takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from buildbot.data.exceptions import InvalidPathError
from buildbot.data.resultspec import ResultSpec
from buildbot.plugins import util
from buildbot.www.auth import UserInfoProviderBase
from buildbot.www.authz.endpointmatchers import EndpointMatcherBase, Match
from twisted.cred.error import UnauthorizedLogin
from twisted.internet import defer, threads

from master.access.choice import EVERYBODY
from master.access.passwords import NOBODYS, matches
from master.access.table import RELEASE, RULES, Rule, with_included

Users = Callable[[], Mapping[str, str]]
# What a session remembers of how its user signed in: a session of another way, or of before there was one, has no role.
BY, PASSWORD, GITHUB = "signed_in_by", "password", "github"


class _SignedIn(UserInfoProviderBase):
    name = PASSWORD

    def getUserInfo(self, username: str) -> Any:
        return defer.succeed({BY: PASSWORD})


class Login(util.CustomAuth):
    """HTTP Basic on /auth/login, then a session cookie. users: names and hashes, asked each time."""

    def __init__(self, users: Users, **kwargs: Any) -> None:
        super().__init__(userInfoProvider=_SignedIn(), **kwargs)
        self.users = users

    def check_credentials(self, username: bytes | str, password: bytes | str) -> bool:
        """Takes about 100 ms of a processor, and for an unknown name as long as for a wrong password."""
        name = username.decode("utf-8", "replace") if isinstance(username, bytes) else username
        word = password.decode("utf-8", "replace") if isinstance(password, bytes) else password
        known = self.users()
        # Hashes of a file are bcrypt's, most often, and take another time than ours.
        instead = next(iter(known.values()), NOBODYS)
        return matches(word, known.get(name, instead)) and name in known

    @defer.inlineCallbacks
    def requestAvatarId(self, cred: Any) -> Any:
        """In a thread: the master does something else meanwhile."""
        if not (yield threads.deferToThread(self.check_credentials, cred.username, cred.password)):
            raise UnauthorizedLogin
        return cred.username


class Roles:
    """Buildbot's role matcher. known: whether a session's user may still sign in, and how, asked at each request."""

    def __init__(self, lists: Mapping[str, Sequence[str]], known: Callable[[Mapping[str, Any]], bool]) -> None:
        self.lists = lists
        self.known = known

    def setAuthz(self, authz: Any) -> None:
        self.authz = authz

    def getRolesFromUser(self, user: Mapping[str, Any]) -> set[str]:
        name = user.get("username")
        if not name or not self.known(user):
            return set()
        # No name of a user is taken for a team's.
        called = {EVERYBODY, name.lstrip("@"), *(f"@{team}" for team in user.get("teams", ()))}
        return with_included({role for role, names in self.lists.items() if called & set(names)})


class ByRule(EndpointMatcherBase):
    """Matches what a rule of the table is about."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(role=rule.role)
        self.rule = rule

    async def _match(self, path: Any, action: str, options: Mapping[str, Any]) -> Match | None:
        try:
            endpoint, named = self.master.data.getEndpoint(tuple(path))
        except InvalidPathError:
            return Match(self.master) if self.rule.controls is None and not self.rule.of_releases else None
        if self.rule.controls is not None and (type(endpoint).__name__, action) not in self.rule.controls:
            return None
        if self.rule.forms is not None and named.get("schedulername") not in self.rule.forms:
            return None
        if self.rule.of_releases and not await self._of_releases(endpoint, named, options):
            return None
        return Match(self.master)

    async def _of_releases(self, endpoint: Any, named: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
        """Whether it starts, repeats, ends or orders builds of `release`, by any path and any form.

        A build or a request is looked up for its builder. A form is looked at for the builder that it is told to force:
        Buildbot's own forms take the id of any builder.
        """
        if named.get("schedulername") == RELEASE or RELEASE in _listed(options.get("builderNames")):
            return True
        known = await self.master.data.get(("builders",))
        builders = {one["builderid"] for one in known if one["name"] == RELEASE}
        asked = [options.get("builderid"), named.get("builderid")]
        if "buildid" in named or "build_number" in named or "buildrequestid" in named:
            found = await endpoint.get(ResultSpec(), named)
            asked.append(found["builderid"] if isinstance(found, dict) and "builderid" in found else None)
        return any(_number(one) in builders for one in asked)

    def match(self, ep: Any, action: str = "get", options: Mapping[str, Any] | None = None) -> Any:
        # Reading is not theirs to decide: master/access/reading.py does, for what is no endpoint too.
        if str(action).lower() == "get":
            return defer.succeed(None)
        return defer.Deferred.fromCoroutine(self._match(ep, action, options or {}))


def _number(said: Any) -> int | None:
    """An id as Buildbot reads it from a path: ` 7` and `07` are builder 7 as well."""
    try:
        return int(str(said))
    except ValueError:
        return None


def _listed(names: Any) -> list[Any]:
    return names if isinstance(names, list) else [names]


def web_access(
    auth: Any | None, lists: Mapping[str, Sequence[str]], known: Callable[[Mapping[str, Any]], bool]
) -> dict[str, Any]:
    """`auth` and `authz` of Buildbot's web configuration; nothing where nobody signs in.

    Without a way to sign in the page is on loopback (master/settings sees to it), and whoever sits at this machine may
    do everything. With one, the table decides: its last rule matches all control, since Buildbot allows what no rule
    matches.
    """
    if auth is None:
        return {}
    rules = [ByRule(rule) for rule in RULES]
    return {"auth": auth, "authz": util.Authz(allowRules=rules, roleMatchers=[Roles(lists, known)])}
