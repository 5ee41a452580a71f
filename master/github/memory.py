"""What the bridge knows over restarts: open pull requests, what GitHub was told, what it is still owed.

In Buildbot's database, so that it is where the builds are that it is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from twisted.python import log

from master.pulls.decide import Known

_OWNER, _KIND = "github", "master.github.memory.Memory"
# Commits whose statuses are remembered as sent. What is older and asked for again is only sent twice.
COMMITS = 100


class Memory:
    """Everything is written before the call returns. One bridge at a time."""

    def __init__(self) -> None:
        self.pulls: dict[int, Known] = {}
        self.owed: list[str] = []
        self._sent: dict[str, dict[str, str]] = {}

    async def load(self, master: Any) -> None:
        """What an older or newer farm wrote otherwise is begun anew: all of it can be asked for again."""
        self.pulls = {one.number: one for one in await self._read(master, "pulls", list[Known], [])}
        self.owed = await self._read(master, "owed", list[str], [])
        self._sent = await self._read(master, "sent", dict[str, dict[str, str]], {})

    async def _read(self, master: Any, key: str, kind: Any, otherwise: Any) -> Any:
        owner = await master.db.state.getObjectId(_OWNER, _KIND)
        raw = await master.db.state.getState(owner, key, otherwise)
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            log.msg(f"github: {key} was remembered in another way ({error}); begun anew")
            return otherwise

    async def _write(self, master: Any, key: str, value: Any) -> None:
        owner = await master.db.state.getObjectId(_OWNER, _KIND)
        await master.db.state.setState(owner, key, msgspec.to_builtins(value))

    async def keep(self, master: Any, known: Known) -> None:
        self.pulls[known.number] = known
        await self._write(master, "pulls", list(self.pulls.values()))

    async def forget(self, master: Any, number: int) -> None:
        self.pulls.pop(number, None)
        await self._write(master, "pulls", list(self.pulls.values()))

    async def owe(self, master: Any, commits: Sequence[str]) -> None:
        """These commits' statuses are not all sent yet."""
        if set(commits) != set(self.owed):
            self.owed = list(commits)
            await self._write(master, "owed", self.owed)

    def sent_of(self, commit: str) -> dict[str, str]:
        """Context to mark of what was sent last."""
        return self._sent.get(commit, {})

    async def sent(self, master: Any, commit: str, context: str, mark: str) -> None:
        self._sent[commit] = {**self._sent.pop(commit, {}), context: mark}
        while len(self._sent) > COMMITS:
            del self._sent[next(iter(self._sent))]
        await self._write(master, "sent", self._sent)
