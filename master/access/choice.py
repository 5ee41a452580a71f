"""`[access]` of settings.toml: who may read, build, release and do the rest, and how people sign in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from master.access.passwords import is_hash
from master.complaint import URL, Complaint

EVERYBODY = "*"
TEAM = re.compile(r"\A@[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?\Z")
ORGANISATION = re.compile(r"\A[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})\Z")


@dataclass(frozen=True)
class Access:
    """read: everyone who reaches the page, or who signed in and has a role. readers, builders, releasers, admins: user
    names, `@team` for a team of the GitHub organisation, `*` for all who can sign in, which is what is left out.

    htpasswd_file: NAME:HASH a line, relative to MINT_HOME. github_*: sign in with GitHub instead of a password; only
    members of the organisation. github_client_secret_file: its owner's only, relative to MINT_HOME. github_url: another
    server than github.com; its API is then below /api/v3.
    """

    read: Literal["everyone", "login"] = "everyone"
    readers: list[str] | None = None
    builders: list[str] | None = None
    releasers: list[str] | None = None
    admins: list[str] | None = None
    htpasswd_file: str | None = None
    github_organization: str | None = None
    github_client_id: str | None = None
    github_client_secret_file: str | None = None
    github_url: str = "https://github.com"

    def lists(self) -> dict[str, Sequence[str]]:
        """The names that have each role."""
        everybody = [EVERYBODY]
        return {
            "reader": everybody if self.readers is None else self.readers,
            "builder": everybody if self.builders is None else self.builders,
            "releaser": everybody if self.releasers is None else self.releasers,
            "admin": everybody if self.admins is None else self.admins,
        }


def signs_in(chosen: Access, users: Mapping[str, str]) -> bool:
    """Whether there is a way to sign in; without one, whoever reaches the page may do everything."""
    return bool(users or chosen.htpasswd_file or chosen.github_organization)


def complaint(chosen: Access, users: Mapping[str, str]) -> Complaint | None:
    """What types can't say of `[access]`, or None. users: of [login]."""
    ways = [
        name
        for name, there in (
            ("[login.users]", users),
            ("htpasswd_file", chosen.htpasswd_file),
            ("github_organization", chosen.github_organization),
        )
        if there
    ]
    if len(ways) > 1:
        key = "github_organization" if chosen.github_organization else "htpasswd_file"
        return Complaint(key, "there are two ways to sign in", "one of them", " and ".join(ways))
    if found := _of_github(chosen):
        return found
    named = {key: value for key in ROLES if (value := getattr(chosen, key)) is not None}
    if not ways:
        if chosen.read == "login":
            return Complaint(
                "read", "nobody could sign in", "a way to: [login.users], htpasswd_file or github_*", "none"
            )
        for key in named:
            return Complaint(key, "nobody could sign in", "a way to: [login.users], htpasswd_file or github_*", "none")
    for key, names in named.items():
        if found := _of_names(key, names, chosen, users):
            return found
    return None


ROLES = ("readers", "builders", "releasers", "admins")


def _of_github(chosen: Access) -> Complaint | None:
    together = ("github_organization", "github_client_id", "github_client_secret_file")
    given = [key for key in together if getattr(chosen, key)]
    if given and len(given) < len(together):
        missing = next(key for key in together if key not in given)
        return Complaint(missing, "signing in with GitHub needs it", f"{missing} = ...", "nothing")
    if chosen.github_organization and not ORGANISATION.match(chosen.github_organization):
        return Complaint(
            "github_organization", "this is no organisation", "its login", repr(chosen.github_organization)
        )
    if not URL.match(chosen.github_url):
        return Complaint("github_url", "this is no address", "http(s)://host", repr(chosen.github_url))
    return None


def _of_names(key: str, names: Sequence[str], chosen: Access, users: Mapping[str, str]) -> Complaint | None:
    for name in names:
        if name.startswith("@"):
            if not chosen.github_organization:
                return Complaint(key, "there are no teams without GitHub", "names of users", repr(name))
            if not TEAM.match(name):
                return Complaint(key, "this is no team", "@ and the team's slug", repr(name))
        elif name != EVERYBODY and users and name not in users:
            return Complaint(key, f"there is no user {name!r}", "names of [login.users]", repr(name))
    return None


def login_complaint(users: Mapping[str, str]) -> Complaint | None:
    """What is wrong with `[login.users]`, or None."""
    for name, said in users.items():
        if not is_hash(said):
            wanted = f"what `python -m master.access {name}` prints"
            return Complaint(name, "this is no hash of a password", wanted, "something else")
    return None
