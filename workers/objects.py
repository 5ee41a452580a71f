"""An object's form: a tar of a tree, packed so that equal trees are equal bytes, and how it comes out again."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO, cast

import zstandard

from workers.errors import Failure
from workers.tarball import Entry, write_to
from workers.validate.ar import AR_MAGIC, members

# Objects are read far more often than written: level 3 packs at the disk's speed. One fixed setting everywhere keeps
# the bytes the same on every machine.
_LEVEL = 3
_THREADS = 1


def pack(entries: Iterable[Entry], out: Path, epoch: int) -> None:
    """Writes the entries to `out`; `epoch`, seconds since 1970, is the time of each member."""
    with (
        out.open("wb") as raw,
        zstandard.ZstdCompressor(level=_LEVEL, threads=_THREADS).stream_writer(raw, closefd=False) as packed,
    ):
        write_to(cast("IO[bytes]", packed), entries, epoch=epoch)


def _extract_member(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """Extracts one member as the current user. Raises Failure for a name that leads out of `into`.

    Not `filter=`: Debian 12's Python 3.11.2 does not have it. Not the member's owner: in the sandbox's user namespace a
    file of an owner without a mapping can't be written.
    """
    name = PurePosixPath(member.name)
    outside = not (into / name.parent).resolve().is_relative_to(into.resolve())
    if name.is_absolute() or ".." in name.parts or outside or member.isdev():
        raise Failure("store", f"a tar has the member {member.name!r}", todo="It leads out of its tree; don't use it.")
    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    tar.extract(member, into)


LICENCES = "licences"


def extract(packed: Path, into: Path, *, licences: bool = True) -> None:
    """Unpacks an object over what is in `into`. Raises Failure when two objects bring the same file.

    Without `licences` their texts are left out: recipes don't need them, and two nodes of one source both carry them.
    """
    into.mkdir(parents=True, exist_ok=True)
    with packed.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                if not licences and member.name.startswith(f"{LICENCES}/"):
                    continue
                if os.path.lexists(into / member.name):
                    raise Failure(
                        "store",
                        f"two needed nodes both bring {member.name}",
                        todo="A node's object must keep to its own names; mend the recipe of one of them.",
                    )
                _extract_member(tar, member, into)


def unpack_source(archive: Path, name: str, into: Path) -> None:
    """Unpacks a source so that `into` is its top directory: `source/configure`, not `source/zlib-1.3.2/configure`.

    Takes tar in any compression of the standard library's, wheels, and of Debian's packages their files. Raises Failure
    for anything else.
    """
    staging = into.with_name(f".{into.name}.unpacking")
    staging.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                for info in wheel.infolist():
                    target = Path(wheel.extract(info, staging))
                    mode = info.external_attr >> 16  # zipfile drops the mode, and zig has to be executable
                    if mode and target.is_file():
                        target.chmod(mode & 0o777 | 0o600)
        else:
            with _opened(archive) as tar:
                for member in tar:
                    _extract_member(tar, member, staging)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise Failure(
            "sources",
            f"{name} can't be unpacked",
            found=str(error),
            todo="Its pin in sources.toml names a broken file.",
        ) from error
    tops = list(staging.iterdir())
    if len(tops) == 1 and tops[0].is_dir():
        tops[0].rename(into)
        staging.rmdir()
    else:
        staging.rename(into)


def _opened(archive: Path) -> tarfile.TarFile:
    """The tar, or of a Debian package the one of its files. Raises ValueError for a package that is not whole."""
    with archive.open("rb") as stream:
        if stream.read(len(AR_MAGIC)) != AR_MAGIC:
            return tarfile.open(archive)
    found = [content for name, content in members(archive.read_bytes()) if name.startswith("data.tar")]
    if len(found) != 1:
        raise ValueError("a Debian package without its files")
    return tarfile.open(fileobj=io.BytesIO(found[0]))


def newest_mtime(archive: Path) -> int:
    """The newest modification time in a source, seconds since 1970: the SOURCE_DATE_EPOCH of what is made from it."""
    if zipfile.is_zipfile(archive):
        return 315532800  # 1980-01-01, the oldest time that a zip can hold; wheels carry no true ones
    with _opened(archive) as tar:
        return max(int(member.mtime) for member in tar)
