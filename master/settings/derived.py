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


def main_workers(settings: Settings) -> list[WorkerSettings]:
    """Those that build what is on branches. None of them ever runs anything of a pull request."""
    return [worker for worker in workers_of(settings) if not worker.pull_requests]


def pull_workers(settings: Settings) -> list[WorkerSettings]:
    """Those that build pull requests, and nothing else."""
    return [worker for worker in workers_of(settings) if worker.pull_requests]


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
    return home.root / settings.store.path


def pull_store_path(settings: Settings, home: Home) -> Path:
    """Where archives of pull requests go. Nothing of main, the gate or a release looks there."""
    return home.root / settings.pull_requests.store


def release_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """The cells that a release needs, each of them."""
    if settings.release.cells is not None:
        return [matrix.by_builder_name[name] for name in settings.release.cells]
    return list(matrix.cells_of(settings.release.set))
