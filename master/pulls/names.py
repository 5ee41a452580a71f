"""The names that belong to pull requests. Builders: `pr-` and the cell's own name; branches: as git hosts have them."""

from __future__ import annotations

from steps.checkout import PULL
from workers.model import Cell

PREFIX = "pr-"
CATEGORY = "pull"


def builder_name(cell: Cell) -> str:
    return PREFIX + cell.builder_name


def is_pull(builder: str) -> bool:
    return builder.startswith(PREFIX)


def cell_name(builder: str) -> str:
    """The cell's own name, of a builder of either kind."""
    return builder.removeprefix(PREFIX)


def ref_of(number: int) -> str:
    """The head itself and not what GitHub would merge: that is another commit, which moves with main, is not there
    while there are conflicts, and which nobody has looked at or given a word for.
    """
    return f"refs/pull/{number}/head"


def number_of(ref: str) -> int | None:
    found = PULL.match(ref)
    return int(found[1]) if found else None
