"""What is inside an archive, by place and by kind, read from its tar once: an archive of that digest never changes."""

from __future__ import annotations

import gzip
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import zstandard

from master.store import Store, Stored
from workers.errors import Failure
from workers.tarball import MOST_MEMBERS

REMEMBERED = 400
KINDS = {
    ".py": "Python source", ".pyc": "bytecode", ".so": "shared libraries", ".dylib": "shared libraries",
    ".a": "static libraries", ".o": "object files", ".h": "headers", ".pyi": "type stubs", ".json": "metadata",
    ".txt": "text", ".rst": "text", ".cnf": "configuration", ".cfg": "configuration", ".toml": "configuration",
    ".debug": "debug information", ".pem": "certificates", ".tcl": "Tcl and Tk", ".msg": "Tcl and Tk",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Files and the sum of their sizes in bytes, unpacked."""

    name: str
    files: int
    size: int


@dataclass(frozen=True)
class Contents:
    """places: the first directories; kinds: by what the files are. Both largest first."""

    files: int
    size: int
    places: tuple[Part, ...]
    kinds: tuple[Part, ...]


def kind_of(path: str) -> str:
    """What a file is, by its name."""
    name = PurePosixPath(path)
    if "/bin/" in f"/{path}" and not name.suffix.strip(".0123456789"):
        return "programs"
    if ".so." in name.name:
        return KINDS[".so"]
    if "/licenses/" in f"/{path}" or name.name.startswith("LICENSE"):
        return "licences"
    return KINDS.get(name.suffix, "other")


def place_of(path: str) -> str:
    """The place by which a file is counted: the directory below `python/`, and below `python/install/` one more."""
    parts = PurePosixPath(path).parts
    depth = 3 if parts[:2] == ("python", "install") else 2
    return "/".join(parts[:depth]) + ("/" if len(parts) > depth else "")


def summed(members: Iterator[tuple[str, int]]) -> Contents:
    """members: path and size of each file."""
    places: dict[str, list[int]] = {}
    kinds: dict[str, list[int]] = {}
    count = total = 0
    for path, size in members:
        count, total = count + 1, total + size
        if count > MOST_MEMBERS:
            raise ValueError("it has more files than any archive of ours")
        for table, name in ((places, place_of(path)), (kinds, kind_of(path))):
            one = table.setdefault(name, [0, 0])
            one[0], one[1] = one[0] + 1, one[1] + size
    return Contents(count, total, _parts(places), _parts(kinds))


def _parts(table: dict[str, list[int]]) -> tuple[Part, ...]:
    found = [Part(name, files, size) for name, (files, size) in table.items()]
    return tuple(sorted(found, key=lambda one: (-one.size, one.name)))


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, int]]:
    for member in tar:
        if member.isfile() or member.islnk() or member.issym():
            yield member.name, member.size if member.isfile() else 0
        tar.members = []  # type: ignore[attr-defined]  # else every member stays in memory


@contextmanager
def opened(path: Path, name: str) -> Iterator[tarfile.TarFile]:
    """A `.tar.zst` or `.tar.gz`, to be read once from front to back. Raises Failure when it can't be read."""
    try:
        with path.open("rb") as file, ExitStack() as stack:
            if name.endswith(".zst"):
                reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
                stream: Any = stack.enter_context(reader)
            else:
                stream = stack.enter_context(gzip.open(file))
            yield stack.enter_context(tarfile.open(fileobj=stream, mode="r|"))
    except (OSError, EOFError, ValueError, tarfile.TarError, zstandard.ZstdError) as error:
        raise Failure(
            "store", f"{name} can't be listed", found=f"{type(error).__name__}: {error}",
            todo="The archive is damaged, or no archive: build that commit again.",
        ) from error  # fmt: skip


def read(path: Path, name: str) -> Contents:
    """Of a `.tar.zst` or `.tar.gz`. Raises Failure when it can't be read."""
    with opened(path, name) as tar:
        return summed(_members(tar))


class Reader:
    """One archive is read at a time, however many ask: it takes a processor for a second or two."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Contents] = OrderedDict()

    def of(self, store: Store, stored: Stored) -> Contents:
        """Blocking. Raises Failure when the archive is not in the store any more, or damaged."""
        with self._lock:
            if stored.sha256 not in self._kept:
                self._kept[stored.sha256] = read(store.checked(stored), stored.name)
                while len(self._kept) > REMEMBERED:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(stored.sha256)
            return self._kept[stored.sha256]
