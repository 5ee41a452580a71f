"""The whole farm as Buildbot's configuration, from the matrix and the settings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from buildbot.plugins import util, worker

from master import builders, settings
from master.access import web_access
from master.archives import Archives
from master.door import Door, origins_of
from master.fleet import hands
from master.home import Home
from master.images import building
from master.mirror import Mirror
from master.published import Published, build_types, public_half
from master.record import Keeper
from master.release.form import gate_of
from master.release.page import Ask, Releases
from master.release.releasing import Releasing
from master.schedulers import poller, schedulers_of
from master.settings import Settings
from master.signing.attester import Attester
from workers.model import Matrix

# A log is shown in a browser: what is larger belongs into a node's own log file on the worker.
LOG_LIMIT = 50_000_000


def web(chosen: Settings) -> dict[str, Any]:
    url = settings.page_url(chosen)
    return {
        "port": f"tcp:{chosen.web.port}:interface={chosen.web.interface.replace(':', chr(92) + ':')}",
        "plugins": {"waterfall_view": {}, "console_view": {}, "grid_view": {}},
        "allowed_origins": origins_of(url, chosen.web.port),
        "ui_default_config": {"Builders.show_workers_name": True},
        **web_access(chosen.login.users, chosen.release.releasers),
    }


def pages_of(home: Home, store: Path, readiness: Ask) -> dict[str, Any]:
    """What stands beside Buildbot's own pages, by its path."""
    return {
        "archives": Archives(store),
        "releases": Releases(store, readiness),
        "keys": Published(public_half(home.keys)),
        "buildtypes": Published(build_types(home.checkout / "docs")),
    }


def configuration(home: Home, matrix: Matrix) -> dict[str, Any]:
    """BuildmasterConfig. Raises Failure when settings.toml is wrong."""
    chosen = settings.load(home, matrix)
    url = settings.page_url(chosen)
    worked = settings.worked_cells(chosen, matrix)
    branch = chosen.repository.branch
    store: Path = settings.store_path(chosen, home)
    mirror = Mirror(home.repository, settings.repository_url(chosen, home))
    attester = Attester(home, tuple(chosen.signing.command), mirror.url, branch)
    places = builders.Places(mirror.url, str(home.incoming), Keeper(store), url, attester)
    by_cell = [builders.cell_builder(cell, settings.workers_of(chosen), chosen, places) for cell in worked]
    releasing = Releasing(home, mirror.url, branch, url)
    farm = [builders.farm_builder(worked, mirror.url), builders.release_builder(chosen, releasing)] if worked else []
    gate = gate_of(home, chosen, matrix)
    return {
        "title": "pymint",
        "titleURL": url,
        "buildbotURL": url,
        "db": {"db_url": "sqlite:///state.sqlite"},
        "protocols": {"pb": {"port": hands.port_of(home, chosen)}, "null": {}},
        "www": web(chosen),
        "workers": [*hands.workers_of(home, chosen), worker.LocalWorker(builders.FARM_WORKER, max_builds=20)],
        "builders": [*by_cell, *farm, *building.builders_of(chosen, home, mirror.url)],
        "projects": builders.projects_of(matrix.versions, settings.waiting_cells(chosen, matrix)),
        "change_source": [poller(mirror.url, branch, chosen.repository.poll_s, home.master / "gitpoller")],
        "schedulers": [
            *schedulers_of(worked, settings.push_cells(chosen, matrix), mirror, branch, gate),
            *building.schedulers_of(chosen, mirror, branch),
        ],
        "services": [
            Door(origins=origins_of(url, chosen.web.port), children=pages_of(home, store, gate.readiness)),
            hands.ward_of(home, chosen),
        ],
        "configurators": [
            util.JanitorConfigurator(
                logHorizon=timedelta(days=chosen.build.keep_log_days),
                build_data_horizon=timedelta(days=4 * chosen.build.keep_log_days),
                hour=4,
            )
        ],
        "collapseRequests": False,
        "logMaxSize": LOG_LIMIT,
        "logMaxTailSize": 1_000_000,
        "buildbotNetUsageData": None,
    }
