"""Which newer releases get a branch, what its commit says, and which cells are built of it. Decisions are pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from workers.graph import nodes_of
from workers.model import Cell
from workers.sources.pins import Pin
from workers.updates.advisories import AdvisoriesReport, Finding, mended, names_of
from workers.updates.model import Standing, Taken

_FIRST = ("cpython-", "openssl")
# What the stages leave in MINT_HOME/updates.
LOOK, ADVISORIES, CANDIDATES = "updates.json", "advisories.json", "candidates.json"


@dataclass(frozen=True)
class Made:
    """A newer release and what became of it. state: branched (its pin is on a branch), refused, waiting (others go
    first), kept (the branch is somebody's by now).

    words: a sentence. commit, branch: "" without a branch. cells: those that are built of it. vouches: what each
    witness said. mends: CVEs, as far as data says. loud: something claimed to be the release and was not. missed: newer
    ones that are offered and were not taken, each with the reason.
    """

    source: str
    version: str
    before: str
    state: Literal["branched", "refused", "waiting", "kept"]
    words: str
    branch: str = ""
    commit: str = ""
    cells: list[str] = field(default_factory=list)
    vouches: list[str] = field(default_factory=list)
    mends: list[str] = field(default_factory=list)
    loud: bool = False
    missed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CandidatesReport:
    """What stage `candidates` leaves. base: the commit that was looked after. at: seconds since 1970, UTC."""

    schema: Literal["pymint/candidates/1"]
    at: int
    base: str
    made: list[Made]


def in_turn(standings: Iterable[Standing], known: AdvisoriesReport | None) -> list[Standing]:
    """Those that have something newer which may be pinned without a person: those that mend most first.

    Where no advisories say so, CPython and OpenSSL: what they mend is what people wait for.
    """
    eligible = [one for one in standings if one.offers and not one.hold]
    return sorted(eligible, key=lambda one: (-len(mends(one, one.newest, known)), not one.source.startswith(_FIRST)))


def mends(one: Standing, version: str, known: AdvisoriesReport | None) -> list[Finding]:
    """What a newer release mends of what is known against the pinned one; empty also where nothing is known."""
    if known is None or not known.known:
        return []
    return mended(one.pinned, version, names_of(one.cpe, one.purl), known.advisories)


SourcesOf = Callable[[Cell], frozenset[str]]


def sources_of(procedure: str, slh_dsa: bool) -> SourcesOf:
    """Which sources a cell is made of, by this checkout's recipes."""
    provider = {"PROCEDURE": procedure, "SLH_DSA": "yes" if slh_dsa else "no"}

    def of(cell: Cell) -> frozenset[str]:
        own = provider if cell.target.os == "linux" else {**provider, "PROCEDURE": "toolchain"}
        return frozenset(name for node in nodes_of(cell, own) for name in node.sources)

    return of


def touched(source: str, cells: Sequence[Cell], of: SourcesOf, shared: Mapping[str, str]) -> list[str]:
    """The builders of the cells that a new pin changes. shared: source → the one whose pins it takes, too."""
    names = {source, *(name for name, other in shared.items() if other == source)}
    return [cell.builder_name for cell in cells if names & of(cell)]


def message(taken: Taken, fixed: Sequence[Finding], known: bool) -> str:
    """The commit's message: what is pinned, from where, and who vouches for it."""
    lines = [f"Pin {taken.source} {taken.version}", "", f"Instead of {taken.before}."]
    lines += ["", f"sha256 {taken.sha256}, {taken.size} bytes", f"from {taken.origin}"]
    lines += ["", *(f"- {verdict.said}" for verdict in taken.verdicts)]
    if fixed:
        lines += [
            "",
            "Mends, by the advisories that were read:",
            *(f"- {one.id} {one.severity}".rstrip() for one in fixed),
        ]
    elif not known:
        lines += ["", "Which CVEs it mends is unknown: no advisories were read."]
    return "\n".join(lines) + "\n"


def stands(on_branch: str | None, before_branch: str | None, on_main: str, source: str, version: str,
           parse: Callable[[str], Mapping[str, tuple[Pin, ...]]]) -> bool:  # fmt: skip
    """Whether a branch of earlier still is what would be made now: the pin is there, and it was made of main's pins.

    on_branch, before_branch, on_main: the text of sources.toml at the branch, before its commit, and on main.
    """
    if on_branch is None or before_branch != on_main:
        return False
    return parse(on_branch)[source][0].version == version
