"""What Buildbot is told of database, router and the other masters."""

from __future__ import annotations

from typing import Any

from buildbot.data import masters as buildbot_masters
from buildbot.util.service import ClusteredBuildbotService

from master.cluster import postgres
from master.cluster.choice import REALM
from master.cluster.rounds import Rounds
from master.database import DB_URL, where
from master.home import Home
from master.settings import Settings

# How soon another master takes over the poller and the schedulers of one that is gone. Buildbot's own: five minutes.
TAKEOVER_S = 20


def database(home: Home, chosen: Settings) -> dict[str, Any]:
    """`db` of Buildbot's configuration."""
    place = where(home, chosen, postgres.PATIENCE_S)
    if not isinstance(place, postgres.Postgres):
        return {"db_url": DB_URL}
    postgres.install()
    return {"db_url": place.dialect_url, "engine_kwargs": place.engine_arguments()}


def several(home: Home, chosen: Settings) -> dict[str, Any]:
    """`mq` and `multiMaster`, where this is one of several masters."""
    if home.name is None:
        return {}
    buildbot_masters.EXPIRE_MINUTES = chosen.cluster.expire_minutes
    ClusteredBuildbotService.POLL_INTERVAL_SEC = TAKEOVER_S
    return {
        "multiMaster": True,
        "mq": {"type": "wamp", "router_url": chosen.cluster.router, "realm": REALM, "wamp_debug_level": "error"},
    }


def services(chosen: Settings) -> list[Any]:
    """Only with PostgreSQL: with SQLite nothing is cut off, and nobody else is there."""
    return [Rounds(name="rounds")] if chosen.database.url is not None else []


def internal_worker(home: Home, name: str) -> str:
    """The name of a worker inside of a master: each has its own. No worker of settings.toml can be called so."""
    return name if home.name is None else f"__{name}-{home.name}"
