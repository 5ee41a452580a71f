"""`./mint status`: what runs, what waits, what was built lately, what is stored and how large it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from master import settings as farm_settings
from master.cli import daemons
from master.cli.context import Farm, this_farm
from master.cli.rest import Rest, SignInFirst, Unreachable
from master.cli.signing_in import sign_in, user_option
from master.cli.views import build_of, builder_names, result_name
from master.home import cache_directory
from master.store import Store, Usage
from workers.programs import status as worker_status
from workers.progress import counted, seconds, size
from workers.reports.base import encode

RECENT = 8


@dataclass(frozen=True)
class BuildLine:
    """A build as people look for it. id: what `./mint follow` and `stop` take; seconds: since it began, or it took."""

    id: int
    builder: str
    number: int
    result: str
    doing: str
    seconds: float
    page: str


@dataclass(frozen=True)
class RequestLine:
    id: int
    builder: str
    waiting_s: float


@dataclass(frozen=True)
class Status:
    """running: pids of master and worker, None where it does not run. cache_bytes: downloaded sources.

    untold: why nothing is said of builds.
    """

    page: str
    home: str
    running: Mapping[str, int | None]
    workers: Mapping[str, bool]
    builds: list[BuildLine] = field(default_factory=list)
    queued: list[RequestLine] = field(default_factory=list)
    recent: list[BuildLine] = field(default_factory=list)
    waiting_for_a_worker: dict[str, list[str]] = field(default_factory=dict)
    archives: Usage | None = None
    objects: worker_status.Stored | None = None
    cache_bytes: int = 0
    untold: str = ""


def status_of(farm: Farm, user: str | None = None) -> Status:
    """Looks at everything. Raises Failure for a mistake in the settings or a record that can't be read."""
    pids = {d.name: process.pid if (process := d.running()) else None for d in _daemons(farm)}
    archives = Store(farm_settings.store_place(farm.settings, farm.home))
    cache = cache_directory()
    told = _ask(farm, user) if pids["master"] else {}
    return Status(
        page=farm.page,
        home=str(farm.home.root),
        running=pids,
        workers=told.pop("workers", {w.name: False for w in farm_settings.workers_of(farm.settings)}),
        waiting_for_a_worker=_waiting(farm),
        archives=archives.usage() if archives.root.is_dir() else None,
        objects=worker_status.stored(farm.home.worker_state) if farm.home.worker_state.is_dir() else None,
        cache_bytes=sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) if cache.is_dir() else 0,
        **told,
    )


def _daemons(farm: Farm) -> list[daemons.Daemon]:
    return [daemons.master_daemon(farm.home), daemons.worker_daemon(farm.home)]


def _waiting(farm: Farm) -> dict[str, list[str]]:
    """The cells that no worker builds, by target: 34 names in a column help nobody."""
    waiting: dict[str, list[str]] = {}
    for cell in farm_settings.waiting_cells(farm.settings, farm.matrix):
        waiting.setdefault(cell.target.triple, []).append(cell.builder_name)
    return waiting


def _ask(farm: Farm, user: str | None) -> dict[str, Any]:
    """What only the master knows; when it does not answer, or not to who asks, why that is not told."""
    rest = Rest(farm.api)
    try:
        sign_in(farm, rest, user)
        names = builder_names(rest)
        now = time.time()

        def line(row: Mapping[str, Any]) -> BuildLine:
            build = build_of(row)
            return BuildLine(
                id=build.id,
                builder=names.get(build.builder_id, "?"),
                number=build.number,
                result=result_name(build.result),
                doing=build.text,
                seconds=round((build.ended or now) - build.started, 1),
                page=build.page(farm.page),
            )

        running = rest.rows("builds", "builds", complete="false", order="-buildid")
        ended = rest.rows("builds", "builds", complete="true", order="-buildid", limit=RECENT)
        requests = rest.rows(
            "buildrequests", "buildrequests", complete="false", claimed="false", order="buildrequestid"
        )
        connected = {row["name"]: bool(row["connected_to"]) for row in rest.rows("workers", "workers")}
        return {
            # Those of the settings: Buildbot lists its own helpers on the master as workers too.
            "workers": {w.name: connected.get(w.name, False) for w in farm_settings.workers_of(farm.settings)},
            "builds": [line(row) for row in running],
            "recent": [line(row) for row in ended],
            "queued": [
                RequestLine(r["buildrequestid"], names.get(r["builderid"], "?"), round(now - r["submitted_at"], 1))
                for r in requests
            ],
        }
    except Unreachable as silence:
        return {"untold": f"the master does not answer: {silence.found}"}
    except SignInFirst:
        return {"untold": "builds, queue and workers are shown to who signs in: --user NAME"}


def lines_of(status: Status) -> list[str]:
    """The status for people."""
    lines = []
    for name, pid in status.running.items():
        lines.append(f"{name:<9} {f'runs, process {pid}' if pid else 'does not run'}")
    lines.append(f"{'page':<9} {status.page}")
    if status.untold:
        lines.append(f"{'untold':<9} {status.untold}")
    for name, connected in status.workers.items() if not status.untold else ():
        lines.append(f"{'workers':<9} {name}: {'connected' if connected else 'not connected'}")
    lines += _section("running", [f"{_of(b)}  {seconds(b.seconds)}, {b.doing}" for b in status.builds])
    lines += _section("queued", [f"request {r.id}  {r.builder}  for {seconds(r.waiting_s)}" for r in status.queued])
    lines += _section("recent", [f"{_of(b)}  {b.result}, {seconds(b.seconds)}" for b in status.recent])
    lines += _section(
        "waiting for a worker",
        [f"{target}: {counted(len(names), 'cell')}" for target, names in status.waiting_for_a_worker.items()],
    )
    stored = status.archives
    lines.append("stored")
    if stored is not None:
        loose = f", {size(stored.unreferenced_size)} of it referred to by nothing" if stored.unreferenced_files else ""
        files = f"{counted(stored.files, 'file')}, {size(stored.size)}"
        lines.append(f"  archives  {counted(stored.records, 'build')}, {files}{loose}")
    if status.objects is not None:
        lines.append(f"  objects   {status.objects.objects}, {size(status.objects.bytes)}")
        lines.append(f"  free      {size(status.objects.free_bytes)} on the disk of {status.home}")
    lines.append(f"  sources   {size(status.cache_bytes)} in the cache")
    return lines


def _of(build: BuildLine) -> str:
    return f"build {build.id}  {build.builder} #{build.number}"


def _section(title: str, rows: list[str]) -> list[str]:
    return [title, *(f"  {row}" for row in rows)] if rows else []


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@user_option
def status(as_json: bool, user: str | None) -> None:
    """Shows what runs, what waits, what was built, what is stored and how large it is."""
    found = status_of(this_farm(), user)
    if as_json:
        click.echo(encode(found).decode(), nl=False)
        return
    for line in lines_of(found):
        click.echo(line)
