"""A Mach-O file's code signature, as far as an ad-hoc one goes: does it cover the bytes that are there?

Apple silicon runs nothing that is unsigned. An ad-hoc signature names nobody; it is a list of the hashes of the file's
pages, which the linker writes and which every later change of the file makes wrong: the kernel then ends the process.
The structures are those of xnu's osfmk/kern/cs_blobs.h; all numbers in them are big-endian.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

_SUPER_BLOB, _DIRECTORY, _SIGNATURE = 0xFADE0CC0, 0xFADE0C02, 0xFADE0B01
_DIRECTORY_SLOT, _SIGNATURE_SLOT = 0, 0x10000
_ADHOC = 0x2
# hashType of a code directory; the third is SHA-256 cut off after 20 bytes.
_HASHES = {1: ("sha1", 20), 2: ("sha256", 32), 3: ("sha256", 20)}
# magic, length, version, flags, hashOffset, identOffset, nSpecialSlots, nCodeSlots, codeLimit, hashSize, hashType,
# platform, pageSize (as a power of two)
_HEADER = struct.Struct(">IIIIIIIIIBBBB")


@dataclass(frozen=True)
class Signature:
    """adhoc: signed by nobody. broken: what does not fit the file, None when every page has its hash."""

    adhoc: bool
    broken: str | None


def read_signature(data: bytes, offset: int, size: int) -> Signature:
    """The signature at `offset`, held against the bytes before it. `data`: the file, from its Mach-O header on."""
    blob = data[offset : offset + size]
    if len(blob) < size or size < 12 or struct.unpack_from(">I", blob)[0] != _SUPER_BLOB:
        return Signature(False, "it is cut off, or is no signature")
    try:
        slots = dict(
            struct.unpack_from(">II", blob, 12 + 8 * index) for index in range(struct.unpack_from(">I", blob, 8)[0])
        )
        directory = blob[slots[_DIRECTORY_SLOT] :]
        adhoc = bool(_HEADER.unpack_from(directory)[3] & _ADHOC) and not _has_certificate(blob, slots)
        return Signature(adhoc, _differs(data, directory, offset))
    except (struct.error, KeyError) as error:
        return Signature(False, f"it has no readable code directory: {error}")


def _has_certificate(blob: bytes, slots: dict[int, int]) -> bool:
    """Whether somebody signed: a CMS message that is more than its own header."""
    if (place := slots.get(_SIGNATURE_SLOT)) is None:
        return False
    magic, length = struct.unpack_from(">II", blob, place)
    return bool(magic == _SIGNATURE and length > 8)


def _differs(data: bytes, directory: bytes, end: int) -> str | None:
    """What is wrong with the hashes of the pages, None when nothing is."""
    magic, _, _, _, hashes, _, _, count, limit, size, kind, _, page_bits = _HEADER.unpack_from(directory)
    if magic != _DIRECTORY or kind not in _HASHES or _HASHES[kind][1] != size:
        return f"its code directory has the magic {magic:#x} and hashes of the kind {kind}"
    page = 1 << page_bits if page_bits else limit
    if limit > end or not page or count != -(-limit // page):
        return f"it covers {limit} bytes in {count} pages of a file with {end} bytes before the signature"
    if limit < end:
        return f"it covers {limit} bytes of {end}"
    for index in range(count):
        content = data[index * page : min((index + 1) * page, limit)]
        made = hashlib.new(_HASHES[kind][0], content, usedforsecurity=False).digest()[:size]
        if directory[hashes + index * size : hashes + (index + 1) * size] != made:
            return f"the page at byte {index * page} was changed after it was signed"
    return None
