"""Bytes by digest, in a directory or a bucket: what the store is made of, whatever the bytes are.

Below its directory, or its prefix in a bucket, they lie as `sha256/ab/<digest>`, and are never written again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from master.bucket.access import StorePlace
from master.home import write_file
from workers.errors import Failure

if TYPE_CHECKING:
    from master.bucket.replica import Replica

DIGEST = re.compile(r"\A[0-9a-f]{64}\Z")
BLOCK = 1024 * 1024
Kind = Literal["releases", "index", "attested"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Stored:
    """A file in the store. `name`: what users call it; size in bytes."""

    name: str
    sha256: str
    size: int


def digest_of(path: Path) -> tuple[str, int]:
    """sha256 and size of a file."""
    hasher, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            hasher.update(block)
            size += len(block)
    return hasher.hexdigest(), size


@dataclass(frozen=True)
class Blob:
    """Stored bytes: where they lie, or would; size; and when somebody stored them last, in seconds since 1970."""

    path: Path
    size: int
    stored_at: float


def copy_hashed(source: Path, descriptor: int, mode: int) -> tuple[str, int]:
    """Copies a file into an open one, which then is closed, on the disk, and has that mode. sha256 and size of it."""
    hasher, size = hashlib.sha256(), 0
    with os.fdopen(descriptor, "wb") as target, source.open("rb") as stream:
        while block := stream.read(BLOCK):
            hasher.update(block)
            size += len(block)
            target.write(block)
        target.flush()
        os.fchmod(target.fileno(), mode)
        os.fsync(target.fileno())
    return hasher.hexdigest(), size


class Blobs:
    """Safe for several threads and processes at once; blocking, so call it from a thread.

    root: the directory. patient: a bucket that does not answer is waited for as long as `[store]` says; else for some
    seconds only, since a person waits. Whatever asks a bucket raises Failure when it is away.
    """

    def __init__(self, place: Path | StorePlace, *, patient: bool = False) -> None:
        chosen = place if isinstance(place, StorePlace) else StorePlace(place)
        self.root = chosen.root
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._replica: Replica | None = None
        if chosen.bucket is not None:
            from master.bucket.replica import Replica  # loads the client, which a directory does not need

            self._replica = Replica(chosen.root, chosen.bucket, patient=patient)

    def _path(self, digest: str) -> Path:
        if not DIGEST.match(digest):
            raise Failure("store", f"{digest!r} is no digest", todo="Only hex sha256 names what is stored.")
        return self.root / "sha256" / digest[:2] / digest

    def path_of(self, digest: str) -> Path:
        """Where a digest's bytes lie; they are brought there, if need be. Raises Failure for what is no digest."""
        path = self._path(digest)
        if self._replica is not None:
            if not path.exists():
                self._replica.bring(path, digest)
            self._replica.used(path)
        return path

    def refresh(self, kind: Kind, within_s: float = 0, *, paced: bool = False) -> None:
        """Looks what other masters wrote, unless that was done within so many seconds. Of a directory: nothing to do.

        paced: not again either before ten times as long has gone by as it took.
        """
        if self._replica is not None:
            self._replica.refresh(kind, within_s, paced=paced)

    def glimpse(self, kind: Kind, within_s: float = 60) -> None:
        """`refresh` for what decides nothing: with a bucket that is away it is what it was."""
        with contextlib.suppress(Failure):
            self.refresh(kind, within_s, paced=True)

    def try_out(self) -> None:
        """Raises Failure when nothing can be stored just now, before anybody has taken trouble over it."""
        if self._replica is not None:
            self._replica.remote.try_out()

    def is_away(self, failure: Failure) -> bool:
        """Whether all that is wrong is a bucket that does not answer just now."""
        if self._replica is None:
            return False
        from master.bucket.remote import Away

        return isinstance(failure, Away)

    def share(self, path: Path) -> None:
        """A file of the index that was just written here, for all masters. Raises Failure when they have another."""
        if self._replica is not None and self._replica.create(path, path.read_bytes()) is not None:
            raise Failure(
                "store", f"another master wrote {path.name} at the same time", found=self._replica.key_of(path),
                todo="What was there stays. Do this again: it goes on from that.",
            )  # fmt: skip

    def put(self, source: Path, name: str) -> Stored:
        """Copies a file into the store, unless its bytes are there. Raises OSError when the disk is full."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.root, prefix=".new-")
        try:
            stored = Stored(name, *copy_hashed(source, descriptor, 0o444))
            self._promote(Path(temporary), stored)
        finally:
            Path(temporary).unlink(missing_ok=True)
        if self._replica is not None:
            self._replica.take(self._path(stored.sha256), stored.sha256, stored.size)
        return stored

    def put_bytes(self, content: bytes, name: str) -> Stored:
        with tempfile.NamedTemporaryFile() as stream:
            stream.write(content)
            stream.flush()
            return self.put(Path(stream.name), name)

    def _promote(self, temporary: Path, stored: Stored) -> None:
        target = self._path(stored.sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(temporary, target)  # fails where the name is taken: nothing stored is ever written over
        except FileExistsError:
            if digest_of(target) == (stored.sha256, stored.size):
                target.chmod(0o444)  # it is new again for `prune`: whoever stores it writes a record next
                return
            # Bytes that rotted are not what is stored under that name.
            temporary.replace(target)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):  # a file system without hard links
                raise
            temporary.rename(target)

    def checked(self, stored: Stored) -> Path:
        """The path of a stored file, its digest just computed (once for each state of the file). Raises Failure."""
        path = self.path_of(stored.sha256)
        if self._replica is not None and path.exists() and self._damage(path, stored) is not None:
            path.unlink(missing_ok=True)  # of the cache: the bucket has what it should be
            path = self.path_of(stored.sha256)
        try:
            damage = self._damage(path, stored)
        except OSError as error:
            raise Failure(
                "store", f"{stored.name} is not in the store any more", wanted=f"sha256 {stored.sha256}",
                found=str(error), todo="Build that commit again; the record stays.",
            ) from error  # fmt: skip
        if damage is not None:
            raise Failure(
                "store", f"{stored.name} is damaged in the store",
                wanted=f"sha256 {stored.sha256}, {stored.size} bytes", found=damage,
                todo=f"Nothing was delivered. Check the disk, delete {path} and build that commit again.",
            )  # fmt: skip
        return path

    def _damage(self, path: Path, stored: Stored) -> str | None:
        """What a file is instead of what it should be. Hashed once for each state of it. Raises OSError."""
        facts = path.stat()
        state = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        if self._seen.get(stored.sha256) != state:
            found, size = digest_of(path)
            if found != stored.sha256:
                return f"sha256 {found}, {size} bytes"
            self._seen[stored.sha256] = state
        return None

    def _create(self, path: Path, content: bytes) -> bytes | None:
        """Writes a file of the index. Returns what is there instead, None when there is nothing."""
        if self._replica is not None:
            return self._replica.create(path, content)
        if path.exists():
            return path.read_bytes()
        write_file(path, content, 0o444)
        return None

    def _there(self, path: Path) -> bool:
        if self._replica is not None:
            self._replica.look(path)
        return path.exists()

    def _blobs(self) -> dict[str, Blob]:
        """All stored bytes, by digest."""
        if self._replica is not None:
            held = ((one, one.key.rpartition("/")[2]) for one in self._replica.bytes_held())
            return {name: Blob(self._path(name), one.size, one.modified) for one, name in held if DIGEST.match(name)}
        found = {}
        for path in (self.root / "sha256").glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                if DIGEST.match(path.name):
                    facts = path.stat()
                    found[path.name] = Blob(path, facts.st_size, facts.st_ctime)
        return found

    def missing(self, files: Iterable[Stored]) -> list[Stored]:
        """What of these is not stored, by a listing that is made now."""
        there = self._blobs()
        return [one for one in files if one.sha256 not in there]

    def _drop(self, blob: Blob) -> None:
        """Removes what was listed, unless somebody stored it again since then, and is about to name it."""
        if self._replica is not None:
            written = self._replica.written_at(blob.path)
            # A bucket may list fractions of a second, and does not tell them of one object.
            as_listed = written is not None and written <= int(blob.stored_at)
        else:
            as_listed = blob.path.exists() and blob.path.stat().st_ctime <= blob.stored_at
        if as_listed:
            self._remove(blob.path)

    def _once_more(self, files: Iterable[Stored]) -> None:
        """When something names them by now: what was dropped of a bucket just before that is brought there again."""
        if self._replica is None:
            return
        for one in files:
            if (path := self._path(one.sha256)).exists():
                self._replica.take(path, one.sha256, one.size)

    def _remove(self, path: Path) -> None:
        if self._replica is not None:
            self._replica.remove(path)
        else:
            path.unlink(missing_ok=True)

    def size_at(self, path: Path) -> int:
        """The size of what `prune` named; 0 for what is gone."""
        known = self._replica.sizes if self._replica is not None else {}
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return known.get(path.relative_to(self.root).as_posix(), 0)
