"""Which CVEs a release fixes: what the farm's own last look at its pins knew when the release was planned.

Nothing is asked here. The builder `pins` reads advisories and leaves them in `updates/` (docs/pins.md); they stand in
the plan, so that a release which is taken up later, after another look, is still the same one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from master.release.changes import versions_of
from master.release.model import Looked, Mended, Plan
from master.updates.candidates import ADVISORIES, LOOK
from workers.errors import Failure
from workers.reports.base import read_report
from workers.updates.advisories import AdvisoriesReport, Advisory, findings, names_of
from workers.updates.model import UpdatesReport

# What others write is published under this farm's name: what looks like something else is left out.
_ID = re.compile(r"\A[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)+\Z")
_SEVERITY = re.compile(r"\A[a-z]+\Z")
_URL = re.compile(r"\Ahttps?://[A-Za-z0-9._~:/?#@!$&*+,;=%-]+\Z")

Names = Mapping[str, frozenset[str]]


def looked(
    updates: Path, plan: Plan, before: Plan | None, kept: Iterable[Plan], say: Callable[[str], None]
) -> Looked | None:
    """What is known; None where nothing was ever read. updates: what the last look left. kept: the plans of this tag.

    A release that was planned already knows what it knew then. Nothing that can't be read keeps a release back.
    """
    for one in kept:
        if (one.commit, one.previous, one.rehearsal) == (plan.commit, plan.previous, False) and not plan.rehearsal:
            say("CVEs: as when this release was planned first")
            return one.advisories
    try:
        known = read_report(updates / ADVISORIES, AdvisoriesReport)
        pins = read_report(updates / LOOK, UpdatesReport).pins
    except Failure as failure:
        say(f"CVEs: unknown, {failure.what}")
        return None
    if not known.known:
        say("CVEs: unknown, no advisories were read")
        return None
    names = {one.source: names_of(one.cpe, one.purl) for one in pins}
    found = list(mended(versions_of(before), versions_of(plan), names, known.advisories)) if before is not None else []
    count = sum(feed.count for feed in known.feeds)
    say(f"CVEs: {len(found)} of those that {count} advisories tell of are fixed")
    return Looked(
        min(feed.fetched for feed in known.feeds if feed.read), count,
        max(feed.newest for feed in known.feeds), found,
    )  # fmt: skip


def mended(
    before: Mapping[str, set[str]], after: Mapping[str, set[str]], names: Names, advisories: list[Advisory]
) -> Iterator[Mended]:
    """What any of a source's versions had, and none has any more. before, after: its versions, by source."""
    for source in sorted(before.keys() & after.keys()):
        own = names.get(source, frozenset())
        left = {one.id for version in after[source] for one in findings(version, own, advisories)}
        gone = {one.id: one for version in sorted(before[source]) for one in findings(version, own, advisories)}
        for one in gone.values():
            if one.id not in left and _ID.match(one.id):
                yield Mended(
                    source, one.id, one.severity if _SEVERITY.match(one.severity) else "",
                    one.url if _URL.match(one.url) else "",
                )  # fmt: skip
