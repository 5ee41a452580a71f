"""What follows from the settings: workers, cells, addresses."""

from __future__ import annotations

import hashlib
import ipaddress
import platform
from dataclasses import replace
from pathlib import Path

from master.bucket.access import OF_THE_STORE, Access, Bucket, StorePlace
from master.bucket.choice import StoreSettings
from master.home import Home, cache_directory
from master.secrets.places import secrets_of
from master.settings.tables import Settings, WorkerSettings
from workers.errors import Failure
from workers.machine import native_target
from workers.model import Cell, Matrix

LOCAL_WORKER = "local"
# In the master itself: see master/builders.py.
FARM_WORKER = "farm"
# Of a store's bucket: to connect, and without a byte.
STORE_CONNECT_S, STORE_READ_S = 5, 60
# What `./mint build` asks for before it begins: a cold pgo+lto build takes about 6 GB.
LOCAL_DISK_GB = 8.0


def is_loopback(interface: str) -> bool:
    if interface == "localhost":
        return True
    try:
        return ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return False


def workers_of(settings: Settings) -> list[WorkerSettings]:
    """The configured workers; without any, the local one for this machine's own target."""
    if settings.workers is not None:
        return settings.workers
    target = native_target()
    return [WorkerSettings(LOCAL_WORKER, [target])] if target else []


def local_worker(settings: Settings) -> WorkerSettings | None:
    """The worker that `./mint up` starts on this machine: the one called "local"."""
    return next((worker for worker in workers_of(settings) if worker.name == LOCAL_WORKER), None)


def uses_tls(settings: Settings) -> bool:
    """Whether workers connect by TLS: always, unless the port is on loopback or the settings say else."""
    said = settings.protocol.tls
    return not is_loopback(settings.protocol.interface) if said is None else said


def protocol_names(settings: Settings) -> list[str]:
    """The host names and addresses by which workers may know this master; the one to tell them first."""
    chosen = settings.protocol
    own = [] if chosen.interface in ("0.0.0.0", "::") else [chosen.interface]
    return list(dict.fromkeys([*chosen.names, *own, platform.node() or "localhost", "localhost", "127.0.0.1", "::1"]))


def local_address(interface: str) -> str:
    """Where a port of this machine is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(interface, interface)


def disk_wanted_gb(settings: Settings, worker: WorkerSettings) -> float:
    """Of a machine that is somebody's desk as well, the local one, no more is wanted than one build takes."""
    wanted = min(settings.watch.disk_gb, LOCAL_DISK_GB) if worker.name == LOCAL_WORKER else settings.watch.disk_gb
    return wanted if worker.disk_gb is None else worker.disk_gb


def main_workers(settings: Settings) -> list[WorkerSettings]:
    """Those that build what is on branches. None of them ever runs anything of a pull request."""
    return [worker for worker in workers_of(settings) if not worker.pull_requests]


def pull_workers(settings: Settings) -> list[WorkerSettings]:
    """Those that build pull requests, and nothing else."""
    return [worker for worker in workers_of(settings) if worker.pull_requests]


def stays(worker: WorkerSettings) -> bool:
    """Whether a worker is connected while it builds nothing: one that is started for each build is not."""
    return worker.docker is None and worker.kubernetes is None


def builds(worker: WorkerSettings, cell: Cell) -> bool:
    """Whether a worker builds a cell: natively, or by cross-compiling."""
    return cell.target.triple in worker.targets or cell.target.triple in worker.cross


def worked_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """The cells that have a builder: those whose target has a worker."""
    workers = main_workers(settings)
    return [cell for cell in matrix.all_cells() if any(builds(worker, cell) for worker in workers)]


def waiting_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """The cells that wait for a worker: never queued, only listed."""
    worked = set(worked_cells(settings, matrix))
    return [cell for cell in matrix.all_cells() if cell not in worked]


def push_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """What a push builds: the named cells that have a worker, else those of the set that have a native one."""
    if settings.push.cells is not None:
        worked = set(worked_cells(settings, matrix))
        return [cell for name in settings.push.cells if (cell := matrix.by_builder_name[name]) in worked]
    native = {triple for worker in main_workers(settings) for triple in worker.targets}
    return [cell for cell in matrix.cells_of(settings.push.set) if cell.target.triple in native]


def pull_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """What a pull request builds: the named cells, or those of the set, that have a worker for pull requests."""
    chosen, workers = settings.pull_requests, pull_workers(settings)
    if settings.github.repository is None:
        return []
    if chosen.cells is not None:
        named = [matrix.by_builder_name[name] for name in chosen.cells]
    else:
        named = matrix.cells_of(chosen.set) if chosen.set is not None else []
    return [cell for cell in named if any(builds(worker, cell) for worker in workers)]


def repository_url(settings: Settings, home: Home) -> str:
    """The repository that is polled and built; by default the checkout's own."""
    return settings.repository.url or str(home.checkout)


def page_url(settings: Settings) -> str:
    """The address of the web page, with a slash at its end."""
    if settings.web.url:
        return settings.web.url.rstrip("/") + "/"
    host = settings.web.interface if settings.web.interface not in ("0.0.0.0", "::") else platform.node()
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{settings.web.port}/"


def store_path(settings: Settings, home: Home) -> Path:
    """The store's directory; where the store is a bucket, what of it is on this machine."""
    return store_place(settings, home).root


def store_place(settings: Settings, home: Home) -> StorePlace:
    """Where the store is, with the way to its bucket if it is one."""
    chosen = settings.store
    if chosen.bucket is None:
        return StorePlace(home.root / chosen.path)
    whose = hashlib.sha256(f"{chosen.endpoint}\n{chosen.bucket}\n{chosen.prefix}".encode()).hexdigest()[:16]
    cache = home.root / chosen.cache if chosen.cache is not None else cache_directory() / "stores"
    at = secrets_of(home.root, settings.secrets)
    keys = at.place(chosen.credentials_file) if chosen.credentials_file is not None else None
    access = Access(
        chosen.bucket, chosen.prefix, chosen.endpoint, chosen.region, keys, connect_s=STORE_CONNECT_S,
        read_s=STORE_READ_S, telling=OF_THE_STORE,
        authority=home.root / chosen.ca_file if chosen.ca_file is not None else None,
    )  # fmt: skip
    return StorePlace(cache / whose, Bucket(access, int(chosen.cache_gb * 10**9), chosen.patience_minutes * 60))


def uploads_path(settings: Settings, home: Home) -> Path:
    """Where uploads wait to be looked at; where the store is a bucket, on this machine's own disk."""
    if settings.store.bucket is None:
        return home.incoming
    cache = store_path(settings, home)
    return cache.with_name(f"{cache.name}.incoming")


def without_bucket(settings: Settings, home: Home) -> Settings:
    """The same farm, to which the store is what of its bucket is on this machine: for who has no network."""
    if settings.store.bucket is None:
        return settings
    return replace(settings, store=StoreSettings(str(store_path(settings, home)), settings.store.max_archive_mb))


def pull_store_path(settings: Settings, home: Home) -> Path:
    """Where archives of pull requests go. Nothing of main, the gate or a release looks there."""
    return home.root / settings.pull_requests.store


def release_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """The cells that a release needs, each of them."""
    if settings.release.cells is not None:
        return [matrix.by_builder_name[name] for name in settings.release.cells]
    return list(matrix.cells_of(settings.release.set))


def for_master(settings: Settings, name: str | None, path: Path) -> Settings:
    """The settings as one of several masters has them; without a name as they are. Raises Failure for an unknown."""
    if name is None:
        return settings
    one = next((one for one in settings.masters if one.name == name), None)
    if one is None:
        known = ", ".join(one.name for one in settings.masters) or "none: there is no [[masters]]"
        raise Failure(
            "settings", f"{path} has no master {name!r}", wanted=f"one of [[masters]]: {known}",
            found=f"{name!r}, by --master or MINT_MASTER", todo="Name another, or add it. See docs/cluster.md.",
        )  # fmt: skip
    web = replace(settings.web, port=one.web_port, interface=one.web_interface)
    protocol = replace(settings.protocol, port=one.worker_port, interface=one.worker_interface)
    return replace(settings, web=web, protocol=protocol)
