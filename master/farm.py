"""The whole farm as Buildbot's configuration, from the matrix and the settings."""

from __future__ import annotations

import time
from typing import Any

from buildbot.plugins import worker

from master import builders, settings
from master.access.reading import Reading
from master.access.signing_in import access_of
from master.archives import Archives
from master.bucket.access import StorePlace
from master.cluster import configured
from master.door import Door, origins_of
from master.fleet import hands
from master.home import Home
from master.images import building
from master.mended import mend
from master.mirror import Mirror
from master.notices.service import notifying
from master.pages.connections import Connections
from master.pages.listed import PAGES
from master.pages.page import Source
from master.pages.serving import Pages, in_the_menu
from master.published import Published, build_types, public_half
from master.pulls.assembly import parts_of
from master.reconfig.running import running_of
from master.record import Keeper
from master.release.form import gate_of
from master.release.page import Ask, Releases
from master.release.releasing import Releasing
from master.retention import builder as housekeeping
from master.schedulers import poller, schedulers_of
from master.secrets.places import secrets_of
from master.settings import Settings
from master.signing.attester import Attester
from master.store import Store
from master.updates import looking_after
from master.updates.page import PinsFiles
from master.watch.service import watch_of
from workers.model import Matrix

# A log is shown in a browser: what is larger belongs into a node's own log file on the worker.
LOG_LIMIT = 50_000_000


def web(home: Home, chosen: Settings) -> dict[str, Any]:
    url = settings.page_url(chosen)
    return {
        "port": f"tcp:{chosen.web.port}:interface={chosen.web.interface.replace(':', chr(92) + ':')}",
        "plugins": {"waterfall_view": {}, "console_view": {}, "grid_view": {}, "pymint": in_the_menu(PAGES)},
        "allowed_origins": origins_of(url, chosen.web.port),
        "ui_default_config": {"Builders.show_workers_name": True},
        **access_of(secrets_of(home.root, chosen.secrets), chosen.access, chosen.login.users),
    }


def pages_of(home: Home, chosen: Settings, matrix: Matrix, store: StorePlace, readiness: Ask) -> dict[str, Any]:
    """What stands beside Buildbot's own pages, by its path."""
    repository = settings.repository_url(chosen, home)
    own = Pages(
        PAGES, lambda master: Source(master, home, chosen, matrix, Store(store), repository, readiness, time.time)
    )
    return {
        "pages": own,
        "archives": Archives(store),
        "releases": Releases(store, readiness),
        "pins": PinsFiles(home.updates),
        "keys": Published(public_half(home.keys)),
        "buildtypes": Published(build_types(home.checkout / "docs")),
    }


def configuration(home: Home, matrix: Matrix) -> dict[str, Any]:
    """BuildmasterConfig. Raises Failure when settings.toml is wrong."""
    mend()
    chosen = settings.load(home, matrix)
    url = settings.page_url(chosen)
    worked = settings.worked_cells(chosen, matrix)
    branch = chosen.repository.branch
    store = settings.store_place(chosen, home)
    mirror = Mirror(home.repository, settings.repository_url(chosen, home))
    attester = Attester(home, tuple(chosen.signing.command), mirror.url, branch)
    incoming = str(settings.uploads_path(chosen, home))
    places = builders.Places(mirror.url, incoming, Keeper(store), url, attester)
    by_cell = [builders.cell_builder(cell, settings.main_workers(chosen), chosen, places) for cell in worked]
    pulls = parts_of(home, chosen, matrix, mirror.url, [cell.builder_name for cell in worked])
    releasing = Releasing(home, mirror.url, branch, url)
    inside = configured.internal_worker(home, settings.FARM_WORKER)
    farm = [
        builders.farm_builder(worked, mirror.url, inside),
        builders.release_builder(chosen, releasing, inside),
        builders.pins_builder(chosen, looking_after.LookingAfter(home, mirror.url, branch, url), inside),
    ]
    gate = gate_of(home, chosen, matrix)
    reading = Reading if chosen.access.read == "login" else None
    pages = {**pages_of(home, chosen, matrix, store, gate.readiness), **pulls.pages}
    found: dict[str, Any] = {
        "title": "pymint",
        "titleURL": url,
        "buildbotURL": url,
        "db": configured.database(home, chosen),
        **configured.several(home, chosen),
        "protocols": {"pb": {"port": hands.port_of(home, chosen)}, "null": {}},
        "www": web(home, chosen),
        "workers": [*hands.workers_of(home, chosen), worker.LocalWorker(inside, max_builds=20)],
        "builders": [
            *by_cell,
            *(farm if worked else []),
            *pulls.builders,
            *building.builders_of(chosen, home, mirror.url),
            housekeeping.builder_of(home, inside),
        ],
        "projects": [
            *builders.projects_of(matrix.versions, settings.waiting_cells(chosen, matrix)),
            *pulls.projects,
        ],
        "change_source": [
            poller(mirror.url, branch, chosen.repository.poll_s, home.master / "gitpoller"),
            *pulls.change_sources,
        ],
        "schedulers": [
            *schedulers_of(worked, settings.push_cells(chosen, matrix), mirror, branch, gate),
            *pulls.schedulers,
            *building.schedulers_of(chosen, mirror, branch),
            *housekeeping.schedulers_of(chosen),
            *(looking_after.schedulers_of(mirror.url, branch, chosen.updates) if worked else []),
        ],
        "services": [
            Door(origins=origins_of(url, chosen.web.port), children=pages, reading=reading),
            Connections(name=Connections.name),
            *configured.services(chosen),
            hands.ward_of(home, chosen),
            watch_of(home, chosen, gate.readiness),
            notifying(home, chosen),
        ],
        "collapseRequests": False,
        "logMaxSize": LOG_LIMIT,
        "logMaxTailSize": 1_000_000,
        "buildbotNetUsageData": None,
    }
    found["services"].append(running_of(home, found))
    return found
