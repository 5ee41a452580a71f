"""Invites a worker: on the master's side it gets an entry in settings.toml, a password, and the line to carry over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from master import settings as farm_settings
from master.fleet import authority
from master.fleet.invitation import Invitation
from master.home import Home, write_file
from master.instance import worker_password
from master.settings import Settings, WorkerSettings
from master.settings.checks import WORKER_NAME
from workers.errors import Failure
from workers.model import Matrix


def entry(worker: WorkerSettings) -> str:
    """Its lines for settings.toml. JSON strings and lists of them are TOML's, too."""
    lines = ["", "[[workers]]", f"name = {json.dumps(worker.name)}", f"targets = {json.dumps(worker.targets)}"]
    if worker.disk_gb is not None:
        lines.append(f"disk_gb = {worker.disk_gb:g}")
    return "\n".join(lines) + "\n"


def with_worker(text: str, settings: Settings, worker: WorkerSettings) -> str:
    """settings.toml with that worker as well. Where it named none, the local one that it stood for is written out.

    At the end of the file a new [[workers]] is always in its place, and nothing that is there is touched.
    """
    unnamed = farm_settings.workers_of(settings) if settings.workers is None else []
    return text.rstrip("\n") + "\n" * bool(text) + "".join(map(entry, [*unnamed, worker]))


def add_worker(home: Home, matrix: Matrix, settings: Settings, worker: WorkerSettings) -> Settings:
    """Writes the worker into settings.toml; the settings with it. Raises Failure, and then nothing was written."""
    if not WORKER_NAME.match(worker.name):
        raise Failure(
            "worker", "this is no name for a worker", wanted="small letters, digits and dashes, at most 40",
            found=repr(worker.name), todo="Choose another.",
        )  # fmt: skip
    if not worker.targets:
        known = ", ".join(matrix.targets)
        raise Failure(
            "worker", f"settings.toml has no worker {worker.name!r}, and what it builds was not said",
            todo=f"Say it: ./mint worker invite {worker.name} --target …; known: {known}.",
        )  # fmt: skip
    path = home.settings_file
    before = path.read_text() if path.exists() else ""
    text = with_worker(before, settings, worker)
    try:
        found = farm_settings.parse(text, path)
        farm_settings.check(found, matrix, path, text)
    except Failure as failure:
        raise Failure(
            "worker", f"{worker.name!r} can't be added to {path}", found=failure.what,
            todo="Add it by hand where the other workers are:" + entry(worker),
        ) from failure  # fmt: skip
    # As it was: for its owner only, should hashes of passwords be in it, and where a link leads.
    write_file(path.resolve(), text.encode(), path.stat().st_mode & 0o777 if path.exists() else 0o644)
    return found


def invitation_of(home: Home, settings: Settings, worker: WorkerSettings, host: str | None) -> Invitation:
    """What the worker has to know. host: by what name it reaches the master; left out, the first of `[protocol]`.

    Raises Failure when the master's certificate is not for that name.
    """
    names = farm_settings.protocol_names(settings)
    loopback = farm_settings.is_loopback(settings.protocol.interface)
    chosen = host or ("127.0.0.1" if loopback else names[0])
    certificate = ""
    if farm_settings.uses_tls(settings):
        if chosen not in names:
            raise Failure(
                "worker", f"the master's certificate is not for {chosen}", wanted=f"one of {', '.join(names)}",
                found=chosen,
                todo=f'Add it to settings.toml and start the master again:\n[protocol]\nnames = ["{chosen}"]',
            )  # fmt: skip
        files = authority.Files(home.protocol_keys)
        authority.ensure(files, names)
        certificate = files.authority.read_text()
    return Invitation(
        host=chosen,
        port=settings.protocol.port,
        name=worker.name,
        password=worker_password(home, worker, settings.secrets),
        authority=certificate,
        disk_gb=farm_settings.disk_wanted_gb(settings, worker),
    )


def new_password(home: Home, worker: WorkerSettings) -> None:
    """Forgets the worker's password; who asks next makes another. Raises Failure for one that is kept elsewhere."""
    if worker.password_file is not None:
        raise Failure(
            "worker", f"the password of {worker.name!r} is kept in {worker.password_file}",
            todo="Change it there; settings.toml names that file.",
        )  # fmt: skip
    Path(home.secrets / f"worker-{worker.name}").unlink(missing_ok=True)


def named(settings: Settings, name: str) -> WorkerSettings | None:
    return next((worker for worker in farm_settings.workers_of(settings) if worker.name == name), None)


def asked_for(name: str, targets: list[str], disk_gb: float | None) -> WorkerSettings:
    return replace(WorkerSettings(name, targets), disk_gb=disk_gb)
