"""`sources`: gets what the plan's missing nodes are built from into the cache, checked. By hand also without a plan."""

from __future__ import annotations

import click

from workers.errors import Failure
from workers.plan import missing, wanted_nodes
from workers.programs.common import Places, Stopwatch, failing_plainly, places
from workers.progress import Progress, counted, seconds, size
from workers.reports.base import write_report
from workers.reports.build import ChosenPin, FetchedSource, Plan, SourcesReport
from workers.sources.choose import choose
from workers.sources.fetch import fetch
from workers.sources.pins import load_pins
from workers.sources.settings import SourceSettings, source_options


@click.command("sources")
@click.option("--only", multiple=True, metavar="NAME", help="Fetch this source; needs no plan. Can be repeated.")
@click.option("--all", "everything", is_flag=True, help="Fetch every source of sources.toml; needs no plan.")
@places
@source_options
@failing_plainly
def command(only: tuple[str, ...], everything: bool, places: Places, sources: SourceSettings) -> None:
    """Fetches the sources that are needed for what the plan found missing."""
    watch = Stopwatch()
    progress = Progress()
    wanted: list[ChosenPin] = []
    fetched: list[FetchedSource] = []
    failed: Failure | None = None
    try:
        pins = load_pins()
        if only or everything:
            wanted = choose(only or list(pins), pins, places.cache, places.state, sources, progress)
        else:
            wanted = needed(places.plan())
        fetched = fetch(wanted, pins, places.cache, places.state, sources, progress)
    except Failure as failure:
        failed = failure
    behind = [pin for pin in wanted if not pin.is_newest]
    report = SourcesReport("pymint/sources/1", failed is None, fetched, behind, watch.measure())
    write_report(report, places.reports / "sources.json")
    for pin in behind:
        progress.line(
            f"{pin.source}: {pin.version} is used, not {pin.newest}, which could not be had. {pin.note}".strip()
        )
    if failed is not None:
        raise failed
    count = sum(source.size for source in fetched)
    progress.line(f"{counted(len(fetched), 'source')}, {size(count)}, all checked, {seconds(report.measure.wall_s)}")


def needed(plan: Plan) -> list[ChosenPin]:
    """The pins whose files are opened for what has to be built; none when the archive is stored.

    CPython's own among them even when nothing has to be built: `package` reads what its source carries of others.
    """
    if plan.archive_stored:
        return []
    opened = {*missing(plan.nodes, wanted_nodes(plan.nodes))}
    opened |= {node.name for node in plan.nodes[-1:] if node.stage == "cpython"}
    names = {name for node in plan.nodes if node.name in opened for name in node.sources}
    return [pin for pin in plan.pins if pin.source in names]
