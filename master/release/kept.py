"""The plans of releases, kept beside what they publish, and which of them was published.

    STORE/releases/<tag>/<identity>/release-plan.json   a plan, create-only
    STORE/releases/<tag>/published.json                 the one of that tag that was published, create-only
    STORE/releases/<tag>/signed/<digest>-<key>.json     a Stored: the bundle of a SHA256SUMS (master/signing/release.py)

What these name stays in the store: `master.store` counts it as referred to.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from master.blobs import Stored
from master.home import write_file
from master.release.model import PLAN_NAME, Plan, checked_tag, identity
from workers.errors import Failure
from workers.reports.base import decode, encode, read_report

RELEASES: Literal["releases"] = "releases"
PUBLISHED = "published.json"
SIGNED = "signed"
# A rehearsal holds its archives back from `prune` for as long as people look at it.
REHEARSAL_S = 7 * 24 * 3600


@dataclass(frozen=True)
class PublishedPlan:
    """published.json. identity: of the plan."""

    schema: Literal["pymint/published/1"]
    tag: str
    identity: str


def _place(store: Path, tag: str) -> Path:
    return store / RELEASES / checked_tag(tag)


def keep(store: Path, plan: Plan) -> Path:
    """Writes a plan, unless it is there. Raises Failure when something else is there under its identity."""
    path = _place(store, plan.tag) / identity(plan) / PLAN_NAME
    data = encode(plan)
    if not path.exists():
        write_file(path, data, 0o444)
    elif path.read_bytes() != data:
        raise Failure(
            "release", f"the plan {identity(plan)[:12]} of {plan.tag} is damaged in the store", found=str(path),
            todo="Compare it with its backup, or delete it: it is made again.",
        )  # fmt: skip
    else:
        os.utime(path)  # what is rehearsed once more is looked at once more
    return path


def read(store: Path, tag: str, wanted: str) -> Plan:
    """The plan of that identity. Raises Failure when it is not there, or is another."""
    path = _place(store, tag) / wanted / PLAN_NAME
    plan = read_report(path, Plan)
    # The bytes as they were written: what is made anew of an older pymint's plan has fields that it had not.
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wanted:
        raise Failure(
            "release", f"a plan of {tag} is not what it was when it was made", wanted=wanted, found=found,
            todo="Nothing was published from it. Start the release again: the plan is made anew.",
        )  # fmt: skip
    return plan


def of_tag(store: Path, tag: str) -> list[Plan]:
    """Every plan that was made for a tag, but for those that are damaged: a damaged one is of no use to a new one."""
    found = []
    for path in sorted(_place(store, tag).glob(f"*/{PLAN_NAME}")):
        with suppress(Failure):
            found.append(read(store, tag, path.parent.name))
    return found


def mark_published(store: Path, plan: Plan) -> Path:
    """Remembers that a plan was published under its tag, and says where. Raises Failure for a second one, and for a
    rehearsal's."""
    if plan.rehearsal:
        raise Failure("release", f"{plan.tag} was rehearsed, not published", todo="Rehearsals leave no mark.")
    said = PublishedPlan("pymint/published/1", plan.tag, identity(plan))
    path = _place(store, plan.tag) / PUBLISHED
    if not path.exists():
        write_file(path, encode(said), 0o444)
        return path
    before = read_report(path, PublishedPlan)
    if before != said:
        raise Failure(
            "release", f"the tag {plan.tag} is another release's", wanted=said.identity, found=before.identity,
            todo="What is published stays as it is. Release under another tag.",
        )  # fmt: skip
    return path


def published(store: Path) -> list[Plan]:
    """The plans that were published, by their tags in time. Raises Failure for what can't be read."""
    found = []
    for path in (store / RELEASES).glob(f"*/{PUBLISHED}"):
        said = read_report(path, PublishedPlan)
        found.append(read(store, said.tag, said.identity))
    return sorted(found, key=lambda plan: order(plan.tag))


def before(store: Path, tag: str) -> Plan | None:
    """The release before a tag; None for the first."""
    earlier = [plan for plan in published(store) if order(plan.tag) < order(tag)]
    return earlier[-1] if earlier else None


def order(tag: str) -> tuple[str, str]:
    """The day, then which of that day: a second release of a day comes before the next day's first."""
    return tag[:8], tag[8:]


def holds(path: Path, plan: Plan, now: float | None = None) -> bool:
    """Whether the store has to keep what the plan at `path` names: always, but for a rehearsal of long ago."""
    at = time.time() if now is None else now
    return not plan.rehearsal or at - path.stat().st_mtime < REHEARSAL_S


def held(store: Path, now: float | None = None) -> Iterator[Plan]:
    """The plans whose files the store has to keep: all but rehearsals of long ago. Raises Failure.

    A plan that was not published yet may be resumed, and a rehearsal still be looked at.
    """
    for path in sorted((store / RELEASES).glob(f"*/*/{PLAN_NAME}")):
        plan = decode(path.read_bytes(), Plan, str(path))
        if holds(path, plan, now):
            yield plan


def signatures(store: Path) -> Iterator[tuple[str, Stored]]:
    """The lists of digests that were signed, each by its own sha256, and its bundle. Raises Failure.

    They stay though no plan names them (any more): the same list is signed once, however often it is planned.
    """
    for path in sorted((store / RELEASES).glob(f"*/{SIGNED}/*.json")):
        yield path.name.partition("-")[0], decode(path.read_bytes(), Stored, str(path))
