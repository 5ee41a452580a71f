"""A tar straight into its compressor, read back before it gets its name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from workers.compressing import compress
from workers.derive.gzipping import Gzip
from workers.errors import Failure
from workers.tarball import Entry, Hashing, reading, write_tar, write_to

# What archives of the `full` flavour have, too.
ZSTD_LEVEL = 19
# Users unpack an archive far more often than it is made: 9 is 2 % smaller than 6 and costs three times as much.
GZIP_LEVEL = 9


@dataclass(frozen=True)
class Packed:
    """An archive as it was written: digest and size of the file, and of the tar in it; how many members that has."""

    sha256: str
    size: int
    tar_sha256: str
    tar_size: int
    members: int


def write_gzip(path: Path, entries: Sequence[Entry], *, epoch: int, threads: int) -> Packed:
    """Writes a .tar.gz; no tar is ever on the disk, or whole in memory. Raises Failure when it does not read back."""
    with _renamed(path) as temporary:
        with temporary.open("wb") as stream:
            outside = Hashing(stream)
            with Gzip(cast("IO[bytes]", outside), level=GZIP_LEVEL, threads=threads) as gzip:
                inside = Hashing(cast("IO[bytes]", gzip))
                members = write_to(cast("IO[bytes]", inside), entries, epoch=epoch)
            stream.flush()
            os.fsync(stream.fileno())
        with reading(temporary) as back:
            back.finish()
        if (back.sha256, back.size) != (inside.hash.hexdigest(), inside.size):
            raise Failure(
                "derive",
                f"{path.name} does not read back as what was compressed",
                wanted=f"sha256 {inside.hash.hexdigest()} of the tar",
                found=f"sha256 {back.sha256}",
                todo="Nothing was kept. Check this machine's memory and disk, then build again.",
            )
    return Packed(outside.hash.hexdigest(), outside.size, back.sha256, back.size, members)


def write_zstd(path: Path, entries: Sequence[Entry], *, epoch: int, threads: int) -> Packed:
    """Writes a .tar.zst, by way of its tar. Raises Failure when it does not read back."""
    with _renamed(path.with_name(path.name.removesuffix(".zst"))) as tar:
        written = write_tar(tar, entries, epoch=epoch)
        packed = compress(tar, path, level=ZSTD_LEVEL, threads=threads, progress=lambda done: None)
        tar.unlink()
    return Packed(packed.sha256, packed.size, packed.tar_sha256, packed.tar_size, written.members)


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what is there in the end gets the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        if temporary.exists():
            temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
