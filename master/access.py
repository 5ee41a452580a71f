"""Who may do what on the web page, and hashes for the passwords in `[login]`: `python -m master.access NAME`."""

from __future__ import annotations

import base64
import getpass
import hashlib
import hmac
import os
import sys
from collections.abc import Mapping
from typing import Any

from buildbot.plugins import util

OPERATOR = "operator"
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


def web_access(users: Mapping[str, str]) -> dict[str, Any]:
    """`auth` and `authz` of Buildbot's web configuration.

    With users, they alone control anything; everyone who reaches the page may read. Without, the page is on loopback
    (master/settings.py sees to it), and whoever sits at this machine may do everything.
    The rule is one that matches all control: Buildbot allows whatever no rule matches, cancelling among it.
    """
    if not users:
        return {}
    rules = [util.AnyControlEndpointMatcher(role=OPERATOR)]
    roles = [util.RolesFromUsername(roles=[OPERATOR], usernames=list(users))]
    return {"auth": Login(users), "authz": util.Authz(allowRules=rules, roleMatchers=roles)}


if __name__ == "__main__":
    print(f"[login.users]\n{sys.argv[1]} = {hash_of(getpass.getpass())!r}")
