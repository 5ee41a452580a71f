"""How far a release got, place by place, on the disk of whoever publishes it.

    <tag>/lock                          held by the one process that publishes the tag
    <tag>/<identity>/release-plan.json  the very bytes that are published
    <tag>/<identity>/<place>.json       a Checkpoint

A checkpoint is for people and for what is said after a crash. What is done next, the places decide by what they hold.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from master.home import write_file
from master.release.model import PLAN_NAME, Plan, checked_tag, identity
from workers.errors import Failure
from workers.reports.base import decode, encode

State = Literal["begun", "drafted", "uploaded", "audited", "sealed", "published", "pointed"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Checkpoint:
    """The last state that a place reached. at: seconds since 1970, UTC."""

    schema: Literal["pymint/checkpoint/1"]
    tag: str
    identity: str
    place: str
    state: State
    at: int


class Checkpoints:
    """Of one plan, for the process that holds the lock. root: the directory of all releases."""

    def __init__(self, root: Path, plan: Plan) -> None:
        self.identity = identity(plan)
        self.tag = checked_tag(plan.tag)
        self.root = root / self.tag / self.identity
        self.plan_file = self.root / PLAN_NAME
        for half in self.root.glob(".*"):
            half.unlink()  # of a process that was killed while it wrote
        if not self.plan_file.exists():
            write_file(self.plan_file, encode(plan))

    def of(self, place: str) -> Checkpoint | None:
        """None for a place that was not begun. Raises Failure for a file that is none."""
        path = self.root / f"{place}.json"
        return decode(path.read_bytes(), Checkpoint, str(path)) if path.exists() else None

    def reach(self, place: str, state: State) -> None:
        said = Checkpoint("pymint/checkpoint/1", self.tag, self.identity, place, state, int(time.time()))
        write_file(self.root / f"{place}.json", encode(said))


@contextlib.contextmanager
def alone(root: Path, tag: str) -> Iterator[None]:
    """Raises Failure when another process publishes the tag. One that was killed holds nothing."""
    path = root / checked_tag(tag) / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure(
                "publish", f"the release {tag} is being published already", found=f"the lock {path}",
                todo="Wait for the process that does it, or end it: the next one goes on where it stopped.",
            ) from error  # fmt: skip
        yield
