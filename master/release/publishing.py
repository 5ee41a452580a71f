"""Publishes a plan: draft, upload, audit at every place, and only then seal, publish and point, place by place.

Every state can be repeated. A process that is killed in any of them is followed by another that reads what the places
hold, does what is missing, and ends as the first would have. Nothing is shown to anybody before all is everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from master.release.checkpoints import Checkpoints, State, alone
from master.release.model import Plan, identity
from master.release.places.base import Delivery, Place, delivery_of, taken_by_another
from master.release.uploading import Patience, Uploader, patiently, verdict
from master.store import Store
from workers.errors import Failure
from workers.progress import counted

T = TypeVar("T")
Say = Callable[[str], None]
# A file that is wrong twice is not a matter of luck.
_ROUNDS = 2


@dataclass(frozen=True)
class Delivered:
    """A place that has the release. address: where users find it. was_there: it was published before this run.

    files, size: of the release, in bytes; sent_files, sent_size: what this run had to upload. pointers: what leads to
    this release now, empty when a newer one is there. wall_s: seconds of this run.
    """

    place: str
    address: str
    was_there: bool
    files: int
    size: int
    sent_files: int
    sent_size: int
    pointers: list[str]
    wall_s: float


@dataclass(frozen=True)
class Published:
    """A release that is everywhere it should be. identity: of its plan."""

    tag: str
    identity: str
    rehearsal: bool
    places: list[Delivered]


def publish(
    plan: Plan,
    store: Store,
    places: Sequence[Place],
    state_dir: Path,
    say: Say,
    *,
    patience: Patience | None = None,
) -> Published:
    """Brings a release to all places, or what is missing of it. state_dir: where checkpoints are kept.

    Raises Failure: the tag is another plan's, a byte is damaged, a place is out of reach; what is done stays done.
    """
    for place in places:
        if place.rehearsal != plan.rehearsal:
            raise Failure(
                "publish", f"{place.name}: a rehearsal goes to the rehearsal's directory, and nothing else does",
                wanted="a plan " + ("of a rehearsal" if place.rehearsal else "that is none"),
                found="a rehearsal" if plan.rehearsal else "a release", todo="Nothing was published.",
            )  # fmt: skip
    with alone(state_dir, plan.tag):
        checkpoints = Checkpoints(state_dir, plan)
        delivery = delivery_of(plan, identity(plan), checkpoints.plan_file, store.path_of)
        runs = [_Run(place, delivery, checkpoints, say, patience or Patience()) for place in places]
        for run in runs:
            run.look()
        for run in runs:
            run.prepare()
        return Published(plan.tag, delivery.identity, plan.rehearsal, [run.finish() for run in runs])


def abandon(tag: str, places: Sequence[Place], state_dir: Path, say: Say, *, patience: Patience | None = None) -> None:
    """Deletes what is half done under a tag, at every place; never what is published. Raises Failure."""
    with alone(state_dir, tag):
        for place in places:
            gone = patiently(lambda place=place: place.discard(tag), place.name, patience or Patience(), say)  # type: ignore[misc]
            say(f"{place.name}: {'what was half done of' if gone else 'nothing is half done of'} {tag}"
                f"{' is deleted' if gone else ''}")  # fmt: skip


class _Run:
    """One place's way through the states."""

    def __init__(
        self, place: Place, delivery: Delivery, checkpoints: Checkpoints, say: Say, patience: Patience
    ) -> None:
        self.place = place
        self.delivery = delivery
        self.was_there = False
        self._checkpoints = checkpoints
        self._say = say
        self._patience = patience
        self._uploader = Uploader(place, delivery, patience, say)
        self._assets = [one for one in delivery.files.values() if one is not delivery.seal]
        self._wall_s = 0.0
        self._was_published = False

    def look(self) -> None:
        """Raises Failure when the tag is another plan's, before anything is changed anywhere."""
        found = self._do(lambda: self.place.published(self.delivery.tag))
        self.was_there = found == self.delivery.identity
        if found is not None and not self.was_there and not self.place.rehearsal:
            raise taken_by_another(self.place.name, self.delivery.tag, found, self.delivery.identity)
        before = self._checkpoints.of(self.place.name)
        self._was_published = before is not None and before.state in ("published", "pointed")
        if before is not None and before.state != "pointed":
            self._say(f"{self.place.name}: goes on after the state {before.state!r}")

    def prepare(self) -> None:
        """Draft, upload, audit."""
        if self.was_there:
            return
        begun = time.monotonic()
        self._reach("begun")
        self._do(lambda: self.place.draft(self.delivery))
        self._reach("drafted")
        for _ in range(_ROUNDS):
            self._uploader.send(self._assets)
            self._reach("uploaded")
            self._say(f"{self.place.name}: comparing the digests of {counted(len(self._assets), 'file')}")
            wrong = self._uploader.audit(self._assets)
            if not wrong:
                break
        else:
            raise Failure(
                "publish", f"{self.place.name} does not keep what it is given",
                wanted=f"{wrong[0].name}, sha256 {wrong[0].sha256}", found="other bytes or none, twice",
                todo="Nothing was published. Look after that place first.",
            )  # fmt: skip
        self._reach("audited")
        self._wall_s += time.monotonic() - begun
        sent = self._uploader.sent
        self._say(
            f"{self.place.name}: {counted(len(self._assets), 'file')} in place, {sent.files} of them sent "
            f"({sent.size / 1e6:.0f} MB), {self._wall_s:.1f} s"
        )

    def finish(self) -> Delivered:
        """Seal, publish, point."""
        begun = time.monotonic()
        if not self.was_there:
            self._uploader.send([self.delivery.seal])
            self._check_whole()
            self._reach("sealed")
        if not self.was_there or not self._was_published:
            # Also for one that was killed while it was published: everybody sees it, but leftovers may lie about.
            self._do(lambda: self.place.publish(self.delivery))
            if self._do(lambda: self.place.published(self.delivery.tag)) != self.delivery.identity:
                raise Failure(
                    "publish", f"{self.place.name}: the release is not there although it was published",
                    wanted=f"plan {self.delivery.identity}", found="another or none",
                    todo="Start the release again; it looks anew.",
                )  # fmt: skip
            self._reach("published")
        pointed = self._do(lambda: self.place.point(self.delivery))
        self._reach("pointed")
        address = self.place.address(self.delivery.tag)
        said = "was published already, nothing to do" if self.was_there else "is published"
        self._say(f"{self.place.name}: {self.delivery.tag} {said}: {address}")
        files, sent = self.delivery.files.values(), self._uploader.sent
        return Delivered(
            self.place.name, address, self.was_there, len(files), sum(one.size for one in files), sent.files, sent.size,
            pointed, round(self._wall_s + time.monotonic() - begun, 3),
        )  # fmt: skip

    def _check_whole(self) -> None:
        """The listing once more, with the plan in it: exactly what was planned, a moment before it is shown."""
        held = self._uploader.held()
        for name, asset in self.delivery.files.items():
            if verdict(asset, held.get(name)) != "keep":
                raise Failure(
                    "publish", f"{self.place.name}: the draft changed while it was looked at",
                    wanted=f"{name}, {asset.size} bytes", found="another or none",
                    todo="Somebody else works on it. Nothing was published there; start the release again.",
                )  # fmt: skip

    def _reach(self, state: State) -> None:
        self._checkpoints.reach(self.place.name, state)

    def _do(self, what: Callable[[], T]) -> T:
        return patiently(what, self.place.name, self._patience, self._say)
