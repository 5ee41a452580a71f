"""The operator's settings: one optional TOML file, `settings.toml` in MINT_HOME. Every default works."""

from master.settings.checks import check, load
from master.settings.derived import (
    LOCAL_WORKER,
    builds,
    is_loopback,
    local_worker,
    main_workers,
    page_url,
    pull_cells,
    pull_store_path,
    pull_workers,
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
    "Settings",
    "WorkerSettings",
    "builds",
    "check",
    "is_loopback",
    "load",
    "local_worker",
    "main_workers",
    "page_url",
    "parse",
    "pull_cells",
    "pull_store_path",
    "pull_workers",
    "push_cells",
    "release_cells",
    "repository_url",
    "store_path",
    "waiting_cells",
    "worked_cells",
    "workers_of",
]
