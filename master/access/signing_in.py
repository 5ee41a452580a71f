"""How people sign in, by settings.toml: passwords there, passwords in a file, or GitHub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from master.access.choice import Access
from master.access.github import GitHubLogin, Service
from master.access.passwords import PasswordFile
from master.access.web import BY, GITHUB, PASSWORD, Login, Users, web_access
from master.secrets.places import Keeping, read
from workers.errors import Failure


@dataclass(frozen=True)
class Fixed:
    """The users of settings.toml. A value, so that master/reconfig sees when one of them is another."""

    users: Mapping[str, str]

    def __call__(self) -> Mapping[str, str]:
        return self.users


def _of_passwords(users: Users) -> Callable[[Mapping[str, Any]], bool]:
    def known(user: Mapping[str, Any]) -> bool:
        try:
            return user.get(BY) == PASSWORD and user["username"] in users()
        except Failure:
            return False  # the file can't be read: nobody is known, until it can

    return known


def access_of(keeping: Keeping, chosen: Access, users: Mapping[str, str]) -> dict[str, Any]:
    """`auth` and `authz` for Buildbot. Raises Failure for a file of passwords or secrets that is wrong."""
    lists = chosen.lists()
    if chosen.github_organization and chosen.github_client_id and chosen.github_client_secret_file:
        organisation = chosen.github_organization
        place = keeping.place(chosen.github_client_secret_file)
        read(place)  # wrong now rather than at the first sign-in
        service = Service(chosen.github_url.rstrip("/"), organisation, chosen.github_client_id, lambda: read(place))
        return web_access(
            GitHubLogin(service),
            lists,
            lambda user: user.get(BY) == GITHUB and user.get("organisation") == organisation,
        )
    if chosen.htpasswd_file:
        passwords = PasswordFile(keeping.root / chosen.htpasswd_file)
        return web_access(Login(passwords.users), lists, _of_passwords(passwords.users))
    if users:
        fixed = Fixed(dict(users))
        return web_access(Login(fixed), lists, _of_passwords(fixed))
    return {}
