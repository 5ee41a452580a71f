"""The matrix of a commit: every cell there is, what became of it, and where its archive and reports are."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from buildbot.process import results
from twisted.internet import threads

from master import settings as farm_settings
from master.pages import database
from master.pages.database import Commit, Request
from master.pages.page import NoSuchPage, Page, Query, Source
from steps.checkout import COMMIT
from workers.model import Cell, Matrix

RECENT = 30
MEDIAN_OF = 15
REPORTS = {"validate.html": "validation", "prove.html": "proof", "test.html": "tests"}

State = Literal["ok", "failed", "running", "queued", "waiting", "skipped", "cancelled", "never", "no-worker"]
# In the order in which they are counted: a symbol, a word.
STATES: dict[State, tuple[str, str]] = {
    "ok": ("✓", "built"),
    "failed": ("✗", "failed"),
    "running": ("▶", "running"),
    "queued": ("…", "queued"),
    "waiting": ("⌛", "waits for a worker"),
    "skipped": ("→", "skipped"),
    "cancelled": ("■", "cancelled"),
    "never": ("–", "never built"),
    "no-worker": ("○", "no worker"),
}
ENDED: dict[int, State] = {
    results.SUCCESS: "ok",
    results.WARNINGS: "ok",
    results.FAILURE: "failed",
    results.EXCEPTION: "failed",
    results.SKIPPED: "skipped",
    results.CANCELLED: "cancelled",
    results.RETRY: "queued",
}


@dataclass(frozen=True)
class Snapshot:
    """workers: of each builder. kept: builder and number of the builds of the commit whose archive is stored, with the
    names of its files. medians: seconds, by builder."""

    matrix: Matrix
    workers: Mapping[str, Sequence[str]]
    connected: frozenset[str]
    commits: Sequence[Commit]
    revision: str
    requests: Sequence[Request]
    medians: Mapping[str, float]
    builderids: Mapping[str, int]
    kept: Mapping[tuple[str, int], frozenset[str]]
    now: float


@dataclass(frozen=True)
class CellView:
    """note: what else is worth saying. before: the number of an earlier build of the commit that ended well, where a
    later one did not. against: the duration against the median, in words."""

    cell: Cell
    state: State
    symbol: str
    word: str
    builderid: int | None = None
    number: int | None = None
    requestid: int | None = None
    took_s: float | None = None
    median_s: float | None = None
    against: str = ""
    slow: bool = False
    note: str = ""
    before: int | None = None
    archive: bool = False
    reports: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Row:
    version: str
    cells: Sequence[CellView | None]


@dataclass(frozen=True)
class Table:
    target: str
    variants: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True)
class View:
    """counts: word and number of the states that occur, of the cells that are shown."""

    revision: str
    commit: Commit | None
    commits: Sequence[Commit]
    tables: Sequence[Table]
    counts: Sequence[tuple[State, str, str, int]]
    shown: int
    targets: Sequence[str]
    versions: Sequence[str]
    variants: Sequence[str]
    asked_for: bool


def against(took_s: float, median_s: float | None) -> tuple[str, bool]:
    """A duration held against the usual one, in words; and whether it took much longer."""
    if not median_s:
        return "", False
    part = took_s / median_s
    if part >= 2:
        return f"{part:.1f} times the median", True
    change = round(100 * (part - 1))
    return ("as the median", False) if change == 0 else (f"{change:+d} % of the median".replace("-", "−"), False)


def view_of(cell: Cell, said: Snapshot) -> CellView:
    """What became of a cell of the commit: the newest build or request decides, and an earlier good one is named."""
    name = cell.builder_name
    mine = [one for one in said.requests if one.builder == name]
    newest = max(mine, key=lambda one: (one.requestid, one.buildid or 0), default=None)
    if newest is None:
        state: State = "never" if said.workers.get(name) else "no-worker"
        return CellView(cell, state, *STATES[state], builderid=said.builderids.get(name))
    state = _state(newest, said)
    good = [one for one in mine if one.result == results.SUCCESS and one.number is not None]
    last_good = max(good, key=lambda one: one.buildid or 0, default=None)
    before = last_good.number if last_good is not None and last_good.buildid != newest.buildid else None
    files = said.kept.get((name, newest.number or 0), frozenset())
    ran = newest.started_at is not None and state not in ("queued", "waiting")
    took = (newest.complete_at or said.now) - (newest.started_at or 0) if ran else None
    median = said.medians.get(name)
    words, slow = against(took, median) if took is not None and state in ("ok", "running") else ("", False)
    if state == "running" and not slow:
        words = ""
    return CellView(
        cell, state, *STATES[state], builderid=newest.builderid, number=newest.number, requestid=newest.requestid,
        took_s=took, median_s=median, against=words, slow=slow, before=before, archive=bool(files),
        note=newest.state if state == "failed" else _waits_for(name, said) if state == "waiting" else "",
        reports=[(file, title) for file, title in REPORTS.items() if file in files],
    )  # fmt: skip


def _state(newest: Request, said: Snapshot) -> State:
    if newest.result is None and newest.buildid is not None:
        return "running"
    state = ENDED.get(newest.result, "failed") if newest.result is not None else "queued"
    if newest.complete and state == "queued":
        # Taken back before any build of it began, or given up after a build that was to be tried again.
        return "cancelled"
    if state == "queued" and not said.connected & set(said.workers.get(newest.builder, ())):
        return "waiting"
    return state


def _waits_for(builder: str, said: Snapshot) -> str:
    names = said.workers.get(builder, ())
    return f"not connected: {', '.join(names)}" if names else "nothing builds it any more"


def chosen(matrix: Matrix, query: Query) -> list[Cell]:
    """The cells that the filters leave. Raises NoSuchPage for a name that does not exist."""
    known = {"target": matrix.targets, "version": matrix.versions, "variant": matrix.variants}
    for key, names in known.items():
        if query.get(key) and query[key] not in names:
            raise NoSuchPage(f"There is no {key} {query[key]!r}. There are: {', '.join(names)}.", 400)
    return [
        cell
        for cell in matrix.all_cells()
        if query.get("target", cell.target.triple) == cell.target.triple
        and query.get("version", cell.version.minor) == cell.version.minor
        and query.get("variant", cell.variant.name) == cell.variant.name
    ]


def model(said: Snapshot, query: Query) -> View:
    """All that the page shows."""
    cells = {cell: view_of(cell, said) for cell in chosen(said.matrix, query)}
    tables = []
    for target in dict.fromkeys(cell.target for cell in cells):
        variants = list(dict.fromkeys(cell.variant for cell in cells if cell.target == target))
        rows = [
            Row(version.minor, [cells.get(Cell(target, version, variant)) for variant in variants])
            for version in dict.fromkeys(cell.version for cell in cells if cell.target == target)
        ]
        tables.append(Table(target.triple, [variant.name for variant in variants], rows))
    counts = [
        (state, symbol, word, number)
        for state, (symbol, word) in STATES.items()
        if (number := sum(one.state == state for one in cells.values()))
    ]
    return View(
        revision=said.revision,
        commit=next((one for one in said.commits if one.revision == said.revision), None),
        commits=said.commits,
        tables=tables,
        counts=counts,
        shown=len(cells),
        targets=list(said.matrix.targets),
        versions=list(said.matrix.versions),
        variants=list(said.matrix.variants),
        asked_for=bool(said.requests),
    )


def commit_asked(query: Query) -> str | None:
    """The commit of the query, None for the newest. Raises NoSuchPage for what is none."""
    sha = query.get("sha", "").lower()
    if sha and not COMMIT.match(sha):
        raise NoSuchPage(f"{sha!r} is no commit: sha= takes all 40 digits of one.", 400)
    return sha or None


async def snapshot(source: Source, query: Query) -> Snapshot:
    """One visit to the database, one to the store's index."""
    wanted = commit_asked(query)
    names = [cell.builder_name for cell in source.matrix.all_cells()]

    def work(connection: Any, tables: Any) -> tuple[Any, ...]:
        recent = database.commits(connection, tables, source.repository, RECENT)
        revision = wanted or (recent[0].revision if recent else "")
        requests = database.requests_of(connection, tables, source.repository, revision) if revision else []
        ids = database.builder_ids(connection, tables, names)
        took = database.durations(connection, tables, list(ids.values()), MEDIAN_OF)
        medians = {name: statistics.median(took[one]) for name, one in ids.items() if took[one]}
        return recent, revision, requests, ids, medians, database.connected(connection, tables)

    recent, revision, requests, ids, medians, connected = await database.read(source.master, work)
    kept = await threads.deferToThread(_kept, source, revision, requests)
    workers = farm_settings.workers_of(source.settings)
    return Snapshot(
        matrix=source.matrix,
        workers={
            cell.builder_name: [one.name for one in workers if farm_settings.builds(one, cell)]
            for cell in source.matrix.all_cells()
        },
        connected=connected, commits=recent, revision=revision, requests=requests, medians=medians, builderids=ids,
        kept=kept, now=source.now(),
    )  # fmt: skip


def _kept(source: Source, revision: str, requests: Sequence[Request]) -> dict[tuple[str, int], frozenset[str]]:
    found = {}
    for one in requests:
        if one.result == results.SUCCESS and one.number is not None and one.builder in source.matrix.by_builder_name:
            record = source.store.record(revision, one.builder, one.number)
            if record is not None:
                found[one.builder, one.number] = frozenset(file.name for file in record.files())
    return found


PAGE = Page(
    name="matrix",
    title="Matrix",
    about="What became of every cell of a commit",
    snapshot=snapshot,
    model=model,
    parameters=("sha", "target", "version", "variant"),
)
