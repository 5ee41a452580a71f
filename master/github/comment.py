"""The comment on a pull request: from data to Markdown, and nothing else.

All that comes from a build may have been written by a stranger: it goes into code spans, where GitHub makes no mention,
link, image or markup of anything, and can't end them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from master.github.events import word_for
from master.github.statuses import State, duration
from workers.progress import counted, size

MARKS: Mapping[State, str] = {"success": "✅", "failure": "❌", "error": "⚠️", "pending": "⏳"}
LONGEST = 60
# GitHub takes 65536 characters; nobody reads as many.
MOST_NAMES = 12


@dataclass(frozen=True)
class Facts:
    """What a build reported of itself, as far as it came. nodes: name to key; pins: source to version; size in bytes;
    checks: of the FIPS proof, held and made."""

    nodes: Mapping[str, str] | None = None
    pins: Mapping[str, str] | None = None
    size: int | None = None
    floor: str | None = None
    checks: tuple[int, int] | None = None
    provider: str | None = None
    certificate: str | None = None


@dataclass(frozen=True)
class Row:
    """A cell of the pull request. files: where its archives are; main: the newest build of the same cell there."""

    cell: str
    state: State
    words: str
    url: str
    files: str | None
    took_s: float | None
    found: Facts
    main: Facts


@dataclass(frozen=True)
class Shown:
    """A pull request's head, the branch that it is compared with, whether it waits for a word, and its cells."""

    head: str
    branch: str
    waits: bool
    rows: Sequence[Row]
    page_url: str


def code(text: str) -> str:
    """Foreign text as a code span of a table's cell: one line, of a bounded length, that nothing in it can end."""
    plain = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text)
    plain = " ".join(plain.split()).replace("`", "'").replace("|", "¦").replace("\\", "/")
    cut = plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"
    return f"`{cut}`" if cut else "–"


def written(shown: Shown) -> str:
    """The whole comment."""
    lines = [f"**pymint** at `{shown.head}`", ""]
    if shown.waits:
        lines.append(
            "This pull request comes from a fork, so nothing of it is built until somebody who may push here has read "
            f"this commit and says so, by a comment that is nothing but this line. It holds for `{shown.head[:12]}` "
            "alone."
        )
        lines += ["", "```", word_for(shown.head), "```", ""]
    if shown.rows:
        lines += ["| cell | result | archive | glibc | FIPS proof | time | |", "|---|---|---|---|---|---|---|"]
        lines += [_line(row) for row in shown.rows]
        lines += ["", *_changes(shown)]
    elif not shown.waits:
        lines += ["No cell is built of it yet.", ""]
    lines.append("<sub>Built of the head itself, on workers for pull requests; neither signed nor released.</sub>")
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    links = [f"[build]({row.url})"] + ([f"[files]({row.files})"] if row.files else [])
    found = row.found
    cells = [
        f"`{row.cell}`",
        f"{MARKS[row.state]} {row.words}",
        _size(found.size, row.main.size),
        code(found.floor) if found.floor else "–",
        _proof(found),
        duration(row.took_s) if row.took_s is not None else "–",
        " · ".join(links),
    ]
    return f"| {' | '.join(cells)} |"


def _size(found: int | None, main: int | None) -> str:
    """ "61.2 MB (+0.4 %)"."""
    if found is None:
        return "–"
    if not main:
        return f"{size(found)} (new)"
    change = 100 * (found - main) / main
    said = "same size" if found == main else f"{change:+.1f} %" if abs(change) >= 0.05 else f"{found - main:+} B"
    return f"{size(found)} ({said})"


def _proof(found: Facts) -> str:
    if found.checks is None:
        return "–"
    held, made = found.checks
    status = f"certificate {code(found.certificate)}" if found.certificate else "not validated"
    said = f"{counted(held, 'check')} held" if held == made else f"**{made - held} of {counted(made, 'check')} failed**"
    return f"{said}, {code(found.provider or '')}, {status}"


def _changes(shown: Shown) -> list[str]:
    """What is other than in main's newest build: nodes with another key, pins. Cells that say the same say it once."""
    said: dict[str, list[str]] = {}
    for row in shown.rows:
        if row.found.nodes is None:
            continue
        said.setdefault(_change(row.found, row.main), []).append(row.cell)
    lines = []
    for text, cells in said.items():
        which = "every cell" if len(cells) == len(shown.rows) else ", ".join(f"`{cell}`" for cell in cells)
        lines.append(f"- {which}: {text}")
    return [f"Against the newest build of `{shown.branch}`:", "", *lines, ""] if lines else []


def _change(found: Facts, main: Facts) -> str:
    if main.nodes is None:
        return "no build there to compare with"
    new = found.nodes or {}
    other = [name for name, key in new.items() if main.nodes.get(name) != key]
    gone = [name for name in main.nodes if name not in new]
    if not other and not gone:
        return "no node has another key"
    parts = [f"{len(other)} of {counted(len(new), 'node')} have another key: {_names(other)}"] if other else []
    parts += [f"gone: {_names(gone)}"] if gone else []
    old, now = main.pins or {}, found.pins or {}
    pins = [f"{name} {old.get(name, 'none')} → {now[name]}" for name in now if old.get(name) != now[name]]
    parts += [f"pins: {_names(pins)}"] if pins else []
    return "; ".join(parts)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(code(name) for name in names[:MOST_NAMES])
    return shown + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
