"""How a cell changes from commit to commit: sizes, what a build costs, what a start of the interpreter costs."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup
from twisted.internet import threads

from master.pages import benchmarks, charts, database
from master.pages.archive import WHOLE, Timed
from master.pages.charts import Series
from master.pages.page import NoSuchPage, Page, Query, Source
from master.store import ArchiveRecord, Store, Stored
from workers.errors import Failure
from workers.model import FLAVOURS
from workers.progress import seconds, size
from workers.reports.base import decode
from workers.reports.build import STAGES

COMMITS = 60
REMEMBERED = 20_000


@dataclass(frozen=True)
class Start:
    """What the proof measured: processor time of `import hashlib`, in seconds, with FIPS off and on."""

    load_cpu_off_s: float
    load_cpu_on_s: float
    emulator: str = ""


@dataclass(frozen=True)
class Built:
    """A nodes report, as far as it says whether anything was really built."""

    nodes: list[_Node]


@dataclass(frozen=True)
class _Node:
    origin: str


@dataclass(frozen=True)
class Point:
    """Of one commit. sizes: bytes by flavour. cpu_s: of all stages; whole: whether CPython itself was built.

    start_*: seconds; None where nothing is recorded. speed: how many times as fast as what it was compared with, which
    `against` names."""

    commit: str
    builder: str
    number: int
    recorded_at: float
    python_version: str
    sizes: Mapping[str, int]
    cpu_s: float | None
    whole: bool
    start_off_s: float | None
    start_on_s: float | None
    speed: float | None = None
    against: str = ""


@dataclass(frozen=True)
class Snapshot:
    """points: oldest first, one a commit. builders: of the cells that have archives."""

    builder: str
    builders: Sequence[str]
    points: Sequence[Point]
    builderid: int | None


@dataclass(frozen=True)
class Chart:
    title: str
    about: str
    legend: Markup
    drawing: Markup
    columns: Sequence[str]
    rows: Sequence[tuple[Point, Sequence[str]]]


@dataclass(frozen=True)
class View:
    builder: str
    builders: Sequence[str]
    charts: Sequence[Chart]
    commits: int
    builderid: int | None


def chart(title: str, about: str, points: Sequence[Point], series: Sequence[Series], shown: Any) -> Chart | None:
    """A chart and its table, newest first; None when nothing is known."""
    kept = [one for one in series if any(value is not None for value in one.values)]
    if not kept:
        return None
    labels = [point.commit[:8] for point in points]
    rows = [
        (point, ["" if one.values[at] is None else shown(one.values[at]) for one in kept])
        for at, point in enumerate(points)
    ]
    drawing = charts.lines(title, labels, kept, shown)
    return Chart(title, about, charts.legend(kept), drawing, [one.name for one in kept], rows[::-1])


def milliseconds(value: float) -> str:
    return f"{1000 * value:.0f} ms" if value < 1 else seconds(value)


def model(said: Snapshot, query: Query) -> View:
    points = said.points
    sizes = [Series(flavour, [point.sizes.get(flavour) for point in points]) for flavour in FLAVOURS]
    costs = [
        Series("with CPython built", [point.cpu_s if point.whole else None for point in points]),
        Series("CPython from the store", [None if point.whole else point.cpu_s for point in points]),
    ]
    starts = [
        Series("FIPS off", [point.start_off_s for point in points]),
        Series("FIPS on", [point.start_on_s for point in points]),
    ]
    others = list(dict.fromkeys(point.against for point in points if point.speed is not None))
    speeds = [Series(name, [point.speed if point.against == name else None for point in points]) for name in others]
    drawn = [
        chart("Size", "The archives as they are downloaded, by flavour.", points, sizes, lambda v: size(round(v))),
        chart(
            "Build time",
            "Processor time of all stages. A build that finds its CPython stored costs little: two lines.",
            points, costs, seconds,
        ),
        chart(
            "Start-up",
            "Processor time that `import hashlib` costs a process, the median that the proof measured.",
            points, starts, milliseconds,
        ),
        chart(
            "Speed",
            "How many times as fast as another interpreter, over twenty benchmarks: what was measured by hand.",
            points, speeds, lambda v: f"{v:.3f}",
        ),
    ]  # fmt: skip
    return View(said.builder, said.builders, [one for one in drawn if one is not None], len(points), said.builderid)


class Facts:
    """What is read of a build's reports, once: what is recorded never changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, Point | None] = OrderedDict()

    def of(self, store: Store, path: Path) -> Point | None:
        """None for a record that can't be read."""
        with self._lock:
            if path not in self._kept:
                self._kept[path] = _point(store, path)
                while len(self._kept) > REMEMBERED:
                    self._kept.popitem(last=False)
            return self._kept[path]


FACTS = Facts()


def _point(store: Store, path: Path) -> Point | None:
    try:
        record = decode(path.read_bytes(), ArchiveRecord, path.name)
    except (OSError, Failure):
        return None
    by_name = {one.name: one for one in record.reports}
    costs = [_read(store, by_name.get(f"{name}.json"), Timed) for name in (*STAGES, *WHOLE)]
    known = [one.measure.cpu_s for one in costs if one is not None]
    built = _read(store, by_name.get("cpython.json"), Built)
    start = _read(store, by_name.get("prove.json"), Start)
    sizes: dict[str, int] = {"full": record.archive.size, **{one.flavour: one.archive.size for one in record.derived}}
    return Point(
        commit=record.commit, builder=record.builder, number=record.number, recorded_at=record.recorded_at,
        python_version=record.python_version, sizes=sizes, cpu_s=sum(known) if known else None,
        whole=built is not None and any(node.origin == "built" for node in built.nodes),
        # Under an emulator they are not a processor's times.
        start_off_s=start.load_cpu_off_s if start is not None and not start.emulator else None,
        start_on_s=start.load_cpu_on_s if start is not None and not start.emulator else None,
    )  # fmt: skip


def _read(store: Store, stored: Stored | None, kind: type[Any]) -> Any:
    """The report, None where there is none or it can't be read. Its digest was checked when it was stored; what is
    drawn here decides nothing."""
    if stored is None:
        return None
    try:
        return decode(store.path_of(stored.sha256).read_bytes(), kind, stored.name)
    except (OSError, Failure):
        return None


def newest_of(paths: Sequence[tuple[float, Path]], many: int) -> list[Path]:
    """The newest record of each commit, of so many commits, newest first. paths: when they were written, and where."""
    found: dict[str, Path] = {}
    for _, path in sorted(paths, reverse=True):
        if len(found) < many:
            found.setdefault(path.parent.parent.name, path)
    return list(found.values())


async def snapshot(source: Source, query: Query) -> Snapshot:
    known = source.matrix.by_builder_name
    wanted = query.get("cell", "")
    if wanted and wanted not in known:
        raise NoSuchPage(f"There is no cell {wanted!r}.")
    builder, builders, points = await threads.deferToThread(_look, source, wanted, list(known))
    ids = await database.read(source.master, lambda one, tables: database.builder_ids(one, tables, [builder]))
    return Snapshot(builder, builders, points, ids.get(builder))


def _look(source: Source, wanted: str, known: Sequence[str]) -> tuple[str, list[str], list[Point]]:
    source.store.glimpse("index")
    index = source.store.root / "index"
    commits = list(index.iterdir()) if index.is_dir() else []
    counted = Counter(one.name for commit in commits for one in commit.iterdir())
    builders = [name for name in known if counted[name]]
    builder = wanted or max(builders, key=lambda name: counted[name], default=known[0])
    paths = [path for commit in commits for path in (commit / builder).glob("*.json")]
    newest = newest_of([(path.stat().st_mtime, path) for path in paths], COMMITS)
    points = [FACTS.of(source.store, path) for path in newest]
    found = [_with_speed(source, point) for point in points if point is not None]
    return builder, builders, sorted(found, key=lambda point: point.recorded_at)


def _with_speed(source: Source, point: Point) -> Point:
    measured = benchmarks.kept(source.home, point.builder, point.number)
    if measured is None or measured.total is None:
        return point
    return replace(point, speed=measured.total.ratio, against=measured.against)


PAGE = Page(
    name="trends",
    title="Trends",
    about="Sizes and times of a cell, commit by commit",
    snapshot=snapshot,
    model=model,
    parameters=("cell",),
)
