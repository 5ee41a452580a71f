"""Which builds' rows and logs may go: decided from what was read, and from nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BuildRow:
    """A build of the database. ended: seconds since 1970, None while it runs. commits: of its source stamps."""

    id: int
    builder: str
    number: int
    ended: int | None
    commits: frozenset[str]


@dataclass(frozen=True)
class Held:
    """What has to stay. commits: released, or about to be. records: builder and number, of kept archives.

    newest: ids of each builder's newest build: Buildbot counts on from it, and would give its number again.
    """

    commits: frozenset[str] = frozenset()
    records: frozenset[tuple[str, int]] = frozenset()
    newest: frozenset[int] = frozenset()


def rows_to_drop(rows: Iterable[BuildRow], held: Held, before: float) -> list[int]:
    """The builds that ended before a moment, that no release is made of and no archive is kept of."""
    return [
        row.id
        for row in rows
        if _released(row, held) is False
        and row.ended is not None
        and row.ended < before
        and (row.builder, row.number) not in held.records
        and row.id not in held.newest
    ]


def logs_to_drop(rows: Iterable[BuildRow], held: Held, before: float) -> list[int]:
    """The builds whose logs may go: ended before a moment, and not of a released commit."""
    return [row.id for row in rows if not _released(row, held) and row.ended is not None and row.ended < before]


def _released(row: BuildRow, held: Held) -> bool:
    return not row.commits.isdisjoint(held.commits)


def uploads_to_drop(found: Sequence[tuple[str, float]], running: Collection[int], before: float) -> list[str]:
    """Directories of `incoming/`, by name and time of change: those of no running build, untouched for long."""
    return [name for name, changed in found if changed < before and not (name.isdigit() and int(name) in running)]
