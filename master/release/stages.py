"""The stages of a release, in their order. Each reads what the one before it left, and can be run again at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from master import settings as farm_settings
from master.home import Home
from master.release import collect as collecting
from master.release import kept, planning, publishing, standing, tags
from master.release.collect import Collection
from master.release.gate import objections, standing_of
from master.release.model import Plan, Readiness, checked_tag, identity
from master.release.places.chosen import places_of
from master.release.releasing import state_directory
from master.settings import Settings
from master.store import Store
from steps.release import StageName, StageReport
from workers.errors import Failure
from workers.model import Matrix
from workers.progress import Progress, counted, size
from workers.reports.base import read_report, write_report

READINESS, COLLECTION = "readiness.json", "collection.json"
# Only where the stage itself can't ask.
TOLD = "told.json"
PLAN_MADE = "plan-made.json"


@dataclass(frozen=True)
class Work:
    """What a stage works on. directory: of this build of the release builder, where stages leave things."""

    home: Home
    settings: Settings
    matrix: Matrix
    tag: str
    commit: str
    directory: Path
    dry_run: bool
    progress: Progress

    @property
    def store(self) -> Store:
        return Store(farm_settings.store_place(self.settings, self.home), patient=True)

    def say(self, text: str) -> None:
        self.progress.line(text)


def gate(work: Work) -> StageReport:
    """Raises Failure, which names every cell that is in the way."""
    tag = checked_tag(work.tag)
    taken = tags.ask(work.home, work.settings, tag, work.commit, dry_run=work.dry_run, begun=True)
    reasons = [taken] if taken else []
    told = read_report(work.directory / TOLD, standing.Told) if (work.directory / TOLD).exists() else None
    readiness = standing.ask(work.home, work.settings, work.matrix, work.commit, reasons=reasons, told=told)
    for one in readiness.cells:
        number = f" #{one.number}" if one.number is not None else ""
        work.say(f"{one.state:<8} {one.builder}{number}{f': {one.why}' if one.why else ''}")
    for note in readiness.notes:
        work.say(f"note: {note}")
    write_report(readiness, work.directory / READINESS)
    if not readiness.ready:
        raise Failure(
            "release", f"{work.commit[:12]} can't be released as {tag}: {standing_of(readiness)}",
            todo="\n".join([*_details(readiness), "Mend what is named, then rebuild this build."]),
        )  # fmt: skip
    kind = "dry run" if work.dry_run else "release"
    notes = f"; {' '.join(readiness.notes)}" if readiness.notes else ""
    return StageReport(
        "pymint/release-stage/1",
        f"{kind} {tag} of {work.commit[:12]}: {standing_of(readiness)}{notes}",
        {f"{one.builder} #{one.number}": f"archives/{one.builder}/{one.number}/" for one in readiness.cells},
        {"got_revision": work.commit},
    )


def _details(readiness: Readiness) -> list[str]:
    """The objections, but for the count, which stands in the headline."""
    return [one for one in objections(readiness) if not one.startswith(standing_of(readiness))]


def collect(work: Work) -> StageReport:
    """Raises Failure, which names the first file that is not what was recorded, judged or signed."""
    readiness = read_report(work.directory / READINESS, Readiness)
    collection = collecting.collect(work.home, work.settings, work.matrix, readiness, work.say)
    write_report(collection, work.directory / COLLECTION)
    archives = [one for cell in collection.cells for one in cell.archives]
    total = sum(one.archive.size for one in archives)
    return StageReport(
        "pymint/release-stage/1",
        f"{counted(len(archives), 'archive')} of {counted(len(collection.cells), 'cell')}, {size(total)}: as recorded, "
        "judged and signed",
    )


def plan(work: Work) -> StageReport:
    """Raises Failure when the release can't be described, or the list of digests not be signed."""
    collection = read_report(work.directory / COLLECTION, Collection)
    made = planning.make(
        work.home, work.settings, collection, tag=work.tag, rehearsal=work.dry_run, say=work.say
    )  # fmt: skip
    write_report(made, work.directory / PLAN_MADE)
    base = f"releases/{made.tag}/{identity(made)}/"
    total = sum(one.size for one in made.assets)
    links = {f"all {counted(len(made.assets), 'file')}": base}
    for one in made.assets:
        if one.role in ("page", "index", "sums", "archive"):
            links[one.name] = base + one.name
    return StageReport(
        "pymint/release-stage/1",
        f"{counted(len(made.assets), 'file')}, {size(total)}, plan {identity(made)[:16]}…",
        links,
        {"release_identity": identity(made)},
    )


def publish(work: Work) -> StageReport:
    """Raises Failure; a rebuild takes it up where it stopped."""
    made = read_report(work.directory / PLAN_MADE, Plan)
    places = places_of(work.settings, work.home, rehearsal=work.dry_run)
    state = state_directory(work.home, dry_run=work.dry_run)
    done = publishing.publish(made, work.store, places, state, work.say)
    if not work.dry_run:
        store = work.store
        store.refresh(kept.RELEASES)
        store.share(kept.mark_published(store.root, made))
    write_report(done, work.directory / "published.json")
    where = {one.place: one.address for one in done.places}
    before = all(one.was_there for one in done.places)
    kind = "rehearsed" if work.dry_run else "published"
    return StageReport(
        "pymint/release-stage/1",
        f"{'nothing to do: ' if before else ''}{made.tag} is {kind}: {', '.join(where.values())}",
        {f"release in {place}": address for place, address in where.items() if "://" in address},
        {"release_where": " ".join(where.values())},
    )


STAGES: Mapping[StageName, Callable[[Work], StageReport]] = {
    "gate": gate,
    "collect": collect,
    "plan": plan,
    "publish": publish,
}
