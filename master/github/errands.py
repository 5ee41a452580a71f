"""What is still to be asked of GitHub or told it, and when. Pure: the bridge has the clock and the connection.

An errand names what it is about and never what to say: that is worked out when its turn comes, so however long GitHub
was away, it is told the newest state once, and nothing that was overtaken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

# In the order in which they go: what is known first, what people wait for most next.
Kind = Literal["word", "look", "poll", "statuses", "comment"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# After trouble without a time of GitHub's own it rests for one of these, then for twice as many each time.
LONGEST_REST = 512
# What was refused for good may be mended by a person: another token, a permission.
REFUSED = 600


@dataclass(frozen=True)
class Errand:
    """about: a pull request's number, a commit, or a label's event as text."""

    kind: Kind
    about: str


class Errands:
    """Times are seconds of any one clock. rest_s: the unit of rests, the shortest one."""

    def __init__(self, rest_s: float = 1.0) -> None:
        self._due: dict[Errand, float] = {}
        self._rests_until = 0.0
        self._troubles = 0
        self._rest_s = rest_s

    def want(self, errand: Errand, at: float) -> None:
        """Not before `at`; one that is wanted already goes at the earlier time."""
        self._due[errand] = min(at, self._due.get(errand, at))

    def open(self, kind: Kind) -> list[str]:
        """What the errands of a kind are about."""
        return [errand.about for errand in self._due if errand.kind == kind]

    def next_due(self) -> float | None:
        """When there is something to do, None when there is nothing."""
        return max(min(self._due.values()), self._rests_until) if self._due else None

    def take(self, now: float) -> Errand | None:
        """The next one, which is then not wanted any more."""
        ready = [errand for errand, due in self._due.items() if due <= now]
        if not ready or now < self._rests_until:
            return None
        chosen = min(ready, key=lambda errand: (KINDS.index(errand.kind), self._due[errand]))
        del self._due[chosen]
        return chosen

    def went_well(self) -> None:
        self._troubles = 0

    def troubled(self, errand: Errand, now: float, wait_s: float | None) -> float:
        """Nothing is asked for a while, then this again. wait_s: as GitHub asked. Returns for how long."""
        rest = self._rest_s * min(2 ** min(self._troubles, 16), LONGEST_REST)
        self._troubles += 1
        rest = rest if wait_s is None else max(wait_s, 0.0)
        self._rests_until = max(self._rests_until, now + rest)
        self.want(errand, now + rest)
        return rest

    def refused(self, errand: Errand, now: float) -> None:
        """This one again, after a while; the others go on."""
        self.want(errand, now + REFUSED * self._rest_s)
