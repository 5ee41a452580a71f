"""How a command says who asks, where the page wants to know: the same way for all commands."""

from __future__ import annotations

import os

import click

from master.cli.context import Farm
from master.cli.rest import Rest
from master.instance import PASSWORD
from workers.errors import Failure

user_option = click.option(
    "--user", envvar="MINT_USER",
    help="Who asks, where the page has a login; MINT_PASSWORD, or a question, is the password.",
)  # fmt: skip


def sign_in(farm: Farm, rest: Rest, user: str | None) -> None:
    """From here on the requests are that user's; nothing without one. Raises Failure for who is not let in."""
    if user is None:
        return
    if farm.settings.access.github_organization is not None:
        raise Failure(
            "access", "this farm has people sign in with GitHub, which takes a browser",
            wanted="a farm whose users have passwords", found="[access] github_organization",
            todo="Use the page; or give this farm passwords instead: docs/access.md.",
        )  # fmt: skip
    password = os.environ.get(PASSWORD) or click.prompt(f"Password of {user}", hide_input=True, err=True)
    rest.login(user, password)
