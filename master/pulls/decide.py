"""Whether a pull request may be built now. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from master.github.api import Pull

# So many words are remembered of a pull request; more were never of use.
WORDS = 20


@dataclass(frozen=True)
class Known:
    """What the farm remembers of an open pull request.

    head: as last seen; built: the commit that builds were asked for, or None; words: commits that somebody who may
    push to the repository said may be built, the newest last; comment: the id of the farm's own comment, mark: what it
    is known by, remembered before it is written; said: what was last written there, as a digest.
    """

    number: int
    head: str
    built: str | None = None
    waits: bool = False
    words: list[str] = field(default_factory=list)
    comment: int | None = None
    mark: str = ""
    said: str = ""

    def with_word(self, commit: str) -> Known:
        return replace(self, words=[*(one for one in self.words if one != commit), commit][-WORDS:])


Verdict = Literal["build", "built", "wait", "leave"]


def verdict(pull: Pull, known: Known | None, branch: str, repository: str, *, same_repository: bool) -> Verdict:
    """build: ask for builds of the head; built: that was done; wait: for a maintainer's word; leave: not for this farm.

    A word is for one commit. Whoever pushes after it has to wait for another.
    """
    if pull.state != "open" or pull.base != branch:
        return "leave"
    if known is not None and known.head == pull.head and known.built == pull.head:
        return "built"
    own = pull.source is not None and pull.source.lower() == repository.lower()
    if own and same_repository:
        return "build"
    return "build" if known is not None and pull.head in known.words else "wait"
