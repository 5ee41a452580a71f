"""`build --stage S`: builds the missing nodes of a stage; those that are stored are named and left as they are."""

from __future__ import annotations

import click

from workers.driver import Workshop, build_nodes, job_count
from workers.errors import Failure
from workers.jobserver import Jobserver
from workers.machine import emulation_of
from workers.model import load_matrix
from workers.plan import missing, wanted_nodes
from workers.programs.common import Places, Stopwatch, failing_plainly, places
from workers.progress import Progress, seconds
from workers.reports.base import write_report
from workers.reports.build import STAGES, BuiltNode, NodesReport, Plan, PlannedNode, Stage
from workers.sources.pins import load_pins
from workers.store import Store
from workers.toolchain import find_toolchain


@click.command("build")
@click.option("--stage", type=click.Choice(STAGES), required=True, help="Which of the plan's nodes.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=None, help="Compilers at a time; as many as cores if not given."
)
@places
@failing_plainly
def command(stage: Stage, jobs: int | None, places: Places) -> None:
    """Builds the nodes of STAGE that the plan found missing, side by side."""
    watch = Stopwatch()
    plan = places.plan()
    progress = Progress()
    store = Store(places.state / "store", progress.line)
    here = [node for node in plan.nodes if node.stage == stage]
    to_build = _to_build(plan, stage)
    built: list[BuiltNode] = []
    failed: Failure | None = None
    if to_build and stage == "cpython":
        emulation_of(load_matrix().targets[plan.cell.target])  # a CPython is made by its own interpreter
    if to_build:
        shop = _workshop(plan, places, store, progress, jobs or job_count())
        try:
            built = build_nodes(shop, to_build)
        except Failure as failure:
            failed = failure
        finally:
            shop.jobserver.close()
    nodes = [*_from_the_store(store, here, {node.name for node in built}, progress), *built]
    report = NodesReport(
        "pymint/nodes/1", failed is None, stage, nodes, watch.measure(), None if failed is None else str(failed)
    )
    write_report(report, places.reports / f"{stage}.json")
    if failed is not None:
        raise failed
    progress.line(
        f"{stage}: {len(built)} built, {len(nodes) - len(built)} from the store, {seconds(report.measure.wall_s)}"
    )


def _to_build(plan: Plan, stage: Stage) -> list[str]:
    if plan.archive_stored:
        return []
    wanted = missing(plan.nodes, wanted_nodes(plan.nodes))
    stages = {node.name: node.stage for node in plan.nodes}
    return [name for name in wanted if stages[name] == stage]


def _from_the_store(store: Store, nodes: list[PlannedNode], built: set[str], progress: Progress) -> list[BuiltNode]:
    """What the store has of a stage's nodes. One that was not needed (its result is stored) may be missing: no line."""
    found = []
    for node in nodes:
        record = store.record(node.key) if node.name not in built else None
        if record is not None:
            progress.line(f"{node.name}: from the store")
            found.append(BuiltNode(node.name, node.key, record.digest, record.size, "store", record.measure, None))
    return found


def _workshop(plan: Plan, places: Places, store: Store, progress: Progress, jobs: int) -> Workshop:
    tmp = places.state / "tmp"
    tmp.mkdir(exist_ok=True)
    target = load_matrix().targets[plan.cell.target]
    return Workshop(
        plan=plan,
        target=target,
        toolchain=find_toolchain(target=target, state=places.state),
        store=store,
        cache=places.cache,
        tmp=tmp,
        logs=places.logs,
        pins=load_pins(),
        jobserver=Jobserver(jobs),
        progress=progress,
    )
