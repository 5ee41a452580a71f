"""Builds the nodes of a stage: unpacks, applies edits, runs the recipe in the sandbox, times, packs, stores.

Nodes that don't need each other run side by side and share one jobserver. Each is locked by its key, so that two builds
that want the same missing node build it once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from workers import sandbox
from workers.debian_root import debian_root
from workers.edits import apply_edits
from workers.errors import Failure
from workers.jobserver import Jobserver
from workers.model import DATA, Target
from workers.nodes import edits_version
from workers.objects import LICENCES, extract, newest_mtime, pack, unpack_source
from workers.progress import Progress, seconds, size
from workers.reports.base import Measure
from workers.reports.build import BuiltNode, Plan, PlannedNode
from workers.room import half_made
from workers.sources.cache import cached_path
from workers.sources.pins import Pin, pin_of
from workers.store import Store, require_space
from workers.tarball import Entry, entries_below
from workers.toolchain import Toolchain, prepare

# What a CPython build with objects takes while it runs, measured with some room; libraries take far less.
_SPACE_FOR_A_NODE = 4_000_000_000
_LOG_TAIL = 25


@dataclass(frozen=True)
class Workshop:
    """Where and with what nodes are built. pins: every pin by source; data: the folder with `recipes/`."""

    plan: Plan
    target: Target
    toolchain: Toolchain
    store: Store
    cache: Path
    tmp: Path
    logs: Path
    pins: Mapping[str, tuple[Pin, ...]]
    jobserver: Jobserver
    progress: Progress
    data: Path = DATA


def build_nodes(shop: Workshop, names: list[str]) -> list[BuiltNode]:
    """Builds the named nodes (in build order), side by side where they don't need each other.

    Raises Failure for the first that fails, after the others that were running have ended: their work is kept.
    """
    by_name = {node.name: node for node in shop.plan.nodes}
    waiting = list(names)
    done: dict[str, BuiltNode] = {}
    running: dict[Future[BuiltNode], str] = {}
    failure: BaseException | None = None
    clock = _Clock(shop, names)
    with ThreadPoolExecutor(max_workers=shop.jobserver.jobs) as pool, clock.ticking():
        while waiting or running:
            unbuilt = {*waiting, *running.values()}
            ready = [name for name in waiting if not unbuilt.intersection(by_name[name].needs)]
            if failure is None:
                side_by_side = shop.jobserver.jobs if sandbox.SIDE_BY_SIDE else 1
                for name in ready[: side_by_side - len(running)]:
                    waiting.remove(name)
                    clock.started(name)
                    running[pool.submit(_build_once, shop, by_name[name])] = name
            if not running:
                break
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                clock.ended(name)
                error = future.exception()
                if error is None:
                    done[name] = future.result()
                else:
                    failure = failure or error
    if failure is not None:
        raise failure
    return [done[name] for name in names]


class _Clock:
    """Tells how far a stage is, from what each node took the last time; a guess, so it stops at 95 % of a node."""

    # A node that this store has never seen: configure and compile a middling library.
    _UNKNOWN_S = 60.0

    def __init__(self, shop: Workshop, names: list[str]) -> None:
        self._shop = shop
        took = {record.node: record.measure.wall_s for record in shop.store.records()}
        self._expected = {name: max(took.get(name, self._UNKNOWN_S), 1.0) for name in names}
        self._started: dict[str, float] = {}
        self._ended: set[str] = set()

    def started(self, name: str) -> None:
        self._started[name] = time.monotonic()

    def ended(self, name: str) -> None:
        self._ended.add(name)

    def _tell(self) -> None:
        now = time.monotonic()
        done = 0.0
        for name, start in list(self._started.items()):
            expected = self._expected[name]
            done += expected if name in self._ended else min(now - start, 0.95 * expected)
        at_work = [name for name in self._started if name not in self._ended]
        self._shop.progress.at(done, sum(self._expected.values()), ", ".join(at_work))

    @contextlib.contextmanager
    def ticking(self) -> Iterator[None]:
        """Tells every two seconds for as long as the block runs."""
        stop = threading.Event()

        def tick() -> None:
            while not stop.wait(2):
                self._tell()

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _build_once(shop: Workshop, node: PlannedNode) -> BuiltNode:
    """The node from the store if another build made it meanwhile, else built, under its key's lock."""
    label = _label(shop.plan, node)
    with shop.store.locked(node.key, lambda: shop.progress.line(f"{label}: another build makes it, waiting")):
        record = shop.store.checked(node.key)
        if record is not None:
            shop.progress.line(f"{label}: from the store")
            return BuiltNode(node.name, node.key, record.digest, record.size, "store", record.measure, None)
        with shop.jobserver.slot(), half_made(shop.tmp / node.key):
            shop.progress.line(f"{label}: building")
            return _build(shop, node, label)


def _label(plan: Plan, node: PlannedNode) -> str:
    """`zlib 1.3.2`: the node with the release of its first source."""
    versions = {pin.source: pin.version for pin in plan.pins}
    return f"{node.name} {versions[node.sources[0]]}" if node.sources else node.name


def _build(shop: Workshop, node: PlannedNode, label: str) -> BuiltNode:
    scratch = shop.tmp / node.key
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed build left; the key's lock is ours
    require_space(shop.tmp, _SPACE_FOR_A_NODE, f"building {node.name}")
    build, deps, out, toolchain = (scratch / part for part in ("build", "deps", "out", "toolchain"))
    for directory in (build, deps, out):
        directory.mkdir(parents=True)
    epoch = _unpack(shop, node, build)
    for need in node.needs:
        record = shop.store.checked(_planned(shop.plan, need).key)
        if record is None:
            raise Failure(
                "build",
                f"{node.name} needs {need}, whose object is gone from the store",
                todo="It was there when the build was planned. Start the build again: it will be built anew.",
            )
        extract(shop.store.path_of(record.digest), deps, licences=False)
    prepare(toolchain, shop.target, shop.toolchain)
    suite, packages = node.environment.get("SYSTEM"), node.environment.get("SYSTEM_PACKAGES", "").split()
    system = debian_root(shop.tmp.parent, suite, packages, shop.logs / f"debian-{suite}.log") if suite else None
    log = shop.logs / f"{node.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        result = sandbox.run_in_sandbox(
            ["/bin/sh", "-eu", f"{sandbox.DATA}/recipes/{node.recipe}"],
            build=build,
            deps=deps,
            out=out,
            toolchain=toolchain,
            data=shop.data,
            environment=_environment(shop, node, epoch),
            log=stream,
            pass_fds=shop.jobserver.descriptors,
            system=system,
        )
    if result.exit_code != 0:
        raise Failure(
            "build",
            f"{node.recipe} of {label} failed with exit code {result.exit_code} after {seconds(result.wall_s)}",
            found="the end of its log:\n" + _tail(log),
            todo=f"The whole log: {log}\nWhat it left for a look: {scratch}",
        )
    _add_licences(shop, node, build, out)
    packed = scratch / "object"
    pack(_entries(out), packed, epoch)
    measure = Measure(wall_s=result.wall_s, cpu_s=result.cpu_s, max_rss_kib=result.max_rss_kib)
    record = shop.store.add(node.key, node.name, packed, measure)
    shutil.rmtree(scratch, ignore_errors=True)
    shop.progress.line(f"{label}: built, {seconds(measure.wall_s)}, {size(record.size)}")
    return BuiltNode(node.name, node.key, record.digest, record.size, "built", measure, log.name)


def _planned(plan: Plan, name: str) -> PlannedNode:
    return next(node for node in plan.nodes if node.name == name)


def _unpack(shop: Workshop, node: PlannedNode, build: Path) -> int:
    """Unpacks the node's sources, applies its edits; returns the newest mtime in the first, for SOURCE_DATE_EPOCH."""
    chosen = {pin.source: pin for pin in shop.plan.pins}
    epoch = 315532800
    for index, name in enumerate(node.sources):
        archive = cached_path(shop.cache, chosen[name].sha256)
        if not archive.exists():
            raise Failure(
                "build",
                f"{node.name} is to be built from {name} {chosen[name].version}, which is not in the cache",
                todo="Run the stage `sources` first; it fetches what the missing nodes need.",
            )
        into = build / ("source" if index == 0 else name)
        unpack_source(archive, name, into)
        if index == 0:
            epoch = newest_mtime(archive)
            if node.edits is not None:
                minor, freethreaded = edits_version(node.edits)
                apply_edits(into, minor, freethreaded=freethreaded)
    return epoch


def _environment(shop: Workshop, node: PlannedNode, epoch: int) -> dict[str, str]:
    """What a recipe sees. The part that can change bytes comes from the plan; the rest is the same on every machine."""
    chosen = {pin.source: pin for pin in shop.plan.pins}
    version = chosen[node.sources[0]].version if node.sources else ""
    return {
        "SOURCE": sandbox.SOURCE,
        "PREFIX": sandbox.DEPS,
        "DESTDIR": sandbox.OUT,
        "DATA": sandbox.DATA,
        "JOBS": str(shop.jobserver.jobs),
        "MAKEFLAGS": shop.jobserver.makeflags,
        "TARGET": shop.target.triple,
        "VERSION": version,
        "SOURCE_DATE_EPOCH": str(epoch),
        "LC_ALL": "C",
        "TZ": "UTC",
        "HOME": sandbox.BUILD,
        "PATH": shop.toolchain.path,
        "PKG_CONFIG_LIBDIR": f"{sandbox.DEPS}/lib/pkgconfig",
        "PKG_CONFIG_PATH": f"{sandbox.DEPS}/lib/pkgconfig",
        **node.environment,
    }


def _add_licences(shop: Workshop, node: PlannedNode, build: Path, out: Path) -> None:
    """Puts the licence texts of the node's sources into its object. Raises Failure when a pinned one is not there."""
    chosen = {pin.source: pin for pin in shop.plan.pins}
    for index, name in enumerate(node.sources):
        top = build / ("source" if index == 0 else name)
        for text in pin_of(shop.pins, name, chosen[name].sha256)[0].licence_files:
            source = top / text
            if not source.is_file():
                raise Failure(
                    "build",
                    f"{name} {chosen[name].version} has no licence text {text}",
                    todo="Mend licence_files of its pin in sources.toml.",
                )
            target = out / LICENCES / name / Path(text).name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _entries(out: Path) -> list[Entry]:
    """The object's members: what lies below the prefix is named from the prefix, all else from DESTDIR."""
    prefix = sandbox.DEPS.lstrip("/") + "/"
    return [replace(entry, path=entry.path.removeprefix(prefix)) for entry in entries_below(out, "")]


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
    return "\n".join(f"          {line}" for line in lines)


def job_count() -> int:
    """As many jobs as this process may use cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
