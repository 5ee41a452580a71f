"""Which deliveries were taken already, over restarts of the master and never more than so many."""

from __future__ import annotations

from typing import Any

from twisted.internet import defer

# A busy repository delivers some hundreds a day. What is older and comes again only has the farm look once more.
REMEMBERED = 2000
_OWNER, _KIND, _KEY = "deliveries", "master.github.replays.Replays", "taken"


def taken(known: list[str], marks: list[str]) -> list[str] | None:
    """What is known afterwards, newest last; None when one of the marks was known before."""
    if set(marks) & set(known):
        return None
    return [*known, *marks][-2 * REMEMBERED :]


class Replays:
    """Remembered in Buildbot's database, and written there before the delivery is answered."""

    def __init__(self) -> None:
        self._lock = defer.DeferredLock()

    async def first_time(self, master: Any, delivery: str, signature: str) -> bool:
        """Whether neither the id nor the signature was seen. From now on both were."""
        # The first 128 bits: a delivery that nobody made twice has others.
        marks = [delivery.lower(), signature.removeprefix("sha256=")[:32]]
        await self._lock.acquire()
        try:
            state = master.db.state
            owner = await state.getObjectId(_OWNER, _KIND)
            known = taken(await state.getState(owner, _KEY, []), marks)
            if known is None:
                return False
            await state.setState(owner, _KEY, known)
            return True
        finally:
            self._lock.release()
