"""PostgreSQL in a backup: by its own pg_dump, as of one moment, and back by its own pg_restore, as one transaction."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from master.cluster.postgres import Postgres, password
from workers.errors import Failure

# What a database that a restore has begun to fill is called, until it came to its end.
_MARK = "pymint: restore of "
# Debian keeps the programs of each release apart; any that is as new as the server can read it.
_ELSEWHERE = Path("/usr/lib/postgresql")


def program(name: str) -> str:
    """pg_dump or pg_restore, the newest there is. Raises Failure."""
    releases = sorted(
        (one for one in _ELSEWHERE.glob(f"*/bin/{name}") if one.parts[-3].isdigit()), key=lambda one: int(one.parts[-3])
    )
    found = str(releases[-1]) if releases else shutil.which(name)
    if found is None:
        raise Failure(
            "backup", f"PostgreSQL's own {name} is not installed", wanted=f"{name}, as new as the server or newer",
            todo="apt-get install postgresql-client, on the machine of this command. Nothing was changed.",
        )  # fmt: skip
    return found


@contextlib.contextmanager
def _environment(database: Postgres) -> Iterator[dict[str, str]]:
    """With the password in a file of its own: neither a command line nor an environment has it."""
    kept = {**os.environ, "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C"}
    with tempfile.TemporaryDirectory(prefix="mint-pg-") as place:
        if database.password_file is not None:
            file = Path(place) / "pgpass"
            said = password(database.password_file).replace("\\", "\\\\").replace(":", "\\:")
            file.touch(0o600)
            file.write_text(f"*:*:*:*:{said}\n")
            kept["PGPASSFILE"] = str(file)
            kept.pop("PGPASSWORD", None)  # it would go before the file
        yield kept


def _run(database: Postgres, command: list[str], what: str, todo: str) -> None:
    with _environment(database) as environment:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    if done.returncode:
        raise Failure("backup", what, wanted=database.url, found=done.stderr.strip()[-1500:], todo=todo)


def size_of(database: Postgres) -> int:
    """Bytes that the database takes. Raises Failure."""
    return int(_asked(database, "SELECT pg_database_size(current_database())")[0][0])


def dump(database: Postgres, target: Path) -> None:
    """A dump as of the moment at which it begins, read through once it is written. Raises Failure."""
    todo = "No backup was made; earlier ones are as they were."
    _run(
        database, [program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", "--no-password",
                   f"--file={target}", f"--dbname={database.url}"],
        "the master's database can't be dumped", todo,
    )  # fmt: skip
    # All of its data is unpacked once; nothing is connected to.
    _run(database, [program("pg_restore"), "--file=/dev/null", str(target)], "the dump is not whole", todo)


def fill(database: Postgres, source: Path, name: str) -> None:
    """Restores a dump into an empty database, all of it or nothing. name: of the backup. Raises Failure.

    May be killed and begun again: what it filled it knows by a comment on the database.
    """
    if _tables(database):
        if _mark(database) == _MARK + name:
            return
        raise Failure(
            "backup", "the database is not empty", wanted=f"no table in {database.url}",
            found=f"{_tables(database)} tables",
            todo="A restore never writes over a farm. Make an empty database (docs/cluster.md), and name it:\n"
            "./mint restore … --database postgresql://USER@HOST/NAME",
        )  # fmt: skip
    _asked(database, "COMMENT ON DATABASE {name} IS {mark}", _MARK + name)
    _run(
        database, [program("pg_restore"), "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges",
                   "--no-password", f"--dbname={database.url}", str(source)],
        "the database can't be restored", "It was left empty. Mend that and start the same ./mint restore again: it "
        "goes on.",
    )  # fmt: skip


def settle(database: Postgres) -> None:
    """As `restoring` does for SQLite: whichever masters come up take over what those of the backup had claimed."""
    _asked(database, "UPDATE masters SET last_active = 0")
    _asked(database, "DELETE FROM buildrequest_claims WHERE brid IN (SELECT id FROM buildrequests WHERE complete = 0)")


def finish(database: Postgres) -> None:
    """From here on it is a farm's as any other, over which nothing is restored."""
    _asked(database, "COMMENT ON DATABASE {name} IS {mark}", None)


def _tables(database: Postgres) -> int:
    return int(_asked(database, "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', "
                                "'information_schema')")[0][0])  # fmt: skip


def _mark(database: Postgres) -> str | None:
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    found: str | None = _asked(database, query)[0][0]
    return found


def _asked(database: Postgres, query: str, mark: str | None = None) -> list[Any]:
    """Rows of a query, or none of a statement, in a transaction of its own. Raises Failure."""
    try:
        with contextlib.closing(database()) as connection, connection, connection.cursor() as cursor:
            named = sql.SQL(query).format(name=sql.Identifier(connection.info.dbname), mark=sql.Literal(mark))
            cursor.execute(named)
            return cursor.fetchall() if cursor.description else []
    except psycopg2.Error as error:
        raise Failure(
            "backup", "the master's database does not answer as it should", wanted=database.url,
            found=str(error).strip()[:500], todo="Look at [database], and at what that user may do: docs/cluster.md.",
        ) from error  # fmt: skip
