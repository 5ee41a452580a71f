"""The rules of who may do what: whole, in the documentation, and held against Buildbot's own list of controls."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any

import pytest
from buildbot.data.base import Endpoint
from buildbot.data.connector import DataConnector

from master.access.table import ADMIN, BUILDER, INCLUDED, NOBODY, READER, RELEASER, RULES, with_included
from master.access.web import BY, PASSWORD, Roles
from workers.model import ROOT


class Data(DataConnector):
    master: Any = None

    def __init__(self) -> None:
        super().__init__()
        self._setup()


def controls() -> set[tuple[str, str]]:
    """Every endpoint and action that Buildbot's data API has: methods called `actionX`, and the texts that an
    endpoint's own `control` compares its action with."""
    endpoints = {endpoint for rtype in vars(Data().rtypes).values() for endpoint in rtype.endpoints}
    found = set()
    for endpoint in endpoints:
        for name in dir(endpoint):
            if name.startswith("action"):
                found.add((endpoint.__name__, name.removeprefix("action").lower()))
        if endpoint.control is not Endpoint.control:
            tree = ast.parse(textwrap.dedent(inspect.getsource(endpoint.control)))
            for node in ast.walk(tree):
                if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == "action":
                    for one in ast.walk(node):
                        if isinstance(one, ast.Constant) and isinstance(one.value, str):
                            found.add((endpoint.__name__, one.value))
    return found


def test_every_control_of_buildbot_has_a_rule_and_every_rule_a_control() -> None:
    known = {pair for rule in RULES if rule.controls is not None for pair in rule.controls}
    assert ("BuildEndpoint", "stop") in known
    assert controls() == known


def test_the_last_rule_fits_everything_and_is_for_nobody() -> None:
    assert [rule for rule in RULES if rule.role == NOBODY] == [RULES[-1]]
    assert RULES[-1].controls is None
    assert not RULES[-1].of_releases


def test_the_documentation_shows_the_table() -> None:
    text = (ROOT / "docs" / "access.md").read_text().partition("## The rules")[2]
    rows = re.findall(r"^\| (.+?) \| ([a-z]+) \|$", text, re.MULTILINE)
    assert rows[1:] == [(rule.what, rule.role) for rule in RULES]


def test_roles_bring_others_but_an_admin_does_not_release() -> None:
    assert with_included({ADMIN}) == {ADMIN, BUILDER, READER}
    assert with_included({RELEASER}) == {RELEASER, BUILDER, READER}
    assert with_included({READER}) == {READER}
    assert NOBODY not in {one for role in INCLUDED for one in (role, *INCLUDED[role])}


LISTS = {"reader": ["*"], "builder": ["anna", "@build"], "releaser": ["rosa"], "admin": ["otto"]}


@pytest.mark.parametrize(
    ("user", "roles"),
    [
        ({"username": "anna"}, {"builder", "reader"}),
        ({"username": "mallory"}, {"reader"}),
        ({"username": "mallory", "teams": ["build", "x"]}, {"builder", "reader"}),
        ({"username": "@build"}, {"reader"}),
        ({"username": "rosa"}, {"releaser", "builder", "reader"}),
        ({"anonymous": True}, set()),
        ({"username": ""}, set()),
    ],
)
def test_users_and_teams_have_the_roles_of_the_lists(user: dict[str, Any], roles: set[str]) -> None:
    known = {**user, BY: PASSWORD}
    assert Roles(LISTS, lambda one: one[BY] == PASSWORD).getRolesFromUser(known) == roles
    assert Roles(LISTS, lambda one: False).getRolesFromUser(known) == set(), "who may not sign in any more has none"
