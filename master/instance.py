"""A farm on this machine: lays out MINT_HOME and says how its processes are started. Starting them is the CLI's.

`prepare` may be called again and again: it writes what is missing or out of date and leaves everything else alone.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import buildbot

from master.fleet import authority
from master.home import Home, cache_directory, write_file
from master.settings import (
    Settings,
    WorkerSettings,
    disk_wanted_gb,
    local_address,
    local_worker,
    protocol_names,
    repository_url,
    uses_tls,
    workers_of,
)
from master.signing import keeping
from workers.errors import Failure

TWISTD = "from twisted.scripts.twistd import run; run()"
# What the clients of key services and devices look for in the environment.
SIGNERS = ("AWS_", "AZURE_", "GOOGLE_", "VAULT_", "PYKCS11LIB")


@dataclass(frozen=True)
class Process:
    """How to start a process of the farm: it stays in the foreground, logs to `log`, and ends well on SIGTERM."""

    argv: list[str]
    cwd: Path
    environment: dict[str, str]
    log: Path


def prepare(home: Home, settings: Settings) -> None:
    """Makes MINT_HOME ready for `master_process` and `worker_process`. Raises Failure when it can't."""
    for directory in (home.master, home.worker, home.worker_state, home.incoming):
        directory.mkdir(parents=True, exist_ok=True)
    home.secrets.mkdir(mode=0o700, exist_ok=True)
    for worker in workers_of(settings):
        worker_password(home, worker)
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
    upgrade_database(home)


def _write(path: Path, text: str) -> None:
    """Writes the file unless it says so already."""
    if not path.exists() or path.read_text() != text:
        write_file(path, text.encode())


def worker_password(home: Home, worker: WorkerSettings) -> str:
    """The password a worker has to say; made on first use, in a file that only its owner may read.

    Raises Failure when a configured password file is missing or readable by everyone.
    """
    if worker.password_file is None:
        path = home.secrets / f"worker-{worker.name}"
        if not path.exists():
            write_file(path, secrets.token_urlsafe(32).encode(), 0o600)
    else:
        path = home.root / worker.password_file
    try:
        if path.stat().st_mode & 0o007:
            raise Failure(
                "settings",
                f"the password of the worker {worker.name!r} can be read by everyone",
                wanted="a file for its owner only",
                found=oct(path.stat().st_mode & 0o777),
                todo=f"chmod 600 {path}",
            )
        return path.read_text().strip()
    except OSError as error:
        raise Failure(
            "settings",
            f"the password file of the worker {worker.name!r} can't be read",
            found=str(error),
            todo="Make it, or leave password_file out of settings.toml: one is made then.",
        ) from error


def pin(directory: Path, certificate: str) -> None:
    """The authority that a worker trusts, in a directory of its own: all certificates in it would be trusted."""
    for other in directory.glob("*.pem") if directory.is_dir() else []:
        if other.name != "authority.pem":
            other.unlink()
    _write(directory / "authority.pem", certificate)


def worker_toml(home: Home, settings: Settings, worker: WorkerSettings) -> str:
    """worker.toml for the local worker (workers/service/buildbot.tac reads it). JSON strings are TOML strings."""
    values: dict[str, str | int | float] = {
        "name": worker.name,
        "host": local_address(settings.protocol.interface),
        "port": settings.protocol.port,
        "password_file": str(home.root / (worker.password_file or f"secrets/worker-{worker.name}")),
        "python": sys.executable,
        "state": str(home.worker_state),
        "cache": str(cache_directory()),
        "checkout": str(home.checkout),
        "disk_gb": disk_wanted_gb(settings, worker),
    }
    if uses_tls(settings):
        values["authority"] = str(home.protocol_keys / "pinned")
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def git_configuration(repository: str) -> str:
    """The user's own git settings, and the repository as a safe one: a path may belong to somebody else than us."""
    own = os.environ.get("GIT_CONFIG_GLOBAL") or str(Path.home() / ".gitconfig")
    lines = ["[include]", f"\tpath = {json.dumps(own)}"]
    if Path(repository).is_absolute():
        lines += ["[safe]", *(f"\tdirectory = {json.dumps(str(p))}" for p in (repository, Path(repository, ".git")))]
    return "\n".join(lines) + "\n"


def _environment(home: Home) -> dict[str, str]:
    said = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") and key != "PYMINT_EVENTS"}
    return {**said, "MINT_HOME": str(home.root), "GIT_CONFIG_GLOBAL": str(home.gitconfig), "GIT_TERMINAL_PROMPT": "0"}


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


def upgrade_database(home: Home) -> None:
    """Makes or upgrades state.sqlite, once for each release of Buildbot. Raises Failure when that fails.

    A new database is made under another name and renamed when it is whole, so that a kill leaves none half-made.
    """
    marker = home.master / "database-release"
    if home.database.exists() and marker.exists() and marker.read_text() == buildbot.version:
        return
    database = home.database if home.database.exists() else home.master / "state.new.sqlite"
    if database != home.database:
        for leftover in home.master.glob("state.new.sqlite*"):
            leftover.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "master.database", str(database)],
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
            todo=f"It would be {home.database}.",
        )
    if database != home.database:
        database.rename(home.database)
    write_file(marker, buildbot.version.encode())
