"""PostgreSQL as the farm's database: how it is reached, and what a master does while it is away.

Buildbot repeats what a database broke off, but knows only how MySQL and SQLite say so, and fails at once when no
connection is to be had. Here a connection is waited for, and what PostgreSQL broke off is repeated, so that a restart
of the server costs a build some seconds. A transaction that was cut while it was committed is done once or twice, which
nobody knows. What that can leave, `master/cluster/rounds.py` puts right.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildbot.db import enginestrategy
from sqlalchemy import event, exc
from twisted.python import log

from master.secrets.places import Place
from workers.errors import Failure

# A running master waits so long for its database. Then what it was about fails, and the build with it.
PATIENCE_S = 3600.0
PAUSE_S = 0.5
# SQLSTATE, by its first two digits: connection exceptions, the transaction was rolled back (deadlock, serialization),
# too many connections, the server is shutting down, was killed or is starting up.
PASSING = ("08", "40", "53", "57")
DIALECT = "postgresql+psycopg2"
# A server that is gone without a word is noticed within a minute.
LIVELY = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "pymint",
}


@dataclass(frozen=True)
class Postgres:
    """Where the database is. url: without a password. Called, it connects: what SQLAlchemy takes as its `creator`.

    A value, so that a reconfiguration can compare it. patience_s: how long a connection is waited for.
    """

    url: str
    password_file: Place | None = None
    patience_s: float = PATIENCE_S

    def __call__(self) -> Any:
        """A connection of psycopg2. Raises its OperationalError after `patience_s`, and Failure for the password."""
        import psycopg2

        said = {} if self.password_file is None else {"password": password(self.password_file)}
        deadline, waiting = time.monotonic() + self.patience_s, False
        while True:
            try:
                return psycopg2.connect(self.url, **said, **LIVELY)
            except psycopg2.OperationalError as error:
                if time.monotonic() > deadline:
                    raise
                if not waiting:
                    log.msg(f"database: no connection, waiting for one: {str(error).strip()}")
                    waiting = True
            time.sleep(PAUSE_S)

    @property
    def dialect_url(self) -> str:
        """What SQLAlchemy is told: only the dialect counts, `creator` connects."""
        return self.url.replace("postgresql:", f"{DIALECT}:", 1)

    def engine_arguments(self) -> dict[str, Any]:
        return {"creator": self, "pool_pre_ping": True}


def password(path: Place) -> str:
    """The password at a place. Raises Failure when it can't be read, or others can read its file."""
    if not isinstance(path, Path):
        return path.read()
    try:
        if path.stat().st_mode & 0o077:
            raise Failure(
                "database", "the password can be read by others", wanted="a file for its owner only",
                found=f"{oct(path.stat().st_mode & 0o777)}: {path}", todo=f"chmod 600 {path}",
            )  # fmt: skip
        return path.read_text().strip()
    except OSError as error:
        raise Failure(
            "database", "the password can't be read", wanted=str(path), found=str(error),
            todo="Write it there, or leave [database] password_file out of settings.toml.",
        ) from error  # fmt: skip


def passing(error: Any) -> bool:
    """Whether the same statement can go well another time: PostgreSQL was away, or had this transaction give way."""
    if getattr(error, "connection_invalidated", False):
        return True
    code = getattr(getattr(error, "orig", None), "pgcode", None)
    return code is not None and code[:2] in PASSING


class Strategy(enginestrategy.Strategy):
    """What Buildbot has for each kind of database."""

    def set_up(self, u: Any, engine: Any) -> None:
        event.listen(engine, "handle_error", as_operational)

    def should_retry(self, operational_error: Any) -> bool:
        return passing(operational_error)


def as_operational(context: Any) -> Exception | None:
    """A cut connection is told in several ways by its client; Buildbot repeats what failed with one of them only."""
    error = context.sqlalchemy_exception
    if not context.is_disconnect or isinstance(error, exc.OperationalError):
        return None
    return exc.OperationalError(
        context.statement, context.parameters, context.original_exception, connection_invalidated=True
    )


def install() -> None:
    """Makes Buildbot take `Strategy` for PostgreSQL. Before the master sets its database up; safely repeated."""
    plain = enginestrategy.get_drivers_strategy
    if getattr(plain, "knows_postgres", False):
        return

    def chosen(drivername: str) -> enginestrategy.Strategy:
        return Strategy() if drivername.startswith("postgresql") else plain(drivername)

    chosen.knows_postgres = True  # type: ignore[attr-defined]
    enginestrategy.get_drivers_strategy = chosen
