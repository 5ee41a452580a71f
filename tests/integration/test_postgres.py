"""A farm whose database is a real PostgreSQL, which is killed while a build runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from master import instance, settings
from master.backup.model import Backups
from master.cluster.postgres import Postgres
from master.home import Home
from master.retention import rows
from master.retention.deciding import Held
from tests.integration import postgres_server
from tests.integration.farm import TARGET, Farm, cell_name, commit, make_repository, until
from tests.integration.postgres_server import PASSWORD, Server
from tests.integration.test_backup import mint
from workers.errors import Failure
from workers.model import ROOT, load_matrix

BINARIES = postgres_server.programs()
pytestmark = pytest.mark.skipif(BINARIES is None, reason="PostgreSQL is not installed: apt-get install postgresql")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    assert BINARIES is not None
    with postgres_server.running(BINARIES) as one:
        yield one


@pytest.fixture(scope="module")
def farm(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    one = Farm(
        tmp_path_factory.mktemp("farm"),
        more_settings=f'[[workers]]\nname = "local"\ntargets = ["{TARGET}"]\n[release]\ncells = ["{cell_name()}"]\n'
        "allow_unvalidated = true\n"
        f'[database]\nurl = "{server.url}"\npassword_file = "secrets/database"\n',
    )
    one.first = make_repository(one.repository)
    secret(one, PASSWORD)
    one.http.timeout = 300
    try:
        yield one.up()
    finally:
        one.close()


def secret(farm: Farm, text: str) -> Path:
    path = farm.home.secrets / "database"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_database_that_is_killed_and_started_again_costs_no_build(farm: Farm, server: Server, tmp_path: Path) -> None:
    go = tmp_path / "go"
    request = farm.force(revision=commit(farm.repository, {"hold": {"cpython": str(go)}}))

    def at_work() -> bool:
        return any(
            step["name"] == "cpython" and step["started_at"] and not step["complete"]
            for build in farm.builds(request) if not build["complete"]
            for step in farm.steps(build).values()
        )  # fmt: skip

    until("the cpython stage runs", at_work)
    server.kill()
    go.touch()  # the stage ends, and the master has to write that down
    until("the master waits for its database", lambda: "no connection, waiting for one" in farm.log("master"), 60)
    server.start()
    assert farm.finished(request)["results"] == 0
    assert [one["results"] for one in farm.builds(request)] == [0], "the same build, not a second one"
    assert server.rows("SELECT count(*) FROM builds WHERE complete_at IS NULL") == [(0,)]


def test_the_gate_and_the_signer_read_it_too(farm: Farm) -> None:
    head = commit(farm.repository, {})
    build = farm.finished(farm.force(revision=head))
    assert farm.steps(build)["attest"]["state_string"].startswith("4 bundles signed")
    said = farm.http.get("releases/readiness", params={"sha": head}).json()
    assert [(one["builder"], one["state"]) for one in said["cells"]] == [(cell_name(), "ready")], said


def test_a_dry_run_which_has_no_network_is_told_what_the_database_says(farm: Farm, tmp_path: Path) -> None:
    head = commit(farm.repository, {})
    environment = {**os.environ, "MINT_HOME": str(farm.home.root)}
    done = subprocess.run(
        [sys.executable, "-m", "master.release", "gate", "--tag=20261130", f"--commit={head}", f"--run={tmp_path}"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "confined: no network" in done.stdout
    assert done.returncode == 1
    # Whether the poller has seen it by now is all the same: either is what the database says.
    states = ("missing", "waiting", "running")
    assert [one for one in states if f"{one}  {cell_name()}" in done.stdout], done.stdout + done.stderr


def test_the_password_stands_nowhere_but_in_its_file(farm: Farm) -> None:
    words = [PASSWORD, "p%40ss"]
    for path in [*farm.home.master.glob("*.log*"), farm.home.master / "buildbot.tac"]:
        text = path.read_text(errors="replace")
        assert not [word for word in words if word in text], path
    environment = Path(f"/proc/{farm.running['master'].pid}/environ").read_bytes()
    assert not [word for word in words if os.fsencode(word) in environment]


def test_a_second_start_leaves_the_tables_alone(farm: Farm, server: Server) -> None:
    """Buildbot marks all masters as long gone after an upgrade, and others may be at work."""
    before = server.rows("SELECT name, active, last_active > 0 FROM masters")
    instance.upgrade_database(farm.home, settings.load(farm.home, load_matrix()))
    assert server.rows("SELECT name, active, last_active > 0 FROM masters") == before
    assert before[0][1:] == (1, True)


def test_tables_of_another_release_are_not_touched_while_a_master_is_at_work(farm: Farm, server: Server) -> None:
    (release,) = server.rows("SELECT version_num FROM alembic_version")[0]
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = '060'")
        connection.commit()
        try:
            with pytest.raises(Failure, match="and masters are at work"):
                instance.upgrade_database(farm.home, settings.load(farm.home, load_matrix()))
        finally:
            cursor.execute("UPDATE alembic_version SET version_num = %s", (release,))


def test_a_wrong_password_is_told_without_it(farm: Farm) -> None:
    path = secret(farm, "wrong-word")
    try:
        with pytest.raises(Failure, match="password authentication failed") as told:
            instance.upgrade_database(farm.home, settings.load(farm.home, load_matrix()))
    finally:
        secret(farm, PASSWORD)
    assert "wrong-word" not in str(told.value)
    path.chmod(0o644)
    with pytest.raises(Failure, match="can be read by others"):
        instance.upgrade_database(farm.home, settings.load(farm.home, load_matrix()))
    path.chmod(0o600)


def counts(server: Server, name: str = "pymint") -> dict[str, int]:
    """The rows of each table."""
    with closing(server.connect(name)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        names = [row[0] for row in cursor.fetchall()]
        found = {}
        for one in names:
            cursor.execute(f"SELECT count(*) FROM {one}")
            found[one] = cursor.fetchone()[0]
    return found


def test_the_nightly_backup_comes_back_in_an_empty_database_and_the_farm_goes_on_there(
    farm: Farm, server: Server, tmp_path: Path
) -> None:
    head = farm.get("changes", order="-changeid", limit=1)["changes"][0]["revision"]
    gate = farm.http.get("releases/readiness", params={"sha": head}).json()
    numbers = server.rows("SELECT builderid, max(number) FROM builds GROUP BY builderid ORDER BY 1")
    with farm.home.settings_file.open("a") as file:
        file.write(f'[backup]\ndirectory = "{tmp_path / "backups"}"\n')
    environment = {**os.environ, "MINT_HOME": str(farm.home.root)}
    nightly = subprocess.run(
        [sys.executable, "-m", "master.retention"], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert nightly.returncode == 0, nightly.stdout + nightly.stderr
    assert "database: rows of 0 builds, logs of 0 builds dropped" in nightly.stdout
    farm.down("worker", "master")
    before = counts(server)
    assert Backups(tmp_path / "backups").read()[1].database == "postgres"
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE other TEMPLATE template0 ENCODING 'UTF8'")
    elsewhere = tmp_path / "elsewhere"
    other = server.url.replace("/pymint", "/other")

    def restore() -> subprocess.CompletedProcess[str]:
        return mint(elsewhere, "restore", tmp_path / "backups", "--database", other)

    assert "there is no" not in (done := restore()).stdout
    assert done.returncode == 1
    assert "the password can't be read" in done.stderr, "it is in a backup with a passphrase only"
    path = elsewhere / "secrets" / "database"
    path.parent.mkdir(mode=0o700)
    path.write_text(PASSWORD)
    path.chmod(0o600)
    assert (done := restore()).returncode == 0, done.stderr
    after = counts(server, "other")
    # What the master and the worker said while they ended.
    assert {name: rows for name, rows in after.items() if before[name] != rows}.keys() <= {
        "connected_workers", "scheduler_masters", "builder_masters", "changesource_masters", "configured_workers",
        "buildrequest_claims", "object_state",
    }  # fmt: skip
    assert after["builds"] > 1
    assert after["logchunks"] > 10
    again = mint(tmp_path / "third", "restore", tmp_path / "backups", "--database", other)
    assert again.returncode == 1
    assert "the password can't be read" in again.stderr or "the database is not empty" in again.stderr
    farm.home = Home(elsewhere, ROOT)
    assert settings.load(farm.home, load_matrix()).database.url == other
    farm.up("master")
    assert farm.http.get("releases/readiness", params={"sha": head}).json() == gate
    assert [one["name"] for one in farm.get("masters")["masters"] if one["active"]]
    farm.down("master")

    # Housekeeping drops what is old there, and what has to stay stays.
    database = Postgres(other, path, patience_s=5)
    ever = float("inf")
    shown = rows.drop(database, Held(), rows_before=ever, logs_before=ever, deadline=ever, really=False)
    assert counts(server, "other")["builds"] == after["builds"]
    done_there = rows.drop(database, Held(), rows_before=ever, logs_before=ever, deadline=ever, really=True)
    assert done_there.builds == shown.builds > 0
    left = counts(server, "other")
    assert left["builds"] == len(numbers), "each builder's newest, to count on from"
    with closing(server.connect("other")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT builderid, max(number) FROM builds GROUP BY builderid ORDER BY 1")
        assert cursor.fetchall() == numbers
        cursor.execute("SELECT count(*) FROM logs WHERE type <> 'd'")
        assert cursor.fetchone() == (0,)
    assert (left["logchunks"], left["build_data"]) == (0, 0)
    assert left["buildrequests"] < after["buildrequests"]
    assert rows.drop(database, Held(), rows_before=ever, logs_before=ever, deadline=ever, really=True) == rows.Dropped()


def test_a_database_with_a_farm_in_it_is_not_restored_over(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(PASSWORD)
    path.chmod(0o600)
    from master.backup import postgres

    with pytest.raises(Failure, match="the database is not empty"):
        postgres.fill(Postgres(server.url, path, patience_s=5), tmp_path / "nothing", "20261130T000000Z")


def test_a_dump_that_can_not_be_made_says_why_without_the_password(server: Server, tmp_path: Path) -> None:
    from master.backup import postgres

    path = tmp_path / "password"
    path.write_text(PASSWORD)
    path.chmod(0o600)
    gone = Postgres(server.url.replace("/pymint", "/nowhere"), path, patience_s=1)
    with pytest.raises(Failure, match="can't be dumped") as told:
        postgres.dump(gone, tmp_path / "dump")
    assert "nowhere" in str(told.value)
    assert PASSWORD not in str(told.value)
