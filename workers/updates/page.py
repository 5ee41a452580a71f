"""How every pin stands, as a page: its age, what is newer, what is known against it, what became of its candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import jinja2

from workers.progress import counted
from workers.updates.advisories import AdvisoriesReport, Feed, Finding, findings, names_of
from workers.updates.feeds import age_in_days
from workers.updates.model import KINDS, Standing, UpdatesReport

_TEMPLATE = Path(__file__).with_name("page.html")
# Older than this, what advisories say is told as old.
STALE_DAYS = 3


@dataclass(frozen=True)
class Candidate:
    """What became of a newer release. words: a sentence; good: None while it is neither. links: title to address."""

    version: str
    words: str
    good: bool | None = None
    links: dict[str, str] = field(default_factory=dict)
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A pin in the table. age: in days, None where nobody knows. advisories: None where no data was read."""

    source: str
    pinned: str
    released: str
    age: int | None
    newest: str
    newer: bool
    words: str
    where: tuple[str, ...]
    unasked: tuple[str, ...]
    left_out: tuple[str, ...]
    advisories: list[Finding] | None
    candidate: Candidate | None
    mends: int = 0

    @property
    def rank(self) -> tuple[int, int, int]:
        """What a person has to see first: known faults, then what is newer, then what nobody could be asked about."""
        return (-len(self.advisories or ()), 0 if self.newer else 1, 0 if self.words.startswith("nobody") else 1)


@dataclass(frozen=True)
class View:
    """The page's contents."""

    at: str
    rows: list[Row]
    feeds: list[tuple[Feed, str]]
    known: bool
    told: str


def view(
    report: UpdatesReport,
    known: AdvisoriesReport | None,
    candidates: Mapping[str, Candidate],
    now: int,
) -> View:
    """What the page says. now: seconds since 1970, UTC."""
    rows = [_row(one, known, candidates.get(one.source), now) for one in report.pins]
    # The order of sources.toml within a rank.
    rows.sort(key=lambda row: row.rank)
    at = datetime.fromtimestamp(report.at, UTC)
    hours = max(0, now - report.at) // 3600
    past = counted(hours // 24, "day") if hours >= 48 else counted(hours, "hour") if hours >= 1 else "less than an hour"
    feeds = [(feed, _feed_words(feed, now)) for feed in (known.feeds if known is not None else [])]
    return View(
        f"{at:%Y-%m-%d %H:%M} UTC, {past} ago", rows, feeds, known is not None and known.known, in_words(report, known)
    )


def in_words(report: UpdatesReport, known: AdvisoriesReport | None = None) -> str:
    """In a line: how many pins have something newer, could not be asked about, and, once data is read, are affected."""
    newer = sum(bool(one.offers) for one in report.pins)
    silent = sum(not one.known for one in report.pins)
    parts = [counted(len(report.pins), "pin"), f"{newer} with a newer release" if newer else "nothing newer found"]
    if silent:
        parts.append(f"of {silent} nobody could be asked")
    if known is None:
        return ", ".join(parts)
    if not known.known:
        parts.append("advisories unknown: no data was read")
    else:
        hit = sum(bool(advisories_of(one, known)) for one in report.pins)
        parts.append(f"{hit} with known CVEs" if hit else "no known CVE in the data that was read")
    return ", ".join(parts)


def advisories_of(one: Standing, known: AdvisoriesReport) -> list[Finding]:
    """What is known against a pinned release."""
    return findings(one.pinned, names_of(one.cpe, one.purl), known.advisories)


def _row(one: Standing, known: AdvisoriesReport | None, candidate: Candidate | None, now: int) -> Row:
    age = (datetime.fromtimestamp(now, UTC).date() - date.fromisoformat(one.released)).days if one.released else None
    against = advisories_of(one, known) if known is not None and known.known else None
    left = findings(one.newest, names_of(one.cpe, one.purl), known.advisories) if known is not None else []
    mends = len({found.id for found in against or ()} - {found.id for found in left}) if one.offers else 0
    if not one.has_rule:
        words = "nobody is asked: updates.toml has no rule for it"
    elif one.offers:
        words = f"held: {one.hold}" if one.hold else ""
    elif one.known:
        words = f"nothing newer in line {one.line}" if one.line else "nothing newer"
    else:
        words = "nobody could be asked"
    where = tuple(
        f"{offer.version}: {KINDS[offer.kind]}, {offer.where}{f', of {offer.released}' if offer.released else ''}"
        for offer in one.offers
    )
    unasked = tuple(f"{KINDS[silent.kind]} ({silent.where}): {silent.why}" for silent in one.unasked)
    return Row(
        one.source, one.pinned, one.released, age, one.newest, bool(one.offers), words, where, unasked,
        tuple(one.left_out), against, candidate, mends,
    )  # fmt: skip


def _feed_words(feed: Feed, now: int) -> str:
    if not feed.read:
        return f"nothing could be read: {feed.problem or 'it is empty'}"
    days = age_in_days(feed.fetched, now)
    old = f", {days} days old" if days >= STALE_DAYS else ""
    problem = f"; not brought up to date: {feed.problem}" if feed.problem else ""
    newest = f"the newest changed {feed.newest or 'on a day that it does not say'}"
    return f"{counted(feed.count, 'advisory', 'advisories')}, {newest}{old}{problem}"


def page(shown: View) -> str:
    """The page's HTML. Every text is escaped: most of it comes from servers elsewhere."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_TEMPLATE.read_text()).render(view=shown, counted=counted)
