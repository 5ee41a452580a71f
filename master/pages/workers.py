"""The workers: who is there, since when, what it does and did, and what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa
from buildbot.process import results

from master import settings as farm_settings
from master.fleet.notices import DOCTOR
from master.pages import connections, database
from master.pages.connections import Change
from master.pages.page import Page, Query, Source

RECENT = 12


@dataclass(frozen=True)
class Health:
    """What a worker's own check found (the worker's word, as JSON in its info). Sizes in GB, the clock in seconds."""

    checked_at: str = ""
    disk_free_gb: float | None = None
    disk_total_gb: float | None = None
    clock_offset_s: float | None = None
    tools: dict[str, str] = field(default_factory=dict)
    python: str = ""
    host: str = ""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Build:
    """result: Buildbot's code, None while it runs; times in seconds since 1970."""

    builder: str
    builderid: int
    number: int
    result: int | None
    started_at: float
    complete_at: float | None
    state: str = ""


@dataclass(frozen=True)
class Worker:
    """As the database has it. heard_at: the last sign of life; configured: whether settings.toml has it."""

    workerid: int
    name: str
    connected: bool
    configured: bool
    paused: bool
    pause_reason: str
    draining: bool
    info: Mapping[str, Any]
    builds: Sequence[Build]
    targets: Sequence[str] = ()
    cross: Sequence[str] = ()
    max_builds: int | None = None
    changes: Sequence[Change] = ()
    heard_at: float | None = None


@dataclass(frozen=True)
class Snapshot:
    workers: Sequence[Worker]
    now: float


@dataclass(frozen=True)
class Past:
    build: Build
    symbol: str
    word: str
    state: str
    took_s: float


@dataclass(frozen=True)
class View:
    """state: for the colour; word: for people. facts: what it says of itself. warnings: what is wrong with it."""

    worker: Worker
    state: str
    symbol: str
    word: str
    since: float | None
    running: Sequence[Past]
    past: Sequence[Past]
    failed: int
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    checked: bool
    lost: int


def health_of(info: Mapping[str, Any]) -> Health | None:
    """What the worker said, None when it said nothing or something else: a worker's word is text, never trusted."""
    said = info.get(DOCTOR)
    try:
        if isinstance(said, str):
            return msgspec.json.decode(said, type=Health)
        return None if said is None else msgspec.convert(said, Health)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


def facts_of(info: Mapping[str, Any], health: Health | None) -> list[tuple[str, str]]:
    found = [("Host", str(info.get("host", "")).strip() or (health.host if health else ""))]
    if health is not None:
        free, total = health.disk_free_gb, health.disk_total_gb
        if free is not None:
            found.append(("Disk", f"{free:.0f} GB free" + (f" of {total:.0f} GB" if total else "")))
        offset = health.clock_offset_s
        found.append(("Clock", "not compared" if offset is None else f"{offset:+.1f} s".replace("-", "−")))
        found.append(("Python", health.python))
        found.append(("Tools", ", ".join(f"{name} {version}" for name, version in sorted(health.tools.items()))))
        found.append(("Checked", health.checked_at))
    found.append(("Processors", str(info.get("numcpus", ""))))
    found.append(("Buildbot", str(info.get("version", ""))))
    return [(name, text[:300]) for name, text in found if text]


def past_of(build: Build, now: float) -> Past:
    took = (build.complete_at or now) - build.started_at
    if build.result is None:
        return Past(build, "▶", "running", "running", took)
    if build.result in (results.SUCCESS, results.WARNINGS):
        return Past(build, "✓", "ended well", "ok", took)
    if build.result in (results.FAILURE, results.EXCEPTION):
        return Past(build, "✗", results.Results[build.result], "failed", took)
    word = results.Results[build.result] if 0 <= build.result < len(results.Results) else f"result {build.result}"
    return Past(build, "–", word, "cancelled", took)


def view_of(worker: Worker, now: float) -> View:
    builds = [past_of(one, now) for one in worker.builds]
    health = health_of(worker.info)
    last = worker.changes[-1] if worker.changes else None
    since = last.at if last is not None and last.connected == worker.connected else None
    if not worker.connected:
        state, symbol, word = "failed", "✗", "not connected"
    elif worker.paused:
        state, symbol, word = "waiting", "‖", "paused"
    elif worker.draining:
        state, symbol, word = "waiting", "⇥", "draining: ends once its builds have"
    elif any(one.state == "running" for one in builds):
        state, symbol, word = "running", "▶", "builds"
    else:
        state, symbol, word = "ok", "✓", "idle"
    past = [one for one in builds if one.state != "running"]
    warnings = list(health.problems)[:20] if health is not None else []
    if worker.connected and not worker.configured:
        warnings.append("It is not in settings.toml any more.")
    return View(
        worker, state, symbol, word, since,
        running=[one for one in builds if one.state == "running"] if worker.connected else [],
        past=past, failed=sum(one.state == "failed" for one in past), facts=facts_of(worker.info, health),
        warnings=warnings, checked=health is not None, lost=sum(not one.connected for one in worker.changes),
    )  # fmt: skip


def model(said: Snapshot, query: Query) -> Sequence[View]:
    """Those that need a person first: not connected, with warnings, paused, then by name."""
    views = [view_of(one, said.now) for one in said.workers if one.configured or one.connected]
    order = {"failed": 0, "waiting": 1}
    return sorted(views, key=lambda one: (order.get(one.state, 1 if one.warnings else 2), one.worker.name))


def _builds(connection: Any, tables: Any, workerid: int) -> list[Build]:
    builds, builders = tables.builds, tables.builders
    query = (
        sa.select(
            builders.c.name, builds.c.builderid, builds.c.number, builds.c.results, builds.c.started_at,
            builds.c.complete_at, builds.c.state_string,
        )
        .select_from(builds.join(builders, builders.c.id == builds.c.builderid))
        .where(builds.c.workerid == workerid)
        .order_by(builds.c.id.desc())
        .limit(RECENT)
    )  # fmt: skip
    return [
        Build(
            row.name, row.builderid, row.number, row.results if row.complete_at is not None else None, row.started_at,
            row.complete_at, row.state_string or "",
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def _info(text: Any) -> Mapping[str, Any]:
    if isinstance(text, str):
        try:
            text = json.loads(text)
        except ValueError:
            return {}
    return text if isinstance(text, dict) else {}


async def snapshot(source: Source, query: Query) -> Snapshot:
    configured = {one.name: one for one in farm_settings.workers_of(source.settings)}

    def work(connection: Any, tables: Any) -> list[tuple[Any, bool, list[Build]]]:
        there = database.connected(connection, tables)
        rows = connection.execute(sa.select(tables.workers).order_by(tables.workers.c.name)).all()
        shown = [row for row in rows if row.name in configured or row.name in there]
        return [(row, row.name in there, _builds(connection, tables, row.id)) for row in shown]

    heard = connections.known(source.master)
    alive = source.master.workers.workers
    workers = []
    for row, connected, builds in await database.read(source.master, work):
        mine = configured.get(row.name)
        if mine is None and (row.name.startswith("__") or row.name == farm_settings.FARM_WORKER):
            continue  # the master's own: they only wait for others
        seen = getattr(alive.get(row.name), "lastMessageReceived", 0)
        workers.append(
            Worker(
                workerid=row.id,
                name=row.name,
                connected=connected,
                configured=mine is not None,
                paused=bool(row.paused),
                pause_reason=row.pause_reason or "",
                draining=bool(row.graceful),
                info=_info(row.info),
                builds=builds,
                targets=mine.targets if mine else (),
                cross=mine.cross if mine else (),
                max_builds=mine.max_builds if mine else None,
                changes=heard.get(row.id, ()),
                heard_at=seen or None,
            )
        )
    return Snapshot(workers, source.now())


PAGE = Page(
    name="workers",
    title="Workers",
    about="Who is there, and how it is",
    snapshot=snapshot,
    model=model,
)
