"""The bytes of all backups, by digest. A file that is there is whole: it gets its name last."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from master.backup.model import Backups
from master.store import copy_hashed, digest_of

HALF = ".new-"


def fsync_directory(path: Path) -> None:
    """So that the names in it survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Pool:
    """Puts bytes into a directory of backups. copied, linked: files and bytes that were not there before."""

    def __init__(self, backups: Backups, *, link: bool = False) -> None:
        self.backups = backups
        self.link = link
        self.new_files = 0
        self.new_bytes = 0
        backups.directory.mkdir(parents=True, exist_ok=True)

    def has(self, digest: str, size: int) -> bool:
        """Whether it is there, as far as its name and size say; `checking` reads it."""
        try:
            return self.backups.path_of(digest).stat().st_size == size
        except OSError:
            return False

    def put(self, source: Path) -> tuple[str, int]:
        """Copies a file in, unless its bytes are there; their digest and size. Raises OSError."""
        descriptor, name = tempfile.mkstemp(dir=self.backups.directory, prefix=HALF)
        temporary = Path(name)
        try:
            digest, size = copy_hashed(source, descriptor, 0o444)
            self._promote(temporary, digest, size)
        finally:
            temporary.unlink(missing_ok=True)
        return digest, size

    def put_bytes(self, content: bytes) -> tuple[str, int]:
        with tempfile.NamedTemporaryFile(dir=self.backups.directory, prefix=HALF) as stream:
            stream.write(content)
            stream.flush()
            return self.put(Path(stream.name))

    def take(self, source: Path, digest: str, size: int) -> str:
        """Has a stored file in the pool, read once if it is new. What is wrong with the file, "" when nothing is."""
        if self.has(digest, size):
            return ""
        try:
            if self.link and digest_of(source) == (digest, size) and self._linked(source, digest, size):
                return ""
            found, found_size = self.put(source)
        except FileNotFoundError:
            return "it is not in the store any more"
        except OSError as error:
            if error.errno == errno.EIO:
                return "the disk can't read it"
            raise
        if found != digest:  # `sweep` drops it, unless another file of a backup has those bytes
            return f"it is damaged: sha256 {found}, {found_size} bytes"
        return ""

    def _linked(self, source: Path, digest: str, size: int) -> bool:
        target = self.backups.path_of(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without hard links
            return False
        fsync_directory(target.parent)
        self.new_files += 1
        return True

    def _promote(self, temporary: Path, digest: str, size: int) -> None:
        target = self.backups.path_of(digest)
        if self.has(digest, size):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)
        fsync_directory(target.parent)
        self.new_files += 1
        self.new_bytes += size

    def sweep(self, wanted: set[str]) -> int:
        """Drops what no backup names, and what a killed one left half-written; how many bytes."""
        dropped = 0
        loose = [path for path in (self.backups.directory / "sha256").glob("*/*") if path.name not in wanted]
        for path in [*loose, *self.backups.directory.glob(f"{HALF}*")]:
            with suppress(FileNotFoundError):
                dropped += path.stat().st_size
                path.unlink()
        return dropped
