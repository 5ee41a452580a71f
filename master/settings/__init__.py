"""The operator's settings: one optional TOML file, `settings.toml` in MINT_HOME. Every default works."""

from master.settings.checks import check, load
from master.settings.derived import (
    LOCAL_WORKER,
    builds,
    disk_wanted_gb,
    is_loopback,
    local_address,
    local_worker,
    page_url,
    protocol_names,
    push_cells,
    release_cells,
    repository_url,
    store_path,
    uses_tls,
    waiting_cells,
    worked_cells,
    workers_of,
)
from master.settings.reading import parse
from master.settings.tables import Settings, WorkerSettings

__all__ = [
    "LOCAL_WORKER",
    "Settings",
    "WorkerSettings",
    "builds",
    "check",
    "disk_wanted_gb",
    "is_loopback",
    "load",
    "local_address",
    "local_worker",
    "page_url",
    "parse",
    "protocol_names",
    "push_cells",
    "release_cells",
    "repository_url",
    "store_path",
    "uses_tls",
    "waiting_cells",
    "worked_cells",
    "workers_of",
]
