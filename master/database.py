"""The farm's database: where it is, how it is read, and how it is made.

`python -m master.database FILE` makes SQLite's, or brings it to this Buildbot's release; with `--postgres URL`, and
where its password is as [database] has it, PostgreSQL's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import sqlalchemy as sa

from master.secrets.places import secrets_of
from workers.errors import Failure

if TYPE_CHECKING:
    from master.cluster.postgres import Postgres
    from master.home import Home
    from master.settings import Settings

    Where = Path | Postgres

# Whoever reads waits so long for a server that is being restarted; a person or a build waits with it.
PATIENCE_S = 60.0
# A master that said so long ago that it lives may be stopped: it says so every minute.
LIVES_S = 150
# pg_advisory_lock(): any number that nobody else takes.
UPGRADE_LOCK = 7_061_990

# Relative to the master's base directory, `Home.database`. Everything that asks for the database begins here.
DB_URL = "sqlite:///state.sqlite"


def where(home: Home, settings: Settings, patience_s: float = PATIENCE_S) -> Where:
    """SQLite's file below MINT_HOME, or PostgreSQL as [database] names it."""
    chosen = settings.database
    if chosen.url is None:
        return home.database
    from master.cluster.postgres import Postgres

    secret = secrets_of(home.root, settings.secrets).place(chosen.password_file) if chosen.password_file else None
    return Postgres(chosen.url, secret, patience_s)


@contextmanager
def reading(database: Where, topic: str, todo: str = "") -> Iterator[sa.Connection]:
    """A connection that can't write. Raises Failure of that topic when the database can't be read.

    A path is SQLite's.
    """
    if isinstance(database, Path):
        url = f"sqlite:///file:{quote(str(database))}?mode=ro&uri=true"
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": 10})
    else:
        engine = sa.create_engine(database.dialect_url, poolclass=sa.NullPool, creator=database)
        engine = engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        raise unreadable(database, topic, str(getattr(error, "orig", error)), todo) from error
    finally:
        engine.dispose()


def unreadable(database: Where, topic: str, found: str, todo: str = "") -> Failure:
    place = str(database) if isinstance(database, Path) else database.url
    return Failure(topic, "the master's database can't be read", found=found.strip(),
                   todo=f"{todo} It is {place}.".strip())  # fmt: skip


def _upgrade(basedir: Path, url: str, arguments: dict[str, Any]) -> int:
    """1 after a failure, whose traceback is printed."""
    from buildbot.config.master import MasterConfig
    from buildbot.scripts.upgrade_master import upgradeDatabase
    from buildbot.util import in_reactor
    from twisted.internet import defer

    @defer.inlineCallbacks
    def upgrade() -> Any:
        config = MasterConfig()
        config.db.db_url, config.db.engine_kwargs = url, arguments
        yield upgradeDatabase({"basedir": str(basedir), "quiet": True}, config)
        return 0

    return 0 if in_reactor(upgrade)() == 0 else 1


def upgrade_postgres(database: Postgres) -> int:
    """Makes or upgrades the tables, by one master at a time and only where something is to be done: Buildbot marks
    every master as long gone after an upgrade, and others may be at work. Raises Failure when they are.
    """
    from buildbot.db.model import Model

    engine = sa.create_engine(database.dialect_url, poolclass=sa.NullPool, creator=database)
    try:
        # The lock ends with the connection, so with the process.
        with engine.connect() as lock:
            lock.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": UPGRADE_LOCK})
            lock.commit()
            if _release(lock) != _wanted(Model):
                if sa.inspect(lock).has_table("masters"):
                    _require_alone(lock)
                lock.commit()
                if code := _upgrade(Path.cwd(), database.dialect_url, database.engine_arguments()):
                    return code
            _widen(lock)
            lock.commit()
            return 0
    finally:
        engine.dispose()


def _release(connection: sa.Connection) -> str | None:
    """Of the tables, as Buildbot's migrations number them; None for an empty database."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(sa.text("SELECT version_num FROM alembic_version")).one_or_none()
    return None if row is None else str(row[0])


def _wanted(model: Any) -> str:
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory(str(Path(sys.modules[model.__module__].__file__ or "").parent / "migrations"))
               .get_current_head())  # fmt: skip


def _widen(connection: sa.Connection) -> None:
    """Buildbot keeps how long a test took in nanoseconds as INTEGER: with PostgreSQL, not with SQLite, one of more than
    2.1 s is out of range, and the step fails."""
    columns = {one["name"]: one["type"] for one in sa.inspect(connection).get_columns("test_results")}
    if not isinstance(columns["duration_ns"], sa.BigInteger):
        connection.execute(sa.text("ALTER TABLE test_results ALTER COLUMN duration_ns TYPE bigint"))


def _require_alone(connection: sa.Connection) -> None:
    rows = connection.execute(
        sa.text("SELECT name FROM masters WHERE active = 1 AND last_active > :since"),
        {"since": int(time.time()) - LIVES_S},
    )
    if names := [row[0] for row in rows]:
        raise Failure(
            "database", "its tables are of another release of Buildbot, and masters are at work",
            wanted="no master that runs", found=", ".join(names),
            todo=f"Stop them (./mint down), wait {LIVES_S} s if one was killed, then start again.",
        )  # fmt: skip


def main(arguments: list[str]) -> int:
    if arguments[0] != "--postgres":
        path = Path(arguments[0]).absolute()
        return _upgrade(path.parent, f"sqlite:///{path.name}", {})
    from master import settings
    from master.cluster.postgres import Postgres
    from master.home import home_of
    from workers.model import ROOT, load_matrix

    home = home_of(ROOT)
    try:
        said = arguments[2] if len(arguments) > 2 else None
        secret = secrets_of(home.root, settings.load(home, load_matrix()).secrets).place(said) if said else None
        return upgrade_postgres(Postgres(arguments[1], secret, patience_s=15))
    except Failure as failure:
        print(failure, file=sys.stderr)
    except sa.exc.SQLAlchemyError as error:
        print(getattr(error, "orig", error), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
