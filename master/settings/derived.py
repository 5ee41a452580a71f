"""What follows from the settings: workers, cells, addresses."""

from __future__ import annotations

import ipaddress
import platform
from dataclasses import replace
from pathlib import Path

from master.home import Home
from master.settings.tables import Protocol, Settings, WorkerSettings
from workers.errors import Failure
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
    return replace(settings, web=web, protocol=Protocol(one.worker_port, one.worker_interface))
