"""What a place is to a release: somewhere that takes files under a tag, shows them all at once, and can be asked again.

Every method may be called again after it failed, or after the process was killed in it: each begins with what the place
really holds, never with what a process remembers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from master.release.model import PLAN_NAME, Asset, Plan
from workers.errors import Failure
from workers.reports.base import encode

BLOCK = 1024 * 1024
# GitHub turns other letters into dots, URLs and shells have their own ideas.
NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._+-]{0,199}\Z")
# Of a GitHub release; the other places have no limit near it, but one plan goes to all.
MOST_ASSETS = 1000
PLAN_TYPE = "application/json"


@dataclass(frozen=True)
class Held:
    """A file as a place lists it. sha256: where the listing tells it. whole: False for what an upload left behind."""

    name: str
    size: int
    sha256: str | None = None
    whole: bool = True
    handle: int | None = None


@dataclass(frozen=True)
class Delivery:
    """A plan on its way. files: every asset by its name, the plan itself last. source: where a file's bytes lie."""

    plan: Plan
    identity: str
    files: dict[str, Asset]
    source: Callable[[Asset], Path]

    @property
    def tag(self) -> str:
        return self.plan.tag

    @property
    def seal(self) -> Asset:
        """release-plan.json: with it in place, a release is what the plan says."""
        return self.files[PLAN_NAME]

    def text(self, asset: Asset) -> bytes:
        """The bytes of a small file. Raises Failure when they are not what the plan says."""
        return b"".join(blocks(self.source(asset), asset))


class Place(Protocol):
    """All methods raise Failure for what only a person can mend, and Trouble for what may be gone at the next try."""

    name: str
    # Whether only rehearsals go there.
    rehearsal: bool
    # Uploads at once; seconds between two requests that create something.
    parallel: int
    pace_s: float

    def address(self, tag: str) -> str:
        """Where users find a tag's files."""

    def published(self, tag: str) -> str | None:
        """The identity of what is published under a tag. Raises Failure when something is that has no plan of ours."""

    def draft(self, delivery: Delivery) -> None:
        """Makes room that nobody sees yet, or finds it. Raises Failure when another plan's lies there half done."""

    def held(self, delivery: Delivery) -> dict[str, Held]:
        """What is in the draft, leftovers of broken uploads too."""

    def put(self, delivery: Delivery, asset: Asset) -> None:
        """Sends one file, which is not there. It appears whole or not at all, or as a leftover that `held` shows."""

    def digest(self, delivery: Delivery, asset: Asset, held: Held) -> str:
        """sha256 of the bytes that the place has, as far as possible by its own account."""

    def remove(self, delivery: Delivery, held: Held) -> None:
        """Takes a file out of the draft; one that is gone already is no error."""

    def publish(self, delivery: Delivery) -> None:
        """Shows the whole draft to everybody, at once."""

    def point(self, delivery: Delivery) -> list[str]:
        """Lets "the latest" mean this release, unless a newer one is. Returns the pointers that lead to it now."""

    def discard(self, tag: str) -> bool:
        """Deletes what is half done under a tag; whether there was anything. Never what is published."""


def delivery_of(plan: Plan, identity: str, plan_path: Path, path_of: Callable[[str], Path]) -> Delivery:
    """A plan made ready to be sent. Raises Failure for names that can't be published."""
    content = encode(plan)
    seal = Asset(PLAN_NAME, len(content), hashlib.sha256(content).hexdigest(), PLAN_TYPE, "index")
    files: dict[str, Asset] = {}
    for asset in [*plan.assets, seal]:
        if not NAME.match(asset.name) or asset.name in files:
            raise Failure(
                "publish", "the plan has a file that can't be published under its name",
                wanted="each name once, of letters, digits, '.', '_', '+', '-'", found=repr(asset.name),
                todo="Nothing was published.",
            )  # fmt: skip
        files[asset.name] = asset
    if len(files) > MOST_ASSETS:
        raise Failure(
            "publish", "the release has too many files", wanted=f"at most {MOST_ASSETS}", found=str(len(files)),
            todo="Release fewer cells at a time. Nothing was published.",
        )  # fmt: skip
    return Delivery(plan, identity, files, lambda one: plan_path if one is seal else path_of(one.sha256))


def rotten(asset: Asset, path: Path, found: str) -> Failure:
    return Failure(
        "publish", f"{asset.name} is damaged in the store", wanted=f"sha256 {asset.sha256}, {asset.size} bytes",
        found=found,
        todo=f"It was not published. Check the disk, delete {path}, build that cell again and release again.",
    )  # fmt: skip


def blocks(path: Path, asset: Asset) -> Iterator[bytes]:
    """A file's bytes. The last block comes only when all of them are the asset's. Raises Failure when they are not.

    So whoever sends the blocks with the length in front never completes a file with damaged bytes.
    """
    hasher, size, kept = hashlib.sha256(), 0, b""
    try:
        with path.open("rb") as stream:
            while block := stream.read(BLOCK):
                hasher.update(block)
                size += len(block)
                if size > asset.size:
                    break
                if kept:
                    yield kept
                kept = block
    except OSError as error:
        raise rotten(asset, path, error.strerror or str(error)) from error
    if (hasher.hexdigest(), size) != (asset.sha256, asset.size):
        raise rotten(asset, path, f"sha256 {hasher.hexdigest()}, {path.stat().st_size} bytes")
    if kept:
        yield kept


def digest_of(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def taken_by_another(place: str, tag: str, found: str, identity: str) -> Failure:
    return Failure(
        "publish", f"{place}: the tag {tag} is taken by another release",
        wanted=f"plan {identity}", found=f"plan {found}",
        todo="What is published stays as it is. Release under another tag: YYYYMMDDNN is the day's next.",
    )  # fmt: skip


def half_done(place: str, tag: str, found: str, identity: str) -> Failure:
    return Failure(
        "publish", f"{place}: another release of the tag {tag} was begun and is not published",
        wanted=f"plan {identity}", found=f"plan {found}",
        todo=f"Publish that one, release under another tag, or throw it away: ./mint release --abandon --tag {tag}",
    )  # fmt: skip


def pointers(plan: Plan) -> list[Asset]:
    """The files that also lie beside the releases, in the order in which they are moved. The last one says the tag."""
    found = [one for one in plan.assets if one.role == "index"]
    return sorted(found, key=lambda one: (one.name == LATEST, one.name))


LATEST = "latest-release.json"


def newer(tag: str, other: str | None) -> bool:
    """Whether a tag is of a newer release than another. Its first eight digits are a day, more are within the day."""
    return other is None or not other.isdigit() or (tag[:8], int(tag[8:] or 0)) > (other[:8], int(other[8:] or 0))
