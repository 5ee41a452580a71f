"""Whether the master is well: decided from what was measured, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from workers.progress import size

# Buildbot writes a master's last sign of life once a minute.
SIGN_OF_LIFE_S = 600.0
# The first look at a repository may clone all of it.
FIRST_POLL_S = 600.0


@dataclass(frozen=True)
class Limits:
    """poll_s: seconds between two looks at the repository, None where none is. disk: bytes that must be free."""

    poll_s: float | None
    disk: int


@dataclass(frozen=True)
class Vitals:
    """What was measured. Ages in seconds.

    database: what is wrong with it, "" when it answered. sign_of_life: age of what the master itself wrote there last.
    queue: whether a message that was sent came back. polled: age of the last look at the repository that succeeded,
    None before the first. up: age of the master. free: bytes left, by place; unwritable: places and why.
    bucket: what is wrong with the store's, None where the store is a directory.
    """

    up: float
    database: str = ""
    sign_of_life: float | None = None
    active: bool = True
    queue: bool = True
    polled: float | None = None
    free: Mapping[str, int] = field(default_factory=dict)
    unwritable: Mapping[str, str] = field(default_factory=dict)
    bucket: str | None = None


@dataclass(frozen=True)
class Check:
    """One question: its name, the answer, what was found and, where that is not well, what was wanted."""

    name: str
    ok: bool
    found: str
    wanted: str = ""


@dataclass(frozen=True)
class Checkup:
    """All answers. at: seconds since 1970, UTC."""

    healthy: bool
    at: int
    checks: Sequence[Check]


def judge(vitals: Vitals, limits: Limits) -> list[Check]:
    """Every check, in the order in which a person would look."""
    first = [_database(vitals), _master(vitals), _queue(vitals), _poller(vitals, limits)]
    return [*first, *_disks(vitals, limits), *_bucket(vitals)]


def _database(vitals: Vitals) -> Check:
    return Check("database", not vitals.database, vitals.database or "it answers", "an answer")


def _master(vitals: Vitals) -> Check:
    wanted = f"a sign of life in the database within {SIGN_OF_LIFE_S:.0f} s"
    if vitals.sign_of_life is None:
        return Check("master", False, "nothing is known of this master", wanted)
    if not vitals.active:
        return Check("master", False, "the database says that this master is stopped", wanted)
    ok = vitals.sign_of_life <= SIGN_OF_LIFE_S
    return Check("master", ok, f"its last sign of life was {vitals.sign_of_life:.0f} s ago", wanted)


def _queue(vitals: Vitals) -> Check:
    found = "a message came back" if vitals.queue else "a message that was sent did not come back"
    return Check("queue", vitals.queue, found, "messages between the master's parts")


def poll_limit(poll_s: float) -> float:
    """How old the last good look at the repository may be. A busy machine and a slow server miss one now and then."""
    return max(10 * poll_s, 300.0)


def _poller(vitals: Vitals, limits: Limits) -> Check:
    if limits.poll_s is None:
        return Check("poller", True, "nothing is polled by this master")
    most = poll_limit(limits.poll_s)
    wanted = f"the repository was looked at within {most:.0f} s"
    if vitals.polled is None:
        found = f"the repository was not looked at yet, {vitals.up:.0f} s after the start"
        return Check("poller", vitals.up <= max(most, FIRST_POLL_S), found, wanted)
    return Check("poller", vitals.polled <= most, f"the repository was looked at {vitals.polled:.0f} s ago", wanted)


def _bucket(vitals: Vitals) -> Iterator[Check]:
    if vitals.bucket is not None:
        wanted = "a bucket that answers: archives go there"
        yield Check("bucket", not vitals.bucket, vitals.bucket or "it answers", wanted)


def _disks(vitals: Vitals, limits: Limits) -> Iterator[Check]:
    for place, free in vitals.free.items():
        yield Check("disk", free >= limits.disk, f"{size(free)} free for {place}", f"{size(limits.disk)} free")
    for place, why in vitals.unwritable.items():
        yield Check("writable", False, f"{place} can't be written: {why}", "a place that can be written")
