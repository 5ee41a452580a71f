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
from master.home import Home
from master.instance import worker_password
from master.mirror import Mirror
from master.published import Published, build_types, public_half
from master.record import Keeper
from master.release.form import gate_of
from master.release.page import Ask, Releases
from master.release.releasing import Releasing
from master.schedulers import poller, schedulers_of
from master.settings import Settings
from master.signing.attester import Attester
from master.updates import looking_after
from master.updates.page import PinsPage
from workers.model import Matrix

# A log is shown in a browser: what is larger belongs into a node's own log file on the worker.
LOG_LIMIT = 50_000_000


def workers_of(home: Home, chosen: Settings) -> list[Any]:
    """keepalive_interval: half-dead connections are noticed within a minute or two."""
    return [
        worker.Worker(
            one.name,
            worker_password(home, one),
            max_builds=one.max_builds,
            keepalive_interval=60,
            properties={"targets": one.targets},
        )
        for one in settings.workers_of(chosen)
    ]


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
        "pins": PinsPage(home.updates, store),
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
    if worked:
        farm.append(builders.pins_builder(chosen, looking_after.LookingAfter(home, mirror.url, branch, url)))
    gate = gate_of(home, chosen, matrix)
    return {
        "title": "pymint",
        "titleURL": url,
        "buildbotURL": url,
        "db": {"db_url": "sqlite:///state.sqlite"},
        "protocols": {
            "pb": {"port": f"tcp:{chosen.protocol.port}:interface={chosen.protocol.interface}"},
            "null": {},
        },
        "www": web(chosen),
        "workers": [*workers_of(home, chosen), worker.LocalWorker(builders.FARM_WORKER, max_builds=20)],
        "builders": [*by_cell, *farm],
        "projects": builders.projects_of(matrix.versions, settings.waiting_cells(chosen, matrix)),
        "change_source": [poller(mirror.url, branch, chosen.repository.poll_s, home.master / "gitpoller")],
        "schedulers": [
            *schedulers_of(worked, settings.push_cells(chosen, matrix), mirror, branch, gate),
            *(looking_after.schedulers_of(mirror.url, branch, chosen.updates) if worked else []),
        ],
        "services": [Door(origins=origins_of(url, chosen.web.port), children=pages_of(home, store, gate.readiness))],
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
