"""What follows from the settings: workers, cells, addresses."""

from __future__ import annotations

import ipaddress
import platform
from pathlib import Path

from master.home import Home
from master.settings.tables import Settings, WorkerSettings
from workers.machine import native_target
from workers.model import Cell, Matrix

LOCAL_WORKER = "local"
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


def builds(worker: WorkerSettings, cell: Cell) -> bool:
    """Whether a worker builds a cell: natively, or by cross-compiling."""
    return cell.target.triple in worker.targets or cell.target.triple in worker.cross


def worked_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """The cells that have a builder: those whose target has a worker."""
    workers = workers_of(settings)
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
    native = {triple for worker in workers_of(settings) for triple in worker.targets}
    return [cell for cell in matrix.cells_of(settings.push.set) if cell.target.triple in native]


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
    return home.root / settings.store.path


def release_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """The cells that a release needs, each of them."""
    if settings.release.cells is not None:
        return [matrix.by_builder_name[name] for name in settings.release.cells]
    return list(matrix.cells_of(settings.release.set))
