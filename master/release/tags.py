"""Whether a tag is free: what the places of a release, and the plans that this farm made, know of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from master import settings as farm_settings
from master.home import Home
from master.release.model import PLAN_NAME, TAG, Plan
from master.release.publishing import places_of
from master.settings import Settings
from master.store import DIGEST
from workers.errors import Failure
from workers.reports.base import decode

# The only place that is looked into without a connection.
LOCAL = "directory"


def plan_path(store: Path, tag: str, identity: str) -> Path:
    """Where a plan is kept. Raises Failure for what is no tag or no digest."""
    if not TAG.match(tag) or not DIGEST.match(identity):
        raise Failure("release", f"{tag!r}, {identity!r}: no release", todo="A tag and the digest of a plan name one.")
    return store / "releases" / tag / identity / PLAN_NAME


def plan_of(store: Path, tag: str, identity: str) -> Plan | None:
    """A plan that this farm made, None when it did not. Raises Failure when it can't be read."""
    path = plan_path(store, tag, identity)
    return decode(path.read_bytes(), Plan, str(path)) if path.exists() else None


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
            return f"the tag {tag} is taken: the place {place} has a release of that name, {whose}"
    if held and len(held) == len(holders) and not begun:
        return f"the tag {tag} is taken: it is published, of this very commit"
    return ""


def ask(home: Home, settings: Settings, tag: str, commit: str, *, dry_run: bool, begun: bool) -> str:
    """`objection`, after asking the places. Blocking. A place that does not answer is no obstacle here: publishing
    asks again. In a dry run only the local directory is asked."""
    store = farm_settings.store_path(settings, home)
    holders: dict[str, str | None] = {}
    commits: dict[str, str] = {}
    for place in places_of(settings, home, rehearsal=False, only=LOCAL if dry_run else None):
        try:
            identity = place.taken(tag)
            plan = plan_of(store, tag, identity) if identity is not None else None
        except Failure:
            continue
        holders[place.name] = identity
        if plan is not None and identity is not None:
            commits[identity] = plan.commit
    return objection(tag, commit, holders, commits, begun=begun)
