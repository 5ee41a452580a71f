"""The cache of sources: files named by their sha256, put there whole or not at all, by any number of processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHUNK = 1 << 20


def cached_path(cache: Path, sha256: str) -> Path:
    """Where the file of this digest is when the cache has it."""
    return cache / "sha256" / sha256


def digest_of(path: Path) -> tuple[str, int]:
    """The sha256 and the size in bytes of a file."""
    digest = hashlib.sha256()
    count = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            count += len(chunk)
    return digest.hexdigest(), count


def verified(cache: Path, sha256: str, size: int | None) -> bool:
    """Whether the cache has the file and its bytes are right, which is found by reading all of them."""
    path = cached_path(cache, sha256)
    try:
        if size is not None and path.stat().st_size != size:
            return False
        return digest_of(path)[0] == sha256
    except OSError:
        return False


def discard(cache: Path, sha256: str) -> bool:
    """Throws a cached file away; True when there was one."""
    try:
        cached_path(cache, sha256).unlink()
    except FileNotFoundError:
        return False
    return True


def partial_path(cache: Path, sha256: str) -> Path:
    """Where a download of the file grows. Only who holds `locked` may touch it."""
    path = cache / "partial" / sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def install(cache: Path, sha256: str, checked: Path) -> Path:
    """Moves a file on the cache's file system, whose bytes the caller has checked, to its place."""
    place = cached_path(cache, sha256)
    place.parent.mkdir(parents=True, exist_ok=True)
    checked.chmod(0o644)
    with checked.open("rb") as stream:
        os.fsync(stream.fileno())
    checked.rename(place)
    directory = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return place


def remember_origin(cache: Path, sha256: str, origin: str) -> None:
    """Writes down, beside the file, where it came from: for people and for provenance."""
    path = cache / "origins" / sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{sha256}.{os.getpid()}")
    temporary.write_text(origin + "\n")
    temporary.rename(path)


def remembered_origin(cache: Path, sha256: str) -> str | None:
    """Where a cached file came from, None when nobody wrote it down."""
    try:
        return (cache / "origins" / sha256).read_text().strip() or None
    except OSError:
        return None


@contextmanager
def locked(cache: Path, sha256: str) -> Iterator[None]:
    """Holds the file of this digest against other processes and threads that would fetch it too."""
    path = cache / "locks" / sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def workplace(cache: Path, sha256: str) -> Iterator[Path]:
    """An empty directory on the cache's file system for another program's download; gone afterwards."""
    directory = cache / "partial" / f"{sha256}.d"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
