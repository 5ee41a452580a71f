"""A worker's store: objects by digest, found by key.

    store/sha256/ab/abcdef…   the bytes, named by their own sha256
    store/keys/<key>.json     which bytes a key stands for, and what making them cost

Nothing here is believed: bytes are hashed again before each use, and what does not match is thrown away and built anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.errors import Failure
from workers.reports.base import Measure, read_report, write_report


@dataclass(frozen=True)
class ObjectRecord:
    """What a key stands for. `digest`: sha256 of the bytes; `size` in bytes; `facts`: small texts to keep beside it."""

    schema: Literal["pymint/object/1"]
    key: str
    node: str
    digest: str
    size: int
    measure: Measure
    facts: dict[str, str]


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Store:
    """The store below `root` (made when missing). Several processes may use it at once."""

    def __init__(self, root: Path, say: Callable[[str], None] = print) -> None:
        self.root = root
        self._say = say
        for directory in (root / "sha256", root / "keys", root / "locks"):
            directory.mkdir(parents=True, exist_ok=True)

    def path_of(self, digest: str) -> Path:
        return self.root / "sha256" / digest[:2] / digest

    def _record_path(self, key: str) -> Path:
        return self.root / "keys" / f"{key}.json"

    @contextlib.contextmanager
    def locked(self, key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Holds the key's lock, so that two builds that want the same object make it once. Gone with the process."""
        with (self.root / "locks" / key).open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def is_locked(self, key: str) -> bool:
        """Whether a living process holds the key's lock."""
        with (self.root / "locks" / key).open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def record(self, key: str) -> ObjectRecord | None:
        """The key's record as written, unchecked: for showing, not for using."""
        path = self._record_path(key)
        if not path.exists():
            return None
        try:
            return read_report(path, ObjectRecord)
        except Failure as failure:
            self._say(f"store: the record of {key[:12]} can't be read and is dropped ({failure.found})")
            path.unlink(missing_ok=True)
            return None

    def checked(self, key: str) -> ObjectRecord | None:
        """The record of an object whose bytes were hashed just now, or None. Bytes that don't match are thrown away."""
        record = self.record(key)
        if record is None:
            return None
        path = self.path_of(record.digest)
        try:
            found = sha256_of(path)
        except FileNotFoundError:
            found = "nothing there"
        if found == record.digest:
            return record
        self._say(
            f"store: the object of {record.node} is not what it was when it was stored; thrown away, to be built anew\n"
            f"  wanted  sha256 {record.digest}\n"
            f"  found   {found}"
        )
        path.unlink(missing_ok=True)
        self._record_path(key).unlink(missing_ok=True)
        return None

    def add(
        self, key: str, node: str, made: Path, measure: Measure, facts: dict[str, str] | None = None
    ) -> ObjectRecord:
        """Takes the file `made` (on the store's file system; it is moved) as the object of `key`."""
        digest = sha256_of(made)
        with made.open("rb") as stream:
            os.fsync(stream.fileno())
        target = self.path_of(digest)
        target.parent.mkdir(exist_ok=True)
        record = ObjectRecord("pymint/object/1", key, node, digest, made.stat().st_size, measure, facts or {})
        made.chmod(0o444)
        made.rename(target)
        _fsync_directory(target.parent)
        write_report(record, self._record_path(key))
        return record

    def records(self) -> list[ObjectRecord]:
        """All records, unchecked, in the order of their nodes' names."""
        found = [self.record(path.stem) for path in (self.root / "keys").glob("*.json")]
        return sorted((record for record in found if record is not None), key=lambda record: (record.node, record.key))

    def prune(self, wanted_keys: frozenset[str], *, really: bool) -> list[ObjectRecord]:
        """Drops objects of unwanted keys, and bytes without a record; returns what was (or would be) dropped."""
        dropped = [record for record in self.records() if record.key not in wanted_keys]
        if not really:
            return dropped
        for record in dropped:
            self._record_path(record.key).unlink(missing_ok=True)
        kept = {record.digest for record in self.records()}
        for path in (self.root / "sha256").glob("*/*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
        return dropped


def require_space(directory: Path, needed: int, what: str) -> None:
    """Raises Failure when the file system of `directory` has less than `needed` bytes free."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise Failure(
            "disk",
            f"too little space for {what} in {directory}",
            wanted=f"{needed / 1e9:.1f} GB free",
            found=f"{free / 1e9:.1f} GB free",
            todo="Make room (`./mint prune` drops what nothing refers to), or set MINT_HOME to a larger disk.",
        )
