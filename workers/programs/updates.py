"""`updates`: looks for newer releases of every pin in every configured kind of source, and with --fetch judges them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import click

from workers.programs.common import Places, Stopwatch, failing_plainly, places, write_page
from workers.progress import Progress
from workers.reports.base import write_report
from workers.sources.distribution import Distribution, Listed
from workers.sources.pins import Pin, load_pins
from workers.sources.settings import SourceSettings, source_options
from workers.updates.advisories import names_of_pins
from workers.updates.feeds import gather
from workers.updates.looking import Sources, distribution_lists, look
from workers.updates.model import Refused, Standing, UpdatesReport
from workers.updates.page import Candidate, in_words, page, view
from workers.updates.rules import Rule, load_rules
from workers.updates.taking import Means, take
from workers.updates.web import Reader
from workers.updates.witnesses import Court


@click.command("updates")
@click.option("--only", multiple=True, metavar="NAME", help="Look for this source alone. Can be repeated.")
@click.option(
    "--fetch", is_flag=True, help="Fetch the newest of each, check signatures, and say what its pin would be."
)
@click.option("--advisories", multiple=True, metavar="WHERE", help="URL or path of OSV or NVD data. Can be repeated.")
@places
@source_options
@failing_plainly
def command(
    only: tuple[str, ...], fetch: bool, advisories: tuple[str, ...], places: Places, sources: SourceSettings
) -> None:
    """Looks for newer releases of what sources.toml pins."""
    watch, progress, reader = Stopwatch(), Progress(), Reader()
    pins, rules = load_pins(), load_rules()
    chosen = {name: pins[name] for name in only or pins}
    distribution = once(lambda: distribution_lists(places.state, pins, progress))
    asked = Sources(sources, reader, listing(distribution, progress))
    found = look(chosen, rules, asked, progress)
    report = UpdatesReport("pymint/updates/1", True, int(time.time()), found, watch.measure())
    write_report(report, places.reports / "updates.json")
    for one in found:
        progress.line(said_of(one))
    known = None
    if advisories:
        names = names_of_pins(pin for releases in pins.values() for pin in releases)
        known = gather(advisories, names, places.cache / "advisories", reader)
        write_report(known, places.reports / "advisories.json")
    court = Court(reader, places.cache, distribution)
    candidates = _judged(found, pins, rules, Means(court, progress)) if fetch else {}
    write_page(page(view(report, known, candidates, int(time.time()))), places.reports / "updates.html")
    progress.line(f"{in_words(report, known)}: {places.reports / 'updates.html'}")


def once(make: Callable[[], Distribution]) -> Callable[[], Distribution]:
    """The distribution's client, made when it is first asked for."""
    return cache(make)


def listing(distribution: Callable[[], Distribution], progress: Progress) -> Callable[[], Sequence[Listed]]:
    """All that the distribution lists, read once for all threads; raises Missed each time when it can't be."""
    lock = threading.Lock()

    @cache
    def read() -> Sequence[Listed]:
        files, problems = distribution().everything()
        for problem in problems:
            progress.line(f"distribution: {problem}")
        return files

    def locked() -> Sequence[Listed]:
        with lock:
            return read()

    return locked


def said_of(one: Standing) -> str:
    """How a pin stands, in a line."""
    silent = "; ".join(f"{missed.kind} not asked: {missed.why}" for missed in one.unasked)
    news = f"{one.newest} ({one.offers[0].where})" if one.offers else "nothing newer" if one.known else "nobody asked"
    held = f", held: {one.hold}" if one.hold and one.offers else ""
    return f"{one.source} {one.pinned}: {news}{held}{f'; {silent}' if silent else ''}"


def _judged(
    found: Sequence[Standing], pins: Mapping[str, tuple[Pin, ...]], rules: Mapping[str, Rule], means: Means
) -> dict[str, Candidate]:
    candidates = {}
    for one in found:
        if not one.offers or one.hold:
            continue
        taken = take(one, pins[one.source][0], rules[one.source], means)
        if isinstance(taken, Refused):
            means.progress.line(
                f"{taken.source} {taken.version}: {'REFUSED: ' if taken.loud else 'not taken: '}{taken.why}"
            )
            candidates[one.source] = Candidate(taken.version, taken.why, good=False)
        else:
            details = tuple(verdict.said for verdict in taken.verdicts)
            words = f"sha256 {taken.sha256}, {taken.size} bytes, from {taken.origin}"
            candidates[one.source] = Candidate(taken.version, words, details=details)
    return candidates
