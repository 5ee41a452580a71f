"""Who may do what on the web page, and hashes for the passwords in `[login]`: `python -m master.access NAME`."""

from __future__ import annotations

import base64
import getpass
import hashlib
import hmac
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from buildbot.data.exceptions import InvalidPathError
from buildbot.data.resultspec import ResultSpec
from buildbot.plugins import util
from buildbot.www.authz.endpointmatchers import EndpointMatcherBase, Match
from twisted.internet import defer

# The builder, its form and its lock.
RELEASE = "release"
OPERATOR, RELEASER = "operator", "releaser"
# RFC 7914 and current guidance for interactive logins: 32 MiB, about 100 ms.
_SCRYPT: dict[str, int] = {"n": 2**15, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}


def hash_of(password: str, salt: bytes | None = None) -> str:
    """`scrypt:<salt>:<hash>`, both base64."""
    salt = os.urandom(16) if salt is None else salt
    digest = hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)
    return ":".join(["scrypt", base64.b64encode(salt).decode(), base64.b64encode(digest).decode()])


def matches(password: str, wanted: str) -> bool:
    """Whether a password is the one that was hashed. False for what is no hash."""
    try:
        kind, salt, _ = wanted.split(":")
        found = hash_of(password, base64.b64decode(salt, validate=True))
    except ValueError:
        return False
    return kind == "scrypt" and hmac.compare_digest(found, wanted)


class Login(util.CustomAuth):
    """HTTP Basic on /auth/login, then a session cookie; names and hashes from settings.toml."""

    def __init__(self, users: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.users = dict(users)

    def check_credentials(self, username: bytes | str, password: bytes | str) -> bool:
        name = username.decode() if isinstance(username, bytes) else username
        word = password.decode() if isinstance(password, bytes) else password
        # An unknown name takes as long as a wrong password.
        return matches(word, self.users.get(name, hash_of("", b"0" * 16))) and name in self.users


class ControlsReleases(EndpointMatcherBase):
    """Matches whatever starts, repeats, ends or orders builds of `release`, by any path and any form.

    A build or a request is looked up for its builder. A form is looked at for the builder that it is told to force:
    Buildbot's own forms take the id of any builder.
    """

    async def _match(self, path: Any, action: str, options: Mapping[str, Any]) -> Match | None:
        try:
            endpoint, named = self.master.data.getEndpoint(tuple(path))
        except InvalidPathError:
            return None
        if named.get("schedulername") == RELEASE or RELEASE in _listed(options.get("builderNames")):
            return Match(self.master)
        known = await self.master.data.get(("builders",))
        builders = {str(one["builderid"]) for one in known if one["name"] == RELEASE}
        asked = [options.get("builderid"), named.get("builderid")]
        if "buildid" in named or "build_number" in named or "buildrequestid" in named:
            found = await endpoint.get(ResultSpec(), named)
            asked.append(found["builderid"] if isinstance(found, dict) and "builderid" in found else None)
        return Match(self.master) if any(str(one) in builders for one in asked if one is not None) else None

    def match(self, ep: Any, action: str = "get", options: Mapping[str, Any] | None = None) -> Any:
        if str(action).lower() == "get":
            return defer.succeed(None)
        return defer.Deferred.fromCoroutine(self._match(ep, action, options or {}))


def _listed(names: Any) -> list[Any]:
    return names if isinstance(names, list) else [names]


def web_access(users: Mapping[str, str], releasers: Sequence[str] | None = None) -> dict[str, Any]:
    """`auth` and `authz` of Buildbot's web configuration. releasers: those of the users who may release, or all.

    With users, they alone control anything; everyone who reaches the page may read. Without, the page is on loopback
    (master/settings sees to it), and whoever sits at this machine may do everything.
    The last rule matches all control: Buildbot allows whatever no rule matches, cancelling among it.
    """
    if not users:
        return {}
    rules = [ControlsReleases(role=RELEASER), util.AnyControlEndpointMatcher(role=OPERATOR)]
    may_release = list(users) if releasers is None else list(releasers)
    roles = [
        util.RolesFromUsername(roles=[OPERATOR], usernames=list(users)),
        util.RolesFromUsername(roles=[RELEASER], usernames=may_release),
    ]
    return {"auth": Login(users), "authz": util.Authz(allowRules=rules, roleMatchers=roles)}


if __name__ == "__main__":
    print(f"[login.users]\n{sys.argv[1]} = {hash_of(getpass.getpass())!r}")
