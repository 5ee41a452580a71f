"""Where archives of pull requests go: a store of their own, never larger than it may be, and nothing in it for long.

Nothing that decides about main looks here: not the gate, not a release, not the signer. What is here was checked as
main's is, and was still made by programs that a stranger wrote.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from master.record import Keeper, promote
from master.store import ArchiveRecord, Store
from steps.handover import Recorded, Submission
from workers.errors import Failure
from workers.progress import size

PAGE = "pull-archives"
_DAY_S = 86400


def outdated(records: Sequence[ArchiveRecord], now: float, keep_days: int, max_bytes: int) -> list[ArchiveRecord]:
    """The records to forget: those too old, then the oldest until the files of the rest fit into `max_bytes`."""
    by_age = sorted(records, key=lambda one: (one.recorded_at, one.buildid))
    dropped = [one for one in by_age if now - one.recorded_at > keep_days * _DAY_S]
    kept = by_age[len(dropped) :]
    while kept and sum({one.sha256: one.size for record in kept for one in record.files()}.values()) > max_bytes:
        dropped.append(kept.pop(0))
    return dropped


@dataclass(frozen=True)
class PullKeeper(Keeper):
    """What the record step of a pull request is given. max_bytes: of all that is kept; keep_days: of each build."""

    store: Path
    max_bytes: int
    keep_days: int

    def __call__(self, submission: Submission) -> Recorded:
        arriving = sum(path.stat().st_size for path in submission.directory.iterdir() if path.is_file())
        if arriving > self.max_bytes:
            raise Failure(
                "record", "this build alone is larger than all archives of pull requests may be",
                wanted=f"at most {size(self.max_bytes)}", found=size(arriving),
                todo="Nothing was stored. See [pull_requests] max_store_gb in settings.toml.",
            )  # fmt: skip
        with self._alone():
            self._tidy(self.max_bytes - arriving)
            return promote(Store(self.store), submission, page=PAGE)

    def tidy(self) -> None:
        """Drops what is too old or too much. Blocking. Raises Failure when a record can't be read."""
        if self.store.is_dir():
            with self._alone():
                self._tidy(self.max_bytes)

    def _tidy(self, max_bytes: int) -> None:
        store = Store(self.store)
        for record in outdated(list(store.records()), time.time(), self.keep_days, max_bytes):
            store.forget(record)
        store.prune(really=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """What is dropped is never what another build is just storing, in whatever process."""
        self.store.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.store / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def keeper_of(store: Path, max_store_gb: float, keep_days: int) -> PullKeeper:
    return PullKeeper(store, int(max_store_gb * 1e9), keep_days)
