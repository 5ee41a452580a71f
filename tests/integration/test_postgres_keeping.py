"""PostgreSQL backed up, restored into an empty database, and made smaller: a real server, Buildbot's own tables."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from buildbot.db.model import Model

from master.backup import postgres
from master.backup.making import make
from master.backup.model import Backups
from master.backup.restoring import restore
from master.cluster.postgres import Postgres
from master.home import Home
from master.retention import housekeeping, rows
from master.retention.deciding import Held
from master.settings import load
from master.store import Store
from tests.integration.postgres_server import NEEDED, PASSWORD, Server, server
from tests.unit.backup_samples import Sample, sample
from tests.unit.gate_samples import commit_of
from tests.unit.test_retention import EVERYTHING, fill
from workers.errors import Failure
from workers.model import ROOT, load_matrix

__all__ = ["server"]

pytestmark = NEEDED
EVER = float("inf")
PASSPHRASE = b"correct horse battery"


@pytest.fixture(scope="module")
def farm(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A farm that is not up: two recorded builds, and 250 whose archives are gone, in PostgreSQL."""
    one = sample(tmp_path_factory.mktemp("farm"))
    one.build(b"second")
    fill(one, 250)
    with contextlib.closing(sa.create_engine(f"sqlite:///{one.home.database}").connect()) as source:
        found = {table: source.execute(sa.select(table)).mappings().all() for table in tables()}
    one.home.database.unlink()
    one.home.settings_file.write_text(
        f'[database]\nurl = "{server.url}"\npassword_file = "secrets/database"\n[web]\nport = 1\n'
    )
    secret(one.home)
    done = subprocess.run(
        [sys.executable, "-m", "master.database", "--postgres", server.url, "secrets/database"], cwd=ROOT, text=True,
        env={**os.environ, "MINT_HOME": str(one.home.root)}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    engine = sa.create_engine(database(one.home).dialect_url, creator=database(one.home), poolclass=sa.NullPool)
    with engine.begin() as target:
        # As rows come, whatever refers to what.
        target.execute(sa.text("SET session_replication_role = replica"))
        for table, rows_of in found.items():
            if rows_of:
                target.execute(sa.insert(table), [_typed(dict(row)) for row in rows_of])
    return one


def tables() -> list[sa.Table]:
    return list(Model.metadata.tables.values())


def _typed(row: dict[str, object]) -> dict[str, object]:
    """SQLite keeps what it is given; a log's content is bytes."""
    binary = ("content", "value") if "compressed" in row or ("source" in row and "length" in row) else ()
    return {name: value.encode() if name in binary and isinstance(value, str) else value for name, value in row.items()}


def secret(home: Home) -> Path:
    path = home.secrets / "database"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(PASSWORD)
    path.chmod(0o600)
    return path


def database(home: Home, name: str = "pymint") -> Postgres:
    url = load(home, load_matrix()).database.url or ""
    return Postgres(url.rpartition("/")[0] + f"/{name}", home.secrets / "database", patience_s=5)


def empty(server: Server, name: str) -> str:
    with contextlib.closing(server.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    return server.url.rpartition("/")[0] + f"/{name}"


def asked(server: Server, query: str, name: str = "pymint") -> list[tuple[object, ...]]:
    with contextlib.closing(server.connect(name)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def contents(server: Server, name: str = "pymint") -> dict[str, object]:
    """Of each table, its rows as one digest."""
    names = [row[0] for row in asked(server, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name)]
    query = "SELECT count(*), md5(coalesce(string_agg(one::text, '|' ORDER BY one::text), '')) FROM {} one"
    return {str(one): asked(server, query.format(one), name)[0] for one in names}


def backed_up(farm: Sample) -> Backups:
    backups = Backups(farm.backups.directory)
    if not backups.names():
        made = make(farm.home, farm.store.root, backups, lambda line: None, passphrase=PASSPHRASE,
                    database=database(farm.home))  # fmt: skip
        assert made.damaged == []
    return backups


def test_a_backup_comes_back_in_an_empty_database_row_for_row(farm: Sample, server: Server, tmp_path: Path) -> None:
    backups = backed_up(farm)
    assert backups.read()[1].database == "postgres"
    other = empty(server, "other")
    home = Home(tmp_path / "elsewhere", ROOT)
    with pytest.raises(Failure, match="the password can't be read"):
        restore(home, backups, lambda line: None, url=other)
    assert home.restoring.exists(), "no farm is started from this"
    # It is in the backup, for who has the passphrase; the same command goes on.
    restore(home, backups, lambda line: None, url=other, passphrase=PASSPHRASE)
    assert not home.restoring.exists()
    before, after = contents(server), contents(server, "other")
    assert {name for name in before if after[name] != before[name]} <= {"masters", "buildrequest_claims"}
    assert before.keys() == after.keys()
    assert asked(server, "SELECT DISTINCT last_active FROM masters", "other") == [(0,)]
    assert asked(server, "SELECT count(*) FROM builds", "other") == [(252,)]
    assert load(home, load_matrix()).database.url == other, "it never meets the database that the farm had"
    assert len(list(Store(home.root / "store").records())) == 2
    again = Home(tmp_path / "third", ROOT)
    with pytest.raises(Failure, match="the database is not empty"):
        restore(again, backups, lambda line: None, url=other, passphrase=PASSPHRASE)
    assert contents(server, "other") == after


def test_a_restore_that_was_killed_after_the_database_goes_on(farm: Sample, server: Server, tmp_path: Path) -> None:
    backups, url, home = backed_up(farm), empty(server, "killed"), Home(tmp_path / "home", ROOT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "settle", lambda database: sys.exit("killed"))
        with pytest.raises(SystemExit):
            restore(home, backups, lambda line: None, url=url, passphrase=PASSPHRASE)
    restore(home, backups, lambda line: None, url=url, passphrase=PASSPHRASE)
    assert asked(server, "SELECT count(*) FROM builds", "killed") == [(252,)]
    mark = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'killed'"
    assert asked(server, mark) == [(None,)]


def test_a_dump_that_is_damaged_or_not_made_says_why_and_no_password(
    farm: Sample, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(Failure, match="can't be dumped") as told:
        postgres.dump(database(farm.home, "nowhere"), tmp_path / "dump")
    assert "nowhere" in str(told.value)
    assert PASSWORD not in str(told.value)
    backups = backed_up(farm)
    (dump,) = [one for one in backups.read()[1].files if one.path == "database.pgdump"]
    path = backups.path_of(dump.sha256)
    kept = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(kept[:-20] + b"x" * 20)
    try:
        with pytest.raises(Failure, match="damaged in the backup"):
            restore(Home(tmp_path / "home", ROOT), backups, lambda line: None, url=empty(server, "damaged"),
                    passphrase=PASSPHRASE)  # fmt: skip
    finally:
        path.write_bytes(kept)
    assert contents(server, "damaged") == {}


def test_housekeeping_drops_what_is_old_and_keeps_what_is_held(farm: Sample, server: Server) -> None:
    place = database(farm.home)
    held = Held(frozenset({commit_of(105)}))
    shown = rows.drop(place, held, rows_before=EVER, logs_before=EVER, deadline=EVER, really=False)
    assert asked(server, "SELECT count(*) FROM builds") == [(252,)], "only shown"
    said: list[str] = []
    chosen = load(farm.home, load_matrix())
    assert housekeeping.drop(farm.home, chosen, said.append, EVERYTHING, really=True)
    assert "database: rows of 250 builds, logs of 1 build dropped" in said, said
    left = asked(server, "SELECT count(*) FROM builds")
    assert left == [(2,)], "one that has an archive, and the newest to count on from"
    assert shown.builds == 250, "the released one and the newest stay"
    assert asked(server, "SELECT count(*) FROM logs WHERE type <> 'd'") == [(0,)]
    assert asked(server, "SELECT count(*) FROM logchunks") == [(0,)]
    for table in ("buildsets", "buildrequests", "buildset_sourcestamps"):
        assert asked(server, f"SELECT count(*) FROM {table}") == left
    assert rows.drop(place, held, rows_before=EVER, logs_before=EVER, deadline=EVER, really=True).finished
