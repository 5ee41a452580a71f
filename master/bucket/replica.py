"""What of a bucket's store is on this machine: all of its index, and of its archives as much as there is room for.

It lies as a store in a directory does, so whoever reads files there goes on doing so. Nothing of it is the truth: bytes
are hashed when they come and when they are read, the index is held against the bucket's listing, and all of it may be
deleted at any time. Several processes use one at once.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from master.bucket.access import Bucket
from master.bucket.remote import CONNECTIONS, SHORTLY_S, Held, Remote
from master.home import write_file
from workers.errors import Failure

BYTES = "sha256"
# No name in a bucket leads out of the directory.
NAME = re.compile(r"\A(index|attested|releases)(/[A-Za-z0-9][A-Za-z0-9._+-]{0,120}){2,3}\Z")
_MD5 = re.compile(r"\A[0-9a-f]{32}\Z")
# What is younger was perhaps written after the bucket was listed, or by a dry run, which has no network.
GRACE_S = 3600.0
# What was used just now may be open, or about to be.
SPARED_S = 3600.0
# Of a whole cache so much is left, so that not every file that comes has another one dropped.
LEFT = 0.9
# Reports are many, small, and read for every page.
SMALL = 1024 * 1024
_LOOK_S = 60.0


@dataclass(frozen=True)
class Cached:
    """A file of the cache: size in bytes, used: seconds since 1970."""

    path: Path
    size: int
    used: float


def to_drop(files: Iterable[Cached], limit: int, now: float) -> list[Path]:
    """What makes room in a cache that is larger than its limit: the longest unused first, small files last.

    What was used within the last hour stays, whatever the size: somebody may be reading it.
    """
    found = list(files)
    total, dropped = sum(one.size for one in found), []
    if total <= limit:
        return []
    for one in sorted(found, key=lambda one: (one.size < SMALL, one.used)):
        if total <= limit * LEFT:
            break
        if now - one.used > SPARED_S:
            dropped.append(one.path)
            total -= one.size
    return dropped


def stale(local: Iterable[tuple[str, float]], listed: Iterable[str], now: float) -> list[str]:
    """What is here and not in the bucket any more. local: names, and when they were written."""
    known = set(listed)
    return [name for name, written in local if name not in known and now - written > GRACE_S]


class Replica:
    """root: the directory. patient: wait for a bucket that is away as long as `[store]` says, and not only shortly."""

    def __init__(self, root: Path, bucket: Bucket, *, patient: bool) -> None:
        self.root, self.limit = root, bucket.cache_bytes
        wait = bucket.patience_s if patient else min(SHORTLY_S, bucket.patience_s)
        self.remote = Remote(bucket, patience_s=wait)
        self.root.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self._refreshed: dict[str, tuple[float, float]] = {}
        self._looked = 0.0
        self.sizes: dict[str, int] = {}

    def key_of(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    # The index: small files that never change.

    def create(self, path: Path, content: bytes) -> bytes | None:
        """Writes a file of the index, in the bucket first. None when these bytes are there, else what is there."""
        there = self.remote.create(self.key_of(path), content)
        write_file(path, content if there is None else there, 0o444)
        return there

    def look(self, path: Path) -> None:
        """Brings a file of the index, should it be in the bucket and not here."""
        kind = self.key_of(path).partition("/")[0]
        if path.exists() or self._age(kind) < _LOOK_S / 2:
            return
        content = self.remote.read(self.key_of(path))
        if content is not None:
            write_file(path, content, 0o444)

    def refresh(self, kind: str, fresh_s: float = 0, *, paced: bool = False) -> None:
        """Brings what others wrote and drops what they dropped, unless that was done within so many seconds.

        paced: a listing that took long is not made again at once, whoever asks.
        """
        with self._lock:
            took = self._refreshed.get(kind, (0.0, 0.0))[1] if paced else 0.0
            if self._age(kind) < max(fresh_s, 10 * took):
                return
            began = time.monotonic()
            listed = {one.key: one for one in self.remote.listed(kind) if NAME.match(one.key)}
            missing = [one for one in listed.values() if not self._has(one)]
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                list(pool.map(self._bring_index, missing))
            local = [(self.key_of(path), path.stat().st_mtime) for path in _files(self.root / kind)]
            for name in stale(local, listed, time.time()):
                (self.root / name).unlink(missing_ok=True)
            self.sizes |= {one.key: one.size for one in listed.values()}
            self._refreshed[kind] = (time.monotonic(), time.monotonic() - began)

    def _age(self, kind: str) -> float:
        at = self._refreshed.get(kind)
        return time.monotonic() - at[0] if at is not None else float("inf")

    def _has(self, one: Held) -> bool:
        """Whether the file here is the bucket's. Its ETag is its MD5, but where the service encrypts with keys."""
        if self._known.get(one.key) == one.etag:
            return True
        path = self.root / one.key
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return False
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        same = len(content) == one.size and (not _MD5.match(one.etag) or found == one.etag)
        if same:
            self._known[one.key] = one.etag
        return same

    def _bring_index(self, one: Held) -> None:
        content = self.remote.read(one.key)
        if content is None:
            return  # dropped meanwhile
        path = self.root / one.key
        write_file(path, content, 0o444)
        os.utime(path, (one.modified, one.modified))
        self._known[one.key] = one.etag

    # The bytes, by digest.

    def take(self, path: Path, digest: str, length: int) -> None:
        """Brings a file of the directory into the bucket, under its digest."""
        self.remote.keep(self.key_of(path), path, digest, length)
        self.tidy()

    def bring(self, path: Path, digest: str) -> None:
        """Brings a file from the bucket; nothing when it has none. Raises Failure for bytes that are not its."""
        descriptor, temporary = tempfile.mkstemp(dir=self.root, prefix=".new-")
        try:
            with os.fdopen(descriptor, "w+b") as stream:
                found = self.remote.fetch(self.key_of(path), stream)
                if found is None:
                    return
                if found != digest:
                    raise Failure(
                        "store", f"{digest[:16]} is damaged in the bucket", wanted=f"sha256 {digest}",
                        found=f"sha256 {found}",
                        todo=f"Nothing was delivered. Bring {self.key_of(path)} back from the bucket's versions or a "
                        "backup,\nor build that commit again: that writes it anew.",
                    )  # fmt: skip
                stream.flush()
                os.fchmod(stream.fileno(), 0o444)
            path.parent.mkdir(parents=True, exist_ok=True)
            Path(temporary).rename(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
        self.tidy()

    def used(self, path: Path) -> None:
        """Remembers that a file is used now, and changes nothing else of it."""
        try:
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except OSError:
            return

    def bytes_held(self) -> list[Held]:
        """Everything by digest that the bucket has."""
        found = list(self.remote.listed(BYTES))
        self.sizes |= {one.key: one.size for one in found}
        return found

    def written_at(self, path: Path) -> float | None:
        """When the bucket was given an object last, in whole seconds since 1970; None where it has none."""
        return self.remote.written_at(self.key_of(path))

    def remove(self, path: Path) -> None:
        """Of the bucket first: what is here and not there goes by itself, the other way round it would come back."""
        if path.name.startswith(".new-"):
            path.unlink(missing_ok=True)
            return
        self.remote.delete(self.key_of(path))
        self._known.pop(self.key_of(path), None)
        path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Makes room, at most once a minute."""
        if time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        found = []
        for path in (self.root / BYTES).glob("*/*"):
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            found.append(Cached(path, facts.st_size, max(facts.st_atime, facts.st_mtime)))
        for path in to_drop(found, self.limit, time.time()):
            path.unlink(missing_ok=True)


def _files(directory: Path) -> Sequence[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and not path.name.startswith(".")]
