"""The poller of the repository, which remembers when it last saw the branch."""

from __future__ import annotations

import time
from typing import Any

from buildbot.changes.gitpoller import GitPoller


class Poller(GitPoller):
    """polled_at: when the repository last told where the branch is, by time.monotonic(); None before the first time.

    Buildbot's own logs a repository that does not answer and goes on: nobody would ever hear of it.
    """

    polled_at: float | None = None

    async def _get_refs(self, git_auth_files_path: str) -> tuple[list[str], bool]:
        found: tuple[list[str], bool] = await super()._get_refs(git_auth_files_path)
        if found[0]:
            self.polled_at = time.monotonic()
        return found


def pollers_of(master: Any) -> list[Poller]:
    """Those that look. Of several masters it is one that does, for all."""
    return [one for one in master.change_svc or () if isinstance(one, Poller) and one.active]


def last_poll(master: Any) -> float | None:
    """Seconds since the oldest of the pollers' last good looks; None when one had none yet, or there is none."""
    pollers = pollers_of(master)
    times = [one.polled_at for one in pollers]
    known = [one for one in times if one is not None]
    return time.monotonic() - min(known) if known and len(known) == len(times) else None
