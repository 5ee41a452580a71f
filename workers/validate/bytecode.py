"""What compiled Python files (.pyc) say in their first bytes, and the hashes of the sources that they are made from.

The hash is SipHash over the source under the interpreter's magic number (PEP 552): SipHash-1-3 from 3.11 on, else 2-4.
Nothing is unmarshalled: other versions' bytecode can't be, and an archive's own is not to be trusted.
"""

from __future__ import annotations

import _imp
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MASK = (1 << 64) - 1
# The first two bytes of a magic number; the others are a line's end. 3.10's is 3439, the first of 3.11 is 3450.
_FIRST_OF_311 = 3450


@dataclass(frozen=True)
class Bytecode:
    """A compiled file. flags: 0 by time, 1 by hash and never checked, 3 by hash and checked.

    hash: of the source that it was made from. named: whether the name of its source relative to the tree is in it.
    place: a place of the building machine that is in it, or None.
    """

    flags: int
    hash: bytes
    named: bool
    place: str | None


def source_of(path: str) -> str | None:
    """`lib/python3.13/os.py` of `lib/python3.13/__pycache__/os.cpython-313.pyc`, None for another kind of name."""
    found = re.fullmatch(r"(.*/)?__pycache__/([^/]+)\.[^./]+\.pyc", path)
    return f"{found[1] or ''}{found[2]}.py" if found else None


def source_hash(magic: int, source: bytes) -> bytes:
    """The hash of a source as an interpreter of this magic number writes it, 8 bytes. magic: all four bytes as one."""
    if magic & 0xFFFF >= _FIRST_OF_311:
        return _imp.source_hash(magic, source)
    return struct.pack("<Q", siphash_2_4(magic, source))


def siphash_2_4(key: int, data: bytes) -> int:
    """SipHash-2-4 (Aumasson and Bernstein) with a key of which only the first half is not 0."""
    v0, v1 = key ^ 0x736F6D6570736575, 0x646F72616E646F6D
    v2, v3 = key ^ 0x6C7967656E657261, 0x7465646279746573
    whole = len(data) // 8 * 8
    words = [word for (word,) in struct.iter_unpack("<Q", data[:whole])]
    words.append((len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little"))
    for word in [*words, None]:
        if word is None:
            v2 ^= 0xFF
        else:
            v3 ^= word
        for _ in range(2 if word is not None else 4):
            v0 = (v0 + v1) & _MASK
            v1 = ((v1 << 13) | (v1 >> 51)) & _MASK ^ v0
            v0 = ((v0 << 32) | (v0 >> 32)) & _MASK
            v2 = (v2 + v3) & _MASK
            v3 = ((v3 << 16) | (v3 >> 48)) & _MASK ^ v2
            v0 = (v0 + v3) & _MASK
            v3 = ((v3 << 21) | (v3 >> 43)) & _MASK ^ v0
            v2 = (v2 + v1) & _MASK
            v1 = ((v1 << 17) | (v1 >> 47)) & _MASK ^ v2
            v2 = ((v2 << 32) | (v2 >> 32)) & _MASK
        if word is not None:
            v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3


class Collector:
    """Takes the members of an archive one after the other and keeps facts and hashes.

    Until the first compiled file has said what the magic number is, sources are held: in the archive's order only a few
    come before it. Of a full archive, which has none, nothing is held.
    """

    def __init__(self, needles: Sequence[str]) -> None:
        self._needles = re.compile(b"|".join(needle.encode() for needle in needles)) if needles else None
        self._magic: int | None = None
        self._waiting: dict[str, bytes] = {}
        self._sources: dict[str, bytes] = {}
        self.files: dict[str, Bytecode] = {}

    def take(self, path: str, content: bytes) -> None:
        if path.endswith(".pyc"):
            self._compiled(path, content)
        elif path.endswith(".py") and not path.startswith(("install/", "build/")):
            if self._magic is None:
                self._waiting[path] = content
            else:
                self._sources[path] = source_hash(self._magic, content)

    def _compiled(self, path: str, content: bytes) -> None:
        if self._magic is None and len(content) > 16:
            self._magic = int.from_bytes(content[:4], "little")
            self._sources = {name: source_hash(self._magic, source) for name, source in self._waiting.items()}
            self._waiting.clear()
        found = self._needles.search(content) if self._needles is not None else None
        source = source_of(path)
        self.files[path] = Bytecode(
            flags=int.from_bytes(content[4:8], "little"),
            hash=content[8:16],
            named=source is not None and source.encode() in content[16:],
            place=found[0].decode("utf-8", "replace") if found else None,
        )

    def sources(self) -> Mapping[str, bytes]:
        """Hash by path; of archives without compiled files, none."""
        return self._sources
