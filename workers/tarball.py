"""Deterministic tars, written and read as streams: the same members give the same bytes on every machine.

Written are PAX tars of files and symlinks only: one time for all members, owner 0 (`root`), modes 0644 and 0755, no
directory entries. Read is anything that a distribution of Python comes in: `.tar`, `.tar.gz`, `.tar.zst`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import zstandard

from workers.errors import Failure

_CHUNK = 1 << 20
_END = bytes(2 * tarfile.BLOCKSIZE)  # POSIX.1-2017, pax: "two 512-octet blocks filled with zeros"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP_MAGIC = b"\x1f\x8b"
# What others wrote may have larger windows; more than 2^31 no zstd reads.
_MAX_WINDOW = 1 << 31
# What is read of anybody's archive, or it is no archive but a bomb: a few kB that unpack to more than a machine has.
# The largest of ours unpacks to 0.4 GB, has 7000 members (each with a header of 0.5 or 1.5 kB) and no file of 0.1 GB.
MOST_BYTES = 8_000_000_000
MOST_MEMBERS = 200_000
LARGEST_FILE = 1_000_000_000
MOST_IN_HEADERS = 300_000_000


@dataclass(frozen=True)
class Entry:
    """What goes into a tar at `path` (relative, '/'-separated): a symlink to `link`, `data`, or the file `source`."""

    path: str
    source: Path | None = None
    data: bytes | None = None
    link: str | None = None
    executable: bool = False


@dataclass(frozen=True)
class Written:
    """A tar that was written: its digest, its size in bytes, how many members it has."""

    sha256: str
    size: int
    members: int


@dataclass(frozen=True)
class Member:
    """A member of a tar as it stands there. kind: file, symlink, hardlink, directory or other."""

    path: str
    kind: str
    mode: int
    size: int
    mtime: float
    uid: int
    gid: int
    uname: str
    gname: str
    link: str
    pax: tuple[str, ...]


def entries_below(root: Path, prefix: str) -> Iterator[Entry]:
    """Every file and symlink below `root`, as members below `prefix` (which ends with '/', or is empty).

    Raises Failure for anything else: a socket or a device in an output is a recipe's mistake.
    """
    for directory, subdirectories, names in os.walk(root):
        here = Path(directory)
        for name in [*names, *(d for d in subdirectories if (here / d).is_symlink())]:
            path = here / name
            member = prefix + path.relative_to(root).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                yield Entry(member, link=str(path.readlink()))
            elif stat.S_ISREG(mode):
                yield Entry(member, source=path, executable=bool(mode & stat.S_IXUSR))
            else:
                raise Failure("tarball", f"{member} is neither a file nor a symlink", todo="Have the recipe remove it.")


class Hashing:
    """A stream that counts and hashes what passes through it. Only what tarfile asks of a stream."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.hash = hashlib.sha256()
        self.size = 0
        self.end = b""

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        self.size += len(data)
        self._stream.write(data)
        return len(data)

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        self.hash.update(data)
        self.size += len(data)
        self.end = (self.end + data)[-len(_END) :]
        return data


def _header(entry: Entry, epoch: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.path)
    info.mtime = epoch
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mode = 0o755 if entry.executable else 0o644
    if entry.link is not None:
        info.type = tarfile.SYMTYPE
        info.linkname = entry.link
        info.mode = 0o777
    return info


def write_to(stream: IO[bytes], entries: Iterable[Entry], *, epoch: int, first: str | None = None) -> int:
    """Writes the entries as a tar to a stream, sorted by path with `first` before all others; returns how many.

    epoch: seconds since 1970 that every member gets as its time. Raises Failure when two entries have one path, or
    when `first` is not among them.
    """
    by_path: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in by_path:
            raise Failure(
                "tarball", f"two files want to be {entry.path}", todo="See which two nodes leave it, and mend one."
            )
        by_path[entry.path] = entry
    if first is not None and first not in by_path:
        raise Failure("tarball", f"{first}, which must come first, is not there", todo="This is a mistake in pymint.")
    order = sorted(by_path, key=lambda name: (name != first, name.encode()))
    with tarfile.open(
        fileobj=cast("Any", stream), mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK, encoding="utf-8"
    ) as tar:
        for name in order:
            _add(tar, by_path[name], epoch)
    return len(order)


def write_tar(path: Path, entries: Iterable[Entry], *, epoch: int, first: str | None = None) -> Written:
    """Writes the entries to a file as `write_to` does, by way of a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            hashing = Hashing(stream)
            members = write_to(cast("IO[bytes]", hashing), entries, epoch=epoch, first=first)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return Written(hashing.hash.hexdigest(), hashing.size, members)


def _add(tar: tarfile.TarFile, entry: Entry, epoch: int) -> None:
    info = _header(entry, epoch)
    if entry.source is not None:
        with entry.source.open("rb") as content:
            info.size = os.fstat(content.fileno()).st_size
            tar.addfile(info, content)
    elif entry.data is not None:
        info.size = len(entry.data)
        tar.addfile(info, io.BytesIO(entry.data))
    else:
        tar.addfile(info)


class Reading:
    """A tar being read once, front to back. `finish` reads what is left, after which `sha256` and `size` are known.

    Raises Failure when the tar is damaged, and as soon as it has more than any archive of Python: `MOST_BYTES`, of
    which `MOST_IN_HEADERS` are not its files', `MOST_MEMBERS`, `LARGEST_FILE` (bytes).
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.name = name
        self._hashing = Hashing(stream)
        self._allowed = MOST_BYTES

    def __iter__(self) -> Iterator[tuple[Member, bytes | None]]:
        """Each member with its content, None when it is not a file. One member's content is held at a time."""
        return self.only(lambda member: True)

    def only(self, wanted: Callable[[Member], bool]) -> Iterator[tuple[Member, bytes | None]]:
        """The same, with the content of the `wanted` files only."""
        count = stored = unpacked = 0
        self._allowed = MOST_IN_HEADERS
        with (
            _plainly(self.name),
            tarfile.open(fileobj=cast("Any", self), mode="r|", bufsize=_CHUNK, encoding="utf-8") as tar,
        ):
            for info in tar:
                tar.members = []  # type: ignore[attr-defined]  # else every member stays in memory
                count, unpacked = count + 1, unpacked + info.size
                self._at_most(MOST_MEMBERS, count, "members")
                self._at_most(LARGEST_FILE, info.size, f"bytes in {info.name[:200]!r}")
                self._at_most(MOST_BYTES, unpacked, "bytes in its files")  # sparse ones are not as long in the tar
                stored += tar.offset - info.offset_data
                self._allowed = min(MOST_BYTES, stored + MOST_IN_HEADERS)
                member = _member(info)
                content = tar.extractfile(info) if info.isreg() else None
                if content is not None and not wanted(member):
                    while content.read(_CHUNK):
                        pass
                    content = None
                yield member, None if content is None else content.read()

    def finish(self) -> None:
        """Raises Failure when the tar is cut off, between two members too, which tarfile takes for its end."""
        self._allowed = MOST_BYTES
        with _plainly(self.name):
            while self.read(_CHUNK):
                pass
            if self._hashing.end != _END:
                raise tarfile.ReadError("its last bytes are not the two empty blocks that end a tar")

    def read(self, count: int) -> bytes:
        """The next bytes of the tar: what tarfile asks of a stream."""
        data = self._hashing.read(count)
        of_it = "bytes" if self._allowed == MOST_BYTES else f"bytes, {MOST_IN_HEADERS} of them besides its files"
        self._at_most(self._allowed, self._hashing.size, of_it)
        return data

    def _at_most(self, wanted: int, found: int, what: str) -> None:
        if found > wanted:
            raise Failure(
                "tarball", f"{self.name} unpacks to more than an archive of Python does",
                wanted=f"at most {wanted} {what}", found=f"{found} and perhaps more",
                todo="It was read no further. Do not unpack it: it may fill a disk.",
            )  # fmt: skip

    @property
    def sha256(self) -> str:
        """Of the tar itself, uncompressed: the same before and after compression."""
        return self._hashing.hash.hexdigest()

    @property
    def size(self) -> int:
        return self._hashing.size


def _member(info: tarfile.TarInfo) -> Member:
    kind = (
        "file"
        if info.isreg()
        else "symlink"
        if info.issym()
        else "hardlink"
        if info.islnk()
        else "directory"
        if info.isdir()
        else "other"
    )
    return Member(
        path=info.name,
        kind=kind,
        mode=info.mode,
        size=info.size,
        mtime=info.mtime,
        uid=info.uid,
        gid=info.gid,
        uname=info.uname,
        gname=info.gname,
        link=info.linkname,
        pax=tuple(sorted(info.pax_headers)),
    )


@contextmanager
def _plainly(name: str) -> Iterator[None]:
    """Says of a broken archive which one and how, instead of a traceback."""
    try:
        yield
    except (tarfile.TarError, zstandard.ZstdError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Failure(
            "tarball",
            f"{name} can't be read to its end",
            wanted="a whole .tar, .tar.zst or .tar.gz",
            found=str(error) or type(error).__name__,
            todo="It is damaged or was cut off. Get it again, or build it anew.",
        ) from error


@contextmanager
def decompressed(path: Path) -> Iterator[IO[bytes]]:
    """The tar inside a file, as a stream; what compresses it is seen from its first bytes, not from its name.

    Raises Failure when the file can't be opened.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise Failure(
            "tarball", f"{path} can't be opened", found=error.strerror or str(error), todo="Name an archive."
        ) from error
    with raw:
        magic = raw.read(4)
        raw.seek(0)
        if magic == _ZSTD_MAGIC:
            decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
            with decompressor.stream_reader(raw, read_size=_CHUNK, read_across_frames=True) as stream:
                yield cast("IO[bytes]", stream)
        elif magic[:2] == _GZIP_MAGIC:
            with gzip.GzipFile(fileobj=raw) as unzipped:
                yield cast("IO[bytes]", unzipped)
        else:
            yield raw


@contextmanager
def reading(path: Path) -> Iterator[Reading]:
    """Reads an archive as a stream of members, without unpacking it to a disk. Raises Failure when it is damaged."""
    with decompressed(path) as stream:
        yield Reading(stream, path.name)


def find(path: Path, wanted: Callable[[str], bool], *, limit: int) -> dict[str, bytes]:
    """The wanted files of an archive; raises Failure when it is damaged, or they have more than `limit` bytes."""
    size = 0

    def take(member: Member) -> bool:
        nonlocal size
        if not wanted(member.path):
            return False
        size += member.size
        if size > limit:
            what = f"{member.path[:200]!r} in {path.name} is too large"
            raise Failure(
                "tarball", what, wanted=f"at most {limit} bytes, with others of its kind", found=f"{size}",
                todo="Do not use the archive.",
            )  # fmt: skip
        return True

    with reading(path) as tar:
        return {member.path: content for member, content in tar.only(take) if content is not None}


def extract(path: Path, into: Path, *, wanted: Callable[[str], bool] = lambda member: True) -> str:
    """Unpacks the `wanted` files and links below `into`; returns the tar's sha256, as the whole of it was read.

    Raises Failure for a member that would land outside, is a hard link to something there, or comes twice.
    """
    top = into.resolve()
    with reading(path) as tar:
        for member, content in tar:
            name, target = PurePosixPath(member.path), into / member.path
            leads_out = "\0" in member.path + member.link or name.is_absolute() or ".." in name.parts
            if leads_out or not target.parent.resolve().is_relative_to(top):
                raise Failure("tarball", f"{path.name} has the member {member.path!r}", todo="Do not use this archive.")
            if not wanted(member.path):
                continue
            if os.path.lexists(target) and not (member.kind == "directory" and target.is_dir()):
                raise Failure("tarball", f"{path.name} has {member.path!r} twice", todo="Do not use this archive.")
            if member.kind == "directory":
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if member.kind == "symlink":
                target.symlink_to(member.link)
            elif member.kind == "hardlink":
                original = into / member.link
                if not original.resolve().is_relative_to(top):
                    raise Failure("tarball", f"{path.name} has a link to {member.link!r}", todo="Do not use it.")
                target.hardlink_to(original)
            elif content is not None:
                target.write_bytes(content)
                target.chmod(0o755 if member.mode & 0o100 else 0o644)
        tar.finish()
    return tar.sha256
