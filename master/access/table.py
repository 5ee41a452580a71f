"""The rules of who may do what, as data. The first that fits decides, and the last one fits everything: nobody may.

docs/access.md shows this table; tests hold it against every control that Buildbot has, and try each through REST.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# The builder, its form and its lock.
RELEASE = "release"
Role = Literal["reader", "builder", "releaser", "admin"]
READER, BUILDER, RELEASER, ADMIN = "reader", "builder", "releaser", "admin"
NOBODY = "nobody"  # a role that no one is ever given
# Forms of builders, by name; those that are not listed are an admin's.
BUILDING_FORMS = frozenset({"force-cell", "force-farm"})
# What a role brings besides itself. An admin does not release: whoever may should be named as one.
INCLUDED: dict[str, tuple[str, ...]] = {
    READER: (),
    BUILDER: (READER,),
    RELEASER: (BUILDER, READER),
    ADMIN: (BUILDER, READER),
}


@dataclass(frozen=True)
class Rule:
    """what: in words. role: who may. controls: pairs of an endpoint of Buildbot's data API and an action; None: all.

    of_releases: only what concerns the builder `release`, and that by any path. forms: only these.
    """

    what: str
    role: str
    controls: frozenset[tuple[str, str]] | None = None
    of_releases: bool = False
    forms: frozenset[str] | None = None


def _of(endpoint: str, *actions: str) -> frozenset[tuple[str, str]]:
    return frozenset((endpoint, action) for action in actions)


RULES: tuple[Rule, ...] = (
    Rule("start, repeat, stop, take back or reorder a release, by any form and any path", RELEASER, of_releases=True),
    Rule("force a cell or a choice of cells", BUILDER, _of("ForceSchedulerEndpoint", "force"), forms=BUILDING_FORMS),
    Rule("send any other form", ADMIN, _of("ForceSchedulerEndpoint", "force")),
    Rule("stop or repeat a build", BUILDER, _of("BuildEndpoint", "stop", "rebuild")),
    Rule("take a request back", BUILDER, _of("BuildRequestEndpoint", "cancel")),
    Rule("reorder what waits", ADMIN, _of("BuildRequestEndpoint", "set_priority")),
    Rule("pause, resume, drain or end a worker", ADMIN, _of("WorkerEndpoint", "pause", "unpause", "stop", "kill")),
    Rule("switch a scheduler on or off", ADMIN, _of("SchedulerEndpoint", "enable")),
    Rule("anything else that changes something", NOBODY),
)


def with_included(roles: set[str]) -> set[str]:
    """The roles, and those that they bring."""
    return roles | {one for role in roles for one in INCLUDED[role]}
