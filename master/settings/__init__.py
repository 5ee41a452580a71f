"""The operator's settings: one optional TOML file, `settings.toml` in MINT_HOME. Every default works."""

from master.cluster.choice import MasterSettings
from master.settings.checks import check, load
from master.settings.derived import (
    LOCAL_WORKER,
    builds,
    for_master,
    is_loopback,
    local_worker,
    page_url,
    push_cells,
    release_cells,
    repository_url,
    store_path,
    waiting_cells,
    worked_cells,
    workers_of,
)
from master.settings.reading import parse
from master.settings.tables import Settings, WorkerSettings

__all__ = [
    "LOCAL_WORKER",
    "MasterSettings",
    "Settings",
    "WorkerSettings",
    "builds",
    "check",
    "for_master",
    "is_loopback",
    "load",
    "local_worker",
    "page_url",
    "parse",
    "push_cells",
    "release_cells",
    "repository_url",
    "store_path",
    "waiting_cells",
    "worked_cells",
    "workers_of",
]
