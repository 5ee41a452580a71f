"""Whether a tag is free: what the places of a release, and the plans that this farm made, know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from master import settings as farm_settings
from master.bucket.trouble import Trouble
from master.home import Home
from master.release import kept
from master.release.model import PLAN_NAME, Plan
from master.release.places.chosen import places_of
from master.settings import Settings
from master.store import FOUND_S, Store
from workers.errors import Failure
from workers.reports.base import read_report

# The only place that is looked into without a connection.
LOCAL = "directory"


def objection(
    tag: str, commit: str, holders: Mapping[str, str | None], commits: Mapping[str, str], *, begun: bool
) -> str:
    """Why the tag can't be had for a commit, "" when it can.

    holders: what each place that was asked publishes under it, by the identity of its plan; commits: of known plans.
    begun: a release of that tag was begun and goes on, so that what is published already is no obstacle.
    """
    held = {place: identity for place, identity in holders.items() if identity is not None}
    for place, identity in held.items():
        if commits.get(identity) != commit:
            whose = f"of the commit {commits[identity][:12]}" if identity in commits else "not by a plan of this farm"
            return f"the tag {tag} is taken: the place {place} has a release of that name, {whose}. Choose another one"
    if held and len(held) == len(holders) and not begun:
        return f"the tag {tag} is taken: it is published, of this very commit. Choose another one"
    return ""


def ask(home: Home, settings: Settings, tag: str, commit: str, *, dry_run: bool, begun: bool) -> str:
    """`objection`, after asking the places. Blocking. A place that does not answer is no obstacle here: publishing
    asks again. In a dry run only the local directory is asked."""
    if dry_run:
        local = [one for one in settings.release.places if one == LOCAL]
        settings = replace(settings, release=replace(settings.release, places=local))
    holders: dict[str, str | None] = {}
    for place in places_of(settings, home, rehearsal=False, quick=True):
        try:
            holders[place.name] = place.published(tag)
        except Trouble:
            continue
        except Failure as failure:
            # What stands in the way is the place, or what opens it; another tag would not help.
            advice = failure.todo.partition("\n")[0].rstrip(".")
            return f"the tag {tag} can't be looked up: {failure.what}. {advice}".rstrip(". ")
    store = Store(farm_settings.store_place(settings, home))
    store.glimpse(kept.RELEASES, FOUND_S)
    made = store.root / kept.RELEASES / tag
    commits = {path.parent.name: read_report(path, Plan).commit for path in made.glob(f"*/{PLAN_NAME}")}
    return objection(tag, commit, holders, commits, begun=begun)
