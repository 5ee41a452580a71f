"""A farm on this machine: lays out MINT_HOME and says how its processes are started. Starting them is the CLI's.

`prepare` may be called again and again: it writes what is missing or out of date and leaves everything else alone.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import buildbot

from master.backup.making import copy_database
from master.fleet import authority
from master.home import Home, cache_directory, write_file
from master.secrets.choice import Secrets
from master.secrets.places import secrets_of
from master.settings import (
    Settings,
    WorkerSettings,
    disk_wanted_gb,
    local_address,
    local_worker,
    protocol_names,
    repository_url,
    uploads_path,
    uses_tls,
    workers_of,
)
from master.signing import keeping
from workers.errors import Failure

TWISTD = "from twisted.scripts.twistd import run; run()"
# What the clients of key services, devices and forges look for in the environment.
SIGNERS = ("AWS_", "AZURE_", "GOOGLE_", "VAULT_", "PYKCS11LIB", "GITHUB_", "GH_")
IN_FILES = Secrets()
# Of whoever called ./mint, for that command alone.
PASSWORD = "MINT_PASSWORD"


@dataclass(frozen=True)
class Process:
    """How to start a process of the farm: it stays in the foreground, logs to `log`, and ends well on SIGTERM."""

    argv: list[str]
    cwd: Path
    environment: dict[str, str]
    log: Path


def prepare(home: Home, settings: Settings) -> None:
    """Makes MINT_HOME ready for `master_process` and `worker_process`. Raises Failure when it can't."""
    if home.restoring.exists():
        raise Failure(
            "backup",
            f"a restore into {home.root} did not come to its end",
            wanted="all files of the backup",
            found=f"{home.restoring}: {' '.join(home.restoring.read_text().split())}",
            todo="Start the same ./mint restore again: it goes on where it stopped.",
        )
    for directory in (home.master, home.worker, home.worker_state, uploads_path(settings, home)):
        directory.mkdir(parents=True, exist_ok=True)
    home.secrets.mkdir(mode=0o700, exist_ok=True)
    # The database has the secret of the page's sessions, and a worker of another user may be on this machine.
    home.master.chmod(0o700)
    for worker in workers_of(settings):
        worker_password(home, worker, settings.secrets)
    if uses_tls(settings):
        files = authority.Files(home.protocol_keys)
        authority.ensure(files, protocol_names(settings))
        pin(home.protocol_keys / "pinned", files.authority.read_text())
    keeping.prepare(home, settings)
    _write(home.gitconfig, git_configuration(repository_url(settings, home)))
    code = home.checkout
    tac = (code / "master" / "service.tac").read_text().replace('"@CHECKOUT@"', repr(str(code)))
    _write(home.master / "buildbot.tac", tac)
    _write(home.worker / "buildbot.tac", (code / "workers" / "service" / "buildbot.tac").read_text())
    local = local_worker(settings)
    if local is not None:
        _write(home.worker / "worker.toml", worker_toml(home, settings, local))
    upgrade_database(home, settings)


def _write(path: Path, text: str) -> None:
    """Writes the file unless it says so already."""
    if not path.exists() or path.read_text() != text:
        write_file(path, text.encode())


def worker_password(home: Home, worker: WorkerSettings, kept: Secrets = IN_FILES) -> str:
    """The password a worker has to say; made on first use, in a file that only its owner may read.

    kept: where it is when the settings give it a name instead of a file. Raises Failure when a configured password is
    missing, or its file readable by everyone.
    """
    if worker.password_file is None:
        path = home.secrets / f"worker-{worker.name}"
        if not path.exists():
            write_file(path, secrets.token_urlsafe(32).encode(), 0o600)
    else:
        place = secrets_of(home.root, kept).place(worker.password_file)
        if not isinstance(place, Path):
            return place.read()
        path = place
    try:
        if path.stat().st_mode & 0o007:
            raise Failure(
                "settings",
                f"the password of the worker {worker.name!r} can be read by everyone",
                wanted="a file for its owner only",
                found=oct(path.stat().st_mode & 0o777),
                todo=f"chmod 600 {path}",
            )
        said = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(
            "settings",
            f"the password file of the worker {worker.name!r} can't be read",
            found=str(error),
            todo="Make it, or leave password_file out of settings.toml: one is made then.",
        ) from error
    if not said:
        raise Failure(
            "settings",
            f"the password of the worker {worker.name!r} is empty: whoever knows its name could be it",
            wanted=f"a password in {path}",
            todo="Write one into it, or delete it and leave password_file out of settings.toml: one is made then.",
        )
    return said


def password_file_of(home: Home, settings: Settings, worker: WorkerSettings) -> Path:
    """The file that a worker on this machine reads its password from; written where the master has it elsewhere."""
    place = secrets_of(home.root, settings.secrets).place(worker.password_file or f"secrets/worker-{worker.name}")
    if isinstance(place, Path):
        return place
    path = home.secrets / f"worker-{worker.name}"
    said = place.read().encode()
    if not path.exists() or path.read_bytes() != said:
        write_file(path, said, 0o600)
    return path


def pin(directory: Path, certificate: str) -> None:
    """The authority that a worker trusts, in a directory of its own: all certificates in it would be trusted."""
    for other in directory.glob("*.pem") if directory.is_dir() else []:
        if other.name != "authority.pem":
            other.unlink()
    _write(directory / "authority.pem", certificate)


def worker_toml(home: Home, settings: Settings, worker: WorkerSettings) -> str:
    """worker.toml for the local worker (workers/service/buildbot.tac reads it). JSON strings are TOML strings."""
    values: dict[str, Any] = {
        "name": worker.name,
        **master_addresses(settings),
        "password_file": str(password_file_of(home, settings, worker)),
        "python": sys.executable,
        "state": str(home.worker_state),
        "cache": str(cache_directory()),
        "checkout": str(home.checkout),
        "disk_gb": disk_wanted_gb(settings, worker),
    }
    if uses_tls(settings):
        values["authority"] = str(home.protocol_keys / "pinned")
    if settings.logs.format != "text":
        values["logs"] = settings.logs.format
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def master_addresses(settings: Settings) -> dict[str, Any]:
    """Where a worker on this machine finds its master, or the masters, as worker.toml has it."""
    if not settings.masters:
        return {"host": local_address(settings.protocol.interface), "port": settings.protocol.port}
    return {"masters": [endpoint(one.host, one.worker_port) for one in settings.masters]}


def endpoint(host: str, port: int) -> str:
    """As Twisted writes it."""
    return f"tcp:host={host.replace(':', chr(92) + ':')}:port={port}"


def git_configuration(repository: str) -> str:
    """The user's own git settings, and the repository as a safe one: a path may belong to somebody else than us."""
    own = os.environ.get("GIT_CONFIG_GLOBAL") or str(Path.home() / ".gitconfig")
    lines = ["[include]", f"\tpath = {json.dumps(own)}"]
    if Path(repository).is_absolute():
        lines += ["[safe]", *(f"\tdirectory = {json.dumps(str(p))}" for p in (repository, Path(repository, ".git")))]
    return "\n".join(lines) + "\n"


def _environment(home: Home) -> dict[str, str]:
    left_out = ("PYMINT_EVENTS", "MINT_MASTER", PASSWORD)
    said = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") and key not in left_out}
    which = {"MINT_MASTER": home.name} if home.name else {}
    return {
        **said,
        **which,
        "MINT_HOME": str(home.root),
        "GIT_CONFIG_GLOBAL": str(home.gitconfig),
        "GIT_TERMINAL_PROMPT": "0",
    }


def twistd_arguments(python: Path) -> list[str]:
    """What runs a master or a worker in the foreground, in its directory."""
    # Without a pid file: after a crash another process may have that pid, and twistd would refuse to start.
    return [str(python), "-c", TWISTD, "--no_save", "--nodaemon", "--pidfile=", "--python=buildbot.tac"]


def _twistd(directory: Path, home: Home, environment: dict[str, str]) -> Process:
    return Process(twistd_arguments(Path(sys.executable)), directory, environment, directory / "twistd.log")


def master_process(home: Home) -> Process:
    """Listens where settings.toml says. Ready: GET `api/v2/masters` answers with `active: true`."""
    return _twistd(home.master, home, _environment(home))


def worker_process(home: Home) -> Process:
    """The local worker: connects as soon as the master listens, and again whenever it lost it.

    It runs what others wrote, so it gets nothing that opens the services which hold keys.
    """
    said = {key: value for key, value in _environment(home).items() if not key.startswith(SIGNERS)}
    return _twistd(home.worker, home, said)


def _keep_before_upgrade(home: Home, known: str) -> None:
    """A copy of the database beside it. Raises Failure when a newer Buildbot wrote it."""
    if _release(known) > _release(buildbot.version):
        raise Failure(
            "master",
            "the database is a newer Buildbot's, and an older one can't read it",
            wanted=f"Buildbot {known} or newer",
            found=f"Buildbot {buildbot.version}",
            todo="Go back to the newer pymint, or restore a backup of before: docs/upgrading.md.",
        )
    before = home.master / f"state.before-{buildbot.version}.sqlite"
    if not before.exists():
        copied = home.master / "state.copy.sqlite"
        copied.unlink(missing_ok=True)
        try:
            copy_database(home.database, copied)
        except Failure as failure:
            raise Failure(
                "master",
                f"the database could not be made fit for Buildbot {buildbot.version}",
                wanted=failure.wanted,
                found=failure.found,
                todo="Nothing was changed. Look at the disk, or restore a backup: docs/keeping.md.",
            ) from failure
        copied.rename(before)


def _release(version: str) -> tuple[int, ...]:
    """A version as numbers; () for what is none, which is older than everything."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))


def upgrade_database(home: Home, settings: Settings) -> None:
    """Makes or upgrades the database, once for each release of Buildbot. Raises Failure when that fails.

    A new file of SQLite's is made under another name and renamed when it is whole, so that a kill leaves none
    half-made. Of an old one a copy is left: no Buildbot takes a database back to an older release. PostgreSQL changes
    its tables as one transaction.
    """
    if settings.database.url is not None:
        _upgrade_postgres(home, settings.database.url, settings.database.password_file)
        return
    marker = home.master / "database-release"
    if home.database.exists():
        known = marker.read_text() if marker.exists() else ""
        if known == buildbot.version:
            return
        _keep_before_upgrade(home, known)
    database = home.database if home.database.exists() else home.master / "state.new.sqlite"
    if database != home.database:
        for leftover in home.master.glob("state.new.sqlite*"):
            leftover.unlink()
    _make(home, [str(database)], f"It would be {home.database}.")
    if database != home.database:
        database.rename(home.database)
    write_file(marker, buildbot.version.encode())


def _upgrade_postgres(home: Home, url: str, password_file: str | None) -> None:
    """Asked at every start, since another master may have done it; the answer costs two queries."""
    secret = [] if password_file is None else [password_file]
    _make(home, ["--postgres", url, *secret], f"It is {url}; docs/cluster.md makes one.")


def _make(home: Home, arguments: list[str], todo: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "master.database", *arguments],
        cwd=home.checkout,
        env=_environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failure(
            "master",
            "the database could not be made",
            wanted=f"a database for Buildbot {buildbot.version}",
            found=(done.stdout + done.stderr).strip()[-2000:],
            todo=todo,
        )
