"""A farm whose database is a real PostgreSQL, which is killed while a build runs, and is lost and restored."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from master import instance, settings
from master.home import Home
from tests.integration.farm import TARGET, Farm, cell_name, commit, make_repository, until
from tests.integration.postgres_server import NEEDED, PASSWORD, Server, server
from tests.integration.test_backup import mint
from workers.errors import Failure
from workers.model import ROOT, load_matrix

__all__ = ["server"]

pytestmark = NEEDED


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
    # The push's own build of the commit may still be at work.
    until("no build is open", lambda: server.rows("SELECT count(*) FROM builds WHERE complete_at IS NULL") == [(0,)])


def test_the_gate_and_the_signer_read_it_too(farm: Farm) -> None:
    head = commit(farm.repository, {})
    build = farm.finished(farm.force(revision=head))
    assert farm.steps(build)["attest"]["state_string"].startswith("4 bundles signed")
    said = farm.http.get("releases/readiness", params={"sha": head}).json()
    assert [(one["builder"], one["state"]) for one in said["cells"]] == [(cell_name(), "ready")], said


def test_it_is_well_with_a_database_that_is_no_file(farm: Farm) -> None:
    until("it is well", lambda: farm.http.get("health").status_code == 200)


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


def test_a_master_on_a_restored_database_goes_on_from_where_the_lost_one_was(
    farm: Farm, server: Server, tmp_path: Path
) -> None:
    """In an empty database and an empty MINT_HOME; a build was at work while the backup was made."""
    go = tmp_path / "go"
    held = commit(farm.repository, {"hold": {"plan": str(go)}})
    interrupted = until("it is at work", lambda: [one for one in builds_of(farm, held) if "plan" in farm.steps(one)])[0]
    known, kept = archives_and_logs(farm), passphrase(tmp_path)
    assert len(known) > 1, "what is compared"
    made = mint(farm.home.root, "backup", tmp_path / "backups", *kept)
    assert made.returncode == 0, made.stderr
    farm.down("worker", "master", how=signal.SIGKILL)
    go.touch()
    farm.home.root.rename(farm.home.root.with_name("lost"))
    left = contents(server, "pymint")

    with contextlib.closing(server.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE restored TEMPLATE template0 ENCODING 'UTF8'")
    url = server.url.rpartition("/")[0] + "/restored"
    farm.home = Home(tmp_path / "elsewhere", ROOT)
    restored = mint(farm.home.root, "restore", tmp_path / "backups", *kept, "--database", url)
    assert restored.returncode == 0, restored.stderr
    assert behind(server, "restored") == []
    farm.up()
    assert {build: found for build, found in archives_and_logs(farm).items() if build in known} == known
    again = farm.finished(interrupted["buildrequestid"])
    assert (again["results"], again["number"]) == (0, interrupted["number"] + 1), "it began again"
    pushed = commit(farm.repository, {}, "pushed to the restored farm")
    new = until("what is pushed is built", lambda: [one for one in builds_of(farm, pushed) if one["complete"]])[0]
    assert (new["results"], new["number"], new["buildid"]) == (0, again["number"] + 1, again["buildid"] + 1)
    assert farm.steps(new)["attest"]["state_string"].startswith("4 bundles signed")
    assert contents(server, "pymint") == left, "the database of the lost farm was not touched"


def builds_of(farm: Farm, revision: str) -> list[dict[str, Any]]:
    """What a push of a commit has begun."""
    changes = farm.get("changes", revision=revision)["changes"]
    return [one for change in changes for one in farm.get(f"changes/{change['changeid']}/builds")["builds"]]


def passphrase(directory: Path) -> list[object]:
    path = directory / "passphrase"
    path.write_text("correct horse battery\n")
    path.chmod(0o600)
    return ["--passphrase-file", path]


def archives_and_logs(farm: Farm) -> dict[int, list[str]]:
    """Of each build that ended well: the digests of its archive as it is delivered and of its logs, through REST."""
    found = {}
    for build in farm.get("builds", results=0)["builds"]:
        said, steps = farm.properties(build), farm.steps(build)
        told = [farm.step_log(steps[name], "stdio") for name in ("plan", "cpython", "prove-fips")]
        archive = farm.http.get(said["archive_url"]).content
        assert hashlib.sha256(archive).hexdigest() == said["archive_sha256"]
        assert all(told)
        found[int(build["buildid"])] = [said["archive_sha256"], *told]
    return found


def contents(server: Server, name: str) -> list[tuple[object, ...]]:
    """How many builds, and the last of the steps."""
    with contextlib.closing(server.connect(name)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM builds), (SELECT max(id) FROM steps)")
        return list(cursor.fetchall())


def behind(server: Server, name: str) -> list[str]:
    """The tables whose next id is taken already. Each id has a sequence of its own in PostgreSQL."""
    with contextlib.closing(server.connect(name)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, pg_get_serial_sequence(table_name, column_name) FROM "
            "information_schema.columns WHERE table_schema = 'public' AND column_default LIKE 'nextval%'"
        )
        columns = cursor.fetchall()
        assert ("builds", "id", "public.builds_id_seq") in columns
        found = []
        for table, column, sequence in columns:
            cursor.execute(f"SELECT coalesce(max({column}), 0) >= nextval('{sequence}') FROM {table}")
            found += [table for (taken,) in cursor.fetchall() if taken]
        return found
