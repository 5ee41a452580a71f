"""A real PostgreSQL on loopback, in a directory of its own, that can be killed and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.farm import free_port, until

PASSWORD = "p@ss/word 1"


def programs() -> Path | None:
    """Where initdb and postgres are; Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [
        Path(one) for one in [shutil.which("initdb")] if one
    ]
    return found[-1].parent if found else None


def _owner() -> dict[str, Any]:
    """PostgreSQL does not run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


@dataclass
class Server:
    """url: without a password; password_file: with that of its only user. Started by `start`."""

    root: Path
    binaries: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://pymint@127.0.0.1:{self.port}/pymint"

    def make(self) -> None:
        (self.root / "password").write_text(PASSWORD)
        if _owner():
            shutil.chown(self.root, "postgres", "postgres")
            shutil.chown(self.root / "password", "postgres", "postgres")
        self._run("initdb", "-D", str(self.root / "data"), "-U", "pymint", "--auth=scram-sha-256",
                  f"--pwfile={self.root / 'password'}", "--encoding=UTF8", "--no-sync")  # fmt: skip

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.binaries / name), *arguments], cwd="/", capture_output=True, text=True, check=False, **_owner()
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Started, not yet ready. What is only lost with the machine's power is not waited for."""
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.binaries / "postgres"), "-D", str(self.root / "data"), "-p", str(self.port),
                 "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.root}", "-c", "fsync=off"],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **_owner(),
            )  # fmt: skip

    def connect(self, name: str = "pymint") -> Any:
        import psycopg2

        found = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="pymint", password=PASSWORD, dbname=name, connect_timeout=5
        )
        found.autocommit = True
        return found

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def answers(self) -> bool:
        import psycopg2

        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """Its parent process, without a word; the others end when they see it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait()


@contextlib.contextmanager
def running(binaries: Path) -> Iterator[Server]:
    """Started, with an empty database. Not below pytest's directories, which its user can't enter."""
    with tempfile.TemporaryDirectory(prefix="pymint-postgres-") as place:
        server = Server(Path(place), binaries)
        server.make()
        server.start()
        try:
            until("PostgreSQL answers", server.answers, 60)
            with contextlib.closing(server.connect("postgres")) as connection, connection.cursor() as cursor:
                cursor.execute("CREATE DATABASE pymint TEMPLATE template0 ENCODING 'UTF8'")
            yield server
        finally:
            server.close()


BINARIES = programs()
NEEDED = pytest.mark.skipif(BINARIES is None, reason="PostgreSQL is not installed: apt-get install postgresql")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    assert BINARIES is not None
    with running(BINARIES) as one:
        yield one
