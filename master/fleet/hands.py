"""The workers of settings.toml as Buildbot has them: machines that connect, containers and pods that it starts."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from buildbot.plugins import worker

from master import settings
from master.fleet.authority import Files
from master.fleet.ward import Ward, Watched
from master.home import Home
from master.instance import worker_password
from master.settings import Settings, WorkerSettings

# Loaded where a worker is one: see there.
CONTAINERS = "master.fleet.containers"


class Machine(Watched, worker.Worker):
    """A worker that connects by itself, and stays."""


def port_of(home: Home, chosen: Settings) -> str:
    """Where the master listens for workers, as Twisted writes endpoints."""
    interface = chosen.protocol.interface.replace(":", "\\:")
    if not settings.uses_tls(chosen):
        return f"tcp:{chosen.protocol.port}:interface={interface}"
    files = Files(home.protocol_keys)
    key, certificate = (str(path).replace(":", "\\:") for path in (files.key, files.certificate))
    return f"ssl:{chosen.protocol.port}:interface={interface}:privateKey={key}:certKey={certificate}"


def ward_of(home: Home, chosen: Settings) -> Ward:
    certificate = Files(home.protocol_keys).certificate if settings.uses_tls(chosen) else None
    return Ward(chosen.watch, certificate)


def workers_of(home: Home, chosen: Settings) -> list[Any]:
    return [_worker(home, chosen, one) for one in settings.workers_of(chosen)]


def _worker(home: Home, chosen: Settings, one: WorkerSettings) -> Any:
    """keepalive_interval: for address tables on the way; whether the other side lives is the ward's to find out."""
    shared: dict[str, Any] = {
        "max_builds": one.max_builds,
        "keepalive_interval": 60,
        "properties": {"targets": one.targets, "disk_gb": settings.disk_wanted_gb(chosen, one)},
    }
    if one.docker is not None:
        return import_module(CONTAINERS).container(home, chosen, one, one.docker, shared)
    if one.kubernetes is not None:
        return import_module(CONTAINERS).pod(home, chosen, one, one.kubernetes, shared)
    return Machine(one.name, worker_password(home, one, chosen.secrets), **shared)
