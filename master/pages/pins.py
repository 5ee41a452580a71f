"""How every pin stands: its age, what is newer, what is known against it, and what became of the candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet import threads

from master.pages.page import NoSuchPage, Page, Query, Source
from master.store import Store
from master.updates.candidates import ADVISORIES, CANDIDATES, LOOK, CandidatesReport, Made
from workers.errors import Failure
from workers.progress import counted
from workers.reports.base import read_report
from workers.updates.advisories import AdvisoriesReport
from workers.updates.model import UpdatesReport
from workers.updates.page import Candidate, View, view


def candidate(made: Made, built: Mapping[str, int]) -> Candidate:
    """What the page says of a newer release. built: builder and number of the good builds of its commit."""
    details = (*made.vouches, *(f"mends {one}" for one in made.mends))
    if made.state in {"refused", "waiting"}:
        good = False if made.state == "refused" else None
        return Candidate(made.version, made.words, good, details=details)
    done = [name for name in made.cells if name in built]
    theirs = [made.words] if made.state == "kept" else []
    more = "".join(f"; {one}" for one in [*theirs, *(f"not taken: {one}" for one in made.missed)])
    links = {f"{name} #{built[name]}": f"archives/{name}/{built[name]}/" for name in done}
    if not made.cells:
        words = f"on {made.branch}; no cell that a push builds is made of it{more}"
        return Candidate(made.version, words, None, links, details)
    words = f"{made.branch}: {len(done)} of {counted(len(made.cells), 'cell')} built and proven{more}"
    whole = len(done) == len(made.cells)
    return Candidate(made.version, words, True if whole else None, links, (*details, f"commit {made.commit}"))


def built_of(store: Store, commits: Sequence[str]) -> dict[str, dict[str, int]]:
    """By commit, the newest recorded build of each builder: what is recorded was built, validated and proven."""
    found: dict[str, dict[str, int]] = {}
    store.glimpse("index")
    for commit in commits:
        places = (store.root / "index" / commit).glob("*/*.json")
        for place in places:
            number = int(place.stem) if place.stem.isdigit() else 0
            own = found.setdefault(commit, {})
            own[place.parent.name] = max(number, own.get(place.parent.name, 0))
    return found


def looked(updates: Path, store: Store, now: int) -> View | None:
    """What the last look left; None when there was none. now: seconds since 1970.

    Raises Failure when it can't be read.
    """
    if not (updates / LOOK).exists():
        return None
    report = read_report(updates / LOOK, UpdatesReport)
    known = read_report(updates / ADVISORIES, AdvisoriesReport) if (updates / ADVISORIES).exists() else None
    made = read_report(updates / CANDIDATES, CandidatesReport).made if (updates / CANDIDATES).exists() else []
    pinned = {one.source: one.pinned for one in report.pins}
    current = [one for one in made if one.version != pinned.get(one.source)]
    built = built_of(store, [one.commit for one in current if one.commit])
    candidates = {one.source: candidate(one, built.get(one.commit, {})) for one in current}
    return view(report, known, candidates, now)


async def snapshot(source: Source, query: Query) -> View | None:
    def read() -> View | None:
        try:
            return looked(source.home.updates, source.store, int(source.now()))
        except Failure as failure:
            raise NoSuchPage(str(failure), 500) from failure

    found: View | None = await threads.deferToThread(read)
    return found


def model(said: View | None, query: Query) -> View | None:
    return said


PAGE = Page(
    name="pins",
    title="Pins",
    about="How old every pin is, what is newer, and what is known against it",
    snapshot=snapshot,
    model=model,
)
