"""`[updates]` of settings.toml: when newer sources are looked for, and what becomes of those that are found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from master.complaint import Complaint

_AUTHOR = re.compile(r"\A[^<>\n]+ <[^<>\s]+>\Z")


@dataclass(frozen=True)
class Updates:
    """Looking for newer releases of what is pinned.

    hours, minute: when, by the master's clock; no hour: only by hand. branches: whether new pins are written on
    branches and built. most: how many new ones a time, those that mend known CVEs first. push_to: where branches are
    pushed, by default the repository that is built. author: of the commits, as git has it. advisories: URLs and paths
    (below MINT_HOME or absolute) of OSV or NVD data. sigstore_root: a trusted root of one's own, for what is signed
    with it. keys: a directory of OpenPGP keys of upstreams, looked at before cpython-unix/keys.
    """

    hours: list[int] = field(default_factory=lambda: [3])
    minute: int = 17
    branches: bool = True
    most: int = 3
    push_to: str | None = None
    author: str = "pymint <pymint@localhost>"
    advisories: list[str] = field(default_factory=list)
    sigstore_root: str | None = None
    keys: str | None = None


def complaint(chosen: Updates) -> Complaint | None:
    """What types can't say of `[updates]`, or None."""
    for hour in chosen.hours:
        if not 0 <= hour <= 23:
            return Complaint("hours", "a day has no such hour", "0 to 23", repr(hour))
    if not 0 <= chosen.minute <= 59:
        return Complaint("minute", "an hour has no such minute", "0 to 59", repr(chosen.minute))
    if not 1 <= chosen.most <= 50:
        return Complaint("most", "too few or too many branches at a time", "1 to 50", repr(chosen.most))
    if not _AUTHOR.match(chosen.author):
        return Complaint("author", "git takes no such author", "NAME <ADDRESS>", repr(chosen.author))
    return None
