"""Laying a farm out on disk. Makes a real database (about two seconds)."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import buildbot
import pytest

from master import instance, settings
from master.home import Home, write_file
from workers.errors import Failure
from workers.model import ROOT


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", ROOT)


def snapshot(home: Home) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in home.root.rglob("*")
        if path.is_file() and "sqlite" not in path.name
    }


def test_a_home_is_laid_out_once_and_then_left_alone(home: Home) -> None:
    instance.prepare(home, settings.Settings())
    before = snapshot(home)
    instance.prepare(home, settings.Settings())
    assert snapshot(home) == before
    with sqlite3.connect(home.database) as database:
        assert database.execute("select count(*) from builders").fetchone() == (0,)
    assert not list(home.master.glob("state.new*"))


def test_a_database_whose_making_was_killed_is_made_anew(home: Home) -> None:
    home.master.mkdir(parents=True)
    (home.master / "state.new.sqlite").write_bytes(b"half a database")
    instance.upgrade_database(home, settings.Settings())
    with sqlite3.connect(home.database) as database:
        assert database.execute("select count(*) from builds").fetchone() == (0,)


def test_a_database_that_can_not_be_made_is_a_failure_that_says_why(home: Home) -> None:
    home.master.mkdir(parents=True)
    home.database.write_bytes(b"this is no database at all, but a text that somebody put there")
    with pytest.raises(Failure, match="the database could not be made") as caught:
        instance.upgrade_database(home, settings.Settings())
    assert "file is not a database" in str(caught.value)
    assert not (home.master / "database-release").exists()


def test_an_older_database_is_kept_before_it_is_upgraded_and_a_newer_one_is_refused(home: Home) -> None:
    home.master.mkdir(parents=True)
    marker = home.master / "database-release"
    instance.upgrade_database(home, settings.Settings())
    before = home.master / f"state.before-{buildbot.version}.sqlite"
    assert not before.exists(), "a new one has nothing before it"
    with sqlite3.connect(home.database) as database:
        database.execute("INSERT INTO masters (name, name_hash, active, last_active) VALUES ('old', 'old', 0, 1)")
    marker.write_text("4.2.1")
    instance.upgrade_database(home, settings.Settings())
    assert marker.read_text() == buildbot.version
    with sqlite3.connect(before) as kept:
        assert kept.execute("SELECT name FROM masters").fetchall() == [("old",)]
    marker.write_text("99.0")
    with pytest.raises(Failure, match="a newer Buildbot's") as caught:
        instance.prepare(home, settings.Settings())
    assert "docs/upgrading.md" in str(caught.value)
    assert marker.read_text() == "99.0"


def test_passwords_are_made_once_and_nobody_else_reads_them(home: Home) -> None:
    worker = settings.WorkerSettings("local", [])
    home.secrets.mkdir(parents=True)
    password = instance.worker_password(home, worker)
    assert len(password) >= 32
    assert instance.worker_password(home, worker) == password
    path = home.secrets / "worker-local"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(Failure, match="can be read by everyone"):
        instance.worker_password(home, worker)
    path.chmod(0o600)
    path.write_text("\n")
    with pytest.raises(Failure, match="is empty: whoever knows its name could be it"):
        instance.worker_password(home, worker)


def test_the_worker_is_told_where_to_connect_and_where_to_work(home: Home) -> None:
    local = settings.WorkerSettings("local", [])
    told = tomllib.loads(instance.worker_toml(home, settings.Settings(), local))
    assert (told["host"], told["port"], told["name"]) == ("127.0.0.1", 9989, "local")
    assert told["python"] == sys.executable
    assert Path(told["state"]) == home.worker_state
    assert not home.worker_state.is_relative_to(home.worker), "Buildbot deletes unknown directories there"


def test_git_takes_the_users_settings_and_trusts_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.write_text("[user]\n\tname = Anna\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(own))
    made = tmp_path / "gitconfig"
    made.write_text(instance.git_configuration('/srv/a "quoted" path'))

    def ask(key: str) -> str:
        command = ["git", "config", "--file", str(made), "--includes", "--get-all", key]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert ask("user.name") == "Anna\n"
    assert ask("safe.directory") == '/srv/a "quoted" path\n/srv/a "quoted" path/.git\n'
    assert "safe" not in instance.git_configuration("https://github.com/python/cpython")


def test_a_written_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
