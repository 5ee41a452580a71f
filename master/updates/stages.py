"""The stages of looking after the pins, in their order. Each reads what the one before left, and can be run again."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from master import settings as farm_settings
from master.home import Home, cache_directory
from master.mirror import fetch_now
from master.settings import Settings
from master.updates.branches import Bumps, branch_of
from master.updates.candidates import (
    ADVISORIES,
    CANDIDATES,
    LOOK,
    CandidatesReport,
    Made,
    in_turn,
    mends,
    message,
    sources_of,
    stands,
    touched,
)  # fmt: skip
from steps.updates import Branch, StageName, UpdatesStageReport
from workers.errors import Failure
from workers.model import Matrix
from workers.programs.updates import listing, once, said_of
from workers.progress import Progress
from workers.reports.base import read_report, write_report
from workers.sources.pins import Pin, parse_pins
from workers.sources.settings import SourceSettings
from workers.updates.advisories import AdvisoriesReport, names_of_pins
from workers.updates.feeds import gather
from workers.updates.looking import Sources, distribution_lists, look
from workers.updates.model import Refused, Standing, UpdatesReport
from workers.updates.page import in_words
from workers.updates.rewriting import with_pin
from workers.updates.rules import KEYS, Rule, parse_rules
from workers.updates.taking import NOWHERE, Means, take
from workers.updates.versions import newer
from workers.updates.web import Reader
from workers.updates.witnesses import Court

PINS, RULES = "cpython-unix/sources.toml", "cpython-unix/updates.toml"


@dataclass(frozen=True)
class Work:
    """What a stage works on. only: names of sources, all when there are none."""

    home: Home
    settings: Settings
    matrix: Matrix
    only: tuple[str, ...]
    progress: Progress

    @cached_property
    def bumps(self) -> Bumps:
        url = farm_settings.repository_url(self.settings, self.home)
        return Bumps(self.home.repository, self.settings.updates.push_to or url, self.settings.updates.author)

    @cached_property
    def base(self) -> str:
        """The head of the branch that is looked after, fetched now. Raises Failure."""
        fetch_now(self.home.repository, farm_settings.repository_url(self.settings, self.home))
        branch = self.settings.repository.branch
        head = self.bumps.head(branch)
        if head is None:
            raise Failure(
                "repository", f"there is no branch {branch}", todo="See [repository] branch in settings.toml."
            )
        return head

    def text(self, path: str) -> str:
        """A file of that commit. Raises Failure when it has none."""
        text = self.bumps.text(self.base, path)
        if text is None:
            raise Failure(
                "updates", f"{self.base[:12]} has no {path}", todo="Bring the branch up to a pymint that has it."
            )
        return text

    @cached_property
    def pins(self) -> Mapping[str, tuple[Pin, ...]]:
        return parse_pins(self.text(PINS))

    @cached_property
    def rules(self) -> Mapping[str, Rule]:
        return parse_rules(self.text(RULES))

    @cached_property
    def court(self) -> Court:
        """Keys are this machine's and this checkout's: a commit does not say whose signature is good."""
        root, keys = self.settings.updates.sigstore_root, self.settings.updates.keys
        lists = once(lambda: distribution_lists(self.home.updates, self.pins, self.progress))
        own = (self.home.root / keys,) if keys else ()
        return Court(Reader(), cache_directory(), lists, self.home.root / root if root else None, (*own, KEYS))

    @property
    def sources(self) -> SourceSettings:
        chosen = self.settings.sources
        offline = Path(chosen.offline) if chosen.offline else None
        return SourceSettings(tuple(chosen.mirrors), offline, chosen.distro, chosen.upstream)


def look_for(work: Work) -> UpdatesStageReport:
    """Raises Failure when the pins can't be read; a source that can't be asked is told, and is none."""
    unknown = [name for name in work.only if name not in work.pins]
    if unknown:
        raise Failure("updates", f"there is no source {', '.join(unknown)}", todo=f"Known: {', '.join(work.pins)}.")
    chosen = {name: work.pins[name] for name in work.only or work.pins}
    asked = Sources(work.sources, work.court.reader, listing(work.court.distribution, work.progress))
    found = look(chosen, work.rules, asked, work.progress)
    for one in found:
        work.progress.line(said_of(one))
    report = UpdatesReport("pymint/updates/1", True, int(time.time()), _with_others(work, found))
    write_report(report, work.home.updates / LOOK)
    return UpdatesStageReport("pymint/updates-stage/1", in_words(report), {"how the pins stand": "pages/pins"})


def _with_others(work: Work, found: list[Standing]) -> list[Standing]:
    """What was found now, and of the sources that were not asked for, what was found before."""
    if not work.only:
        return found
    now = {one.source: one for one in found}
    path = work.home.updates / LOOK
    before = {one.source: one for one in read_report(path, UpdatesReport).pins} if path.exists() else {}
    return [one for name in work.pins if (one := now.get(name, before.get(name))) is not None]


def read_advisories(work: Work) -> UpdatesStageReport:
    """Raises nothing of its own: what can't be read is told on the page."""
    names = names_of_pins(pin for releases in work.pins.values() for pin in releases)
    wheres = tuple(
        where if urlsplit(where).scheme in {"http", "https"} else str(work.home.root / where)
        for where in work.settings.updates.advisories
    )
    known = gather(wheres, names, work.home.updates / "advisories", work.court.reader)
    write_report(known, work.home.updates / ADVISORIES)
    for feed in known.feeds:
        work.progress.line(f"{feed.where}: {feed.count} advisories{f'; {feed.problem}' if feed.problem else ''}")
    if not known.known:
        why = "none are configured" if not known.feeds else "none could be read"
        return UpdatesStageReport("pymint/updates-stage/1", f"CVEs unknown: {why}")
    report = read_report(work.home.updates / LOOK, UpdatesReport)
    total = sum(feed.count for feed in known.feeds)
    return UpdatesStageReport("pymint/updates-stage/1", f"{total} advisories read; {in_words(report, known)}")


def make_candidates(work: Work) -> UpdatesStageReport:
    """What can't be pinned is told and keeps nothing else back. Raises Failure when no report is there to read."""
    base = work.base  # fetches, so that every branch is seen as it is now
    report = read_report(work.home.updates / LOOK, UpdatesReport)
    known = read_report(work.home.updates / ADVISORIES, AdvisoriesReport)
    chosen = [one for one in in_turn(report.pins, known) if not work.only or one.source in work.only]
    made: list[Made] = []
    undone: list[str] = []
    fresh = 0
    for one in chosen:
        try:
            result, new = _became(work, one, known, full=fresh >= work.settings.updates.most)
            # Only what gets a branch counts: a release that can't be had would keep the others back each night.
            fresh += new
        except Failure as failure:
            result = _not_made(one, failure)
            undone.append(one.source)
        named = [found.id for found in mends(one, result.version, known)]
        made.append(replace(result, mends=named))
        said = "; ".join([result.words, *(f"not taken: {one}" for one in result.missed)])
        work.progress.line(f"{result.source} {result.version}: {result.state}: {said}")
    kept = _remembered(work, {one.source for one in made})
    write_report(
        CandidatesReport("pymint/candidates/1", int(time.time()), base, [*made, *kept]),
        work.home.updates / CANDIDATES,
    )
    branched = [one for one in made if one.state == "branched"]
    due = [
        Branch(one.branch, one.commit, one.cells)
        for one in branched
        if one.cells and not (work.home.updates / "requested" / one.commit).exists()
    ]
    words = ", ".join(f"{one.source} {one.version}" for one in branched) or "no candidate"
    waiting = sum(one.state == "waiting" for one in made)
    refused = sum(one.state == "refused" for one in made)
    more = (f", {waiting} wait" if waiting else "") + (f", {refused} not taken" if refused else "")
    return UpdatesStageReport(
        "pymint/updates-stage/1", f"{words}{more}", {"how the pins stand": "pages/pins"}, builds=due,
        requested=str(work.home.updates / "requested"), problem=_outcry([one for one in made if one.loud], undone),
    )  # fmt: skip


def _outcry(loud: list[Made], undone: list[str]) -> str:
    """What is told loudly, though all that is good goes on. undone: the sources of which no branch could be made."""
    lies = [one for one in loud if one.source not in undone]
    failed = [one for one in loud if one.source in undone]
    told: list[Failure] = []
    if lies:
        told.append(Failure(
            "updates", f"what is offered as {_names(lies)} may be something else",
            wanted="the release as upstream made it, with the signature that updates.toml asks for",
            found=_each(lies),
            todo="Nothing of it was pinned. Compare with what upstream says elsewhere before anything else is done:\n"
            "a mirror may lie, a key may be new (docs/pins.md says how one is added).",
        ))  # fmt: skip
    if failed:
        told.append(Failure(
            "updates", f"no branch could be made for {_names(failed)}", wanted="a branch bump/… with the new pin on it",
            found=_each(failed),
            todo="The next look tries again. Pushing needs the right to: [updates] push_to in settings.toml.",
        ))  # fmt: skip
    return "\n\n".join(str(one) for one in told)


def _names(made: list[Made]) -> str:
    return ", ".join(f"{one.source} {one.version}" for one in made)


def _each(made: list[Made]) -> str:
    return "\n          ".join(f"{one.source} {one.version}: {one.words}" for one in made)


def _not_made(one: Standing, failure: Failure) -> Made:
    """A branch that could not be written: loud, since a person has to see to it."""
    words = f"{failure.what}{f' ({failure.found})' if failure.found else ''}"
    return Made(one.source, one.newest, one.pinned, "refused", words, loud=True)


def _remembered(work: Work, without: set[str]) -> list[Made]:
    """Of the sources that were not asked for this time, what stands since an earlier time."""
    path = work.home.updates / CANDIDATES
    if not work.only or not path.exists():
        return []
    return [one for one in read_report(path, CandidatesReport).made if one.source not in without]


def _cells(work: Work, source: str) -> list[str]:
    fips = work.settings.fips
    shared = {name: str(table["else"]) for name, table in tomllib.loads(work.text(PINS)).items() if "else" in table}
    cells = farm_settings.push_cells(work.settings, work.matrix)
    return touched(source, cells, sources_of(fips.procedure, fips.slh_dsa), shared)


def _became(work: Work, one: Standing, known: AdvisoriesReport, *, full: bool) -> tuple[Made, bool]:
    """What stands or is made now, and whether that is a new branch. full: there have been enough of those."""
    before = _standing_branch(work, one)
    if before is not None and before.version == one.newest:
        return before, False
    if full or not work.settings.updates.branches:
        words = "others go first" if work.settings.updates.branches else "[updates] branches is off"
        return before or Made(one.source, one.newest, one.pinned, "waiting", words), False
    made = _make(work, one, known, before)
    return made, made.state == "branched" and (before is None or made.commit != before.commit)


def _standing_branch(work: Work, one: Standing) -> Made | None:
    """What an earlier time made of the newest release that has a branch which still holds; None without any."""
    for version in dict.fromkeys(offer.version for offer in one.offers):
        branch = branch_of(one.source, version)
        head = work.bumps.head(branch)
        if head is None:
            continue
        if work.bumps.author_of(head) != work.settings.updates.author:
            words = f"{branch} has a commit of {work.bumps.author_of(head)}: it is theirs now"
            return Made(one.source, version, one.pinned, "kept", words, branch, head, _cells(work, one.source))
        before = work.bumps.parent(head)
        texts = work.bumps.text(head, PINS), work.bumps.text(before, PINS)
        if stands(*texts, work.text(PINS), one.source, version, parse_pins):
            return Made(
                one.source, version, one.pinned, "branched", "its branch stands since an earlier time", branch, head,
                _cells(work, one.source), _vouches_before(work, branch),
            )  # fmt: skip
    return None


def _vouches_before(work: Work, branch: str) -> list[str]:
    path = work.home.updates / CANDIDATES
    before = read_report(path, CandidatesReport).made if path.exists() else []
    return next((one.vouches for one in before if one.branch == branch), [])


def _make(work: Work, one: Standing, known: AdvisoriesReport, before: Made | None) -> Made:
    """The newest release that can be had, on a branch. before: an older one's branch, with which it stays otherwise."""
    pin, rule = work.pins[one.source][0], work.rules[one.source]
    newest = [offer for offer in one.offers if before is None or newer(offer.version, before.version)]
    taken = take(replace(one, offers=newest), pin, rule, Means(work.court, work.progress))
    if isinstance(taken, Refused) and before is not None and not taken.loud:
        nowhere = taken.why.startswith(NOWHERE)
        return replace(before, missed=[taken.why.removeprefix(NOWHERE) if nowhere else f"{taken.version}: {taken.why}"])
    if isinstance(taken, Refused):
        return Made(one.source, taken.version, one.pinned, "refused", taken.why, loud=taken.loud)
    branch = branch_of(taken.source, taken.version)
    fixed = mends(one, taken.version, known)
    text = with_pin(work.text(PINS), taken, rule)
    commit = work.bumps.commit(work.base, PINS, text, message(taken, fixed, known.known))
    work.bumps.push(commit, branch, work.bumps.head(branch))
    vouches = [verdict.said for verdict in taken.verdicts]
    return Made(
        one.source, taken.version, one.pinned, "branched", f"pinned on {branch}", branch, commit,
        _cells(work, one.source), vouches, missed=list(taken.missed),
    )  # fmt: skip


STAGES: Mapping[StageName, Callable[[Work], UpdatesStageReport]] = {
    "look": look_for,
    "advisories": read_advisories,
    "candidates": make_candidates,
}
