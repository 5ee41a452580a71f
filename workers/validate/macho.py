"""What the rules want to know of a Mach-O file, read with LIEF and held without it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import lief

from workers.validate.ar import AR_MAGIC
from workers.validate.elf import DebugFile
from workers.validate.signature import Signature, read_signature

_THIN_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe")
_FAT_MAGICS = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
MACHO_MAGICS = (*_THIN_MAGICS, *_FAT_MAGICS)
# Java's class files share the fat magic; there the next number is a version, 45 at least.
_MOST_SLICES = 20
# The bits of n_type in <mach-o/nlist.h>; from _STAB on an entry is a debugger's.
_EXTERNAL, _TYPE, _PRIVATE, _STAB = 0x01, 0x0E, 0x10, 0x20
_OBJECT_FILE = 0x66  # N_OSO of <mach-o/stab.h>
# Of n_desc: the number of the library that a two-level symbol is taken from is its upper byte; this bit says weak.
_WEAK_REFERENCE = 0x40
_HEADER = 32

Kind = Literal["executable", "library", "bundle", "object", "debug", "other"]
_KINDS: dict[object, Kind] = {
    lief.MachO.Header.FILE_TYPE.EXECUTE: "executable",
    lief.MachO.Header.FILE_TYPE.DYLIB: "library",
    lief.MachO.Header.FILE_TYPE.BUNDLE: "bundle",
    lief.MachO.Header.FILE_TYPE.OBJECT: "object",
    lief.MachO.Header.FILE_TYPE.DSYM: "debug",
}


@dataclass(frozen=True)
class Dylib:
    """A library that a binary loads, with the compatibility version that it insists on."""

    name: str
    compatibility: tuple[int, ...]


@dataclass(frozen=True)
class Taken:
    """A symbol that a binary takes from a library, which has to have it unless it is weak."""

    name: str
    library: str
    weak: bool = False


@dataclass(frozen=True)
class MachO:
    """A Mach-O file. slices: how many processors it is for. minos, sdk: versions, () when not said.

    rpaths: where `@rpath/` leads. wanted: undefined symbols; taken: those of them whose library the file names.
    padding: bytes between the load commands and the first section, None for object files.
    signature: None when there is none. uuid: what its dSYM is found by, hex digits. debug: whether it says in which
    objects its debug information is.
    """

    path: str
    machine: str
    kind: Kind
    slices: int
    two_level: bool
    dylibs: tuple[Dylib, ...]
    own_name: str
    exported: frozenset[str]
    wanted: frozenset[str]
    minos: tuple[int, ...]
    sdk: tuple[int, ...]
    padding: int | None
    rpaths: tuple[str, ...] = ()
    taken: tuple[Taken, ...] = ()
    signature: Signature | None = None
    uuid: str = ""
    debug: bool = False

    @property
    def linked(self) -> bool:
        return self.kind not in ("object", "debug")

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def is_fat_magic_of_another(data: bytes) -> bool:
    """Whether it only begins like a fat file: Java's class files do."""
    return data[:4] in _FAT_MAGICS and not 0 < int.from_bytes(data[4:8], "big") <= _MOST_SLICES


def read_macho(path: str, data: bytes) -> MachO | None:
    """The facts of a Mach-O file (of a fat one: of its first slice), None when it is cut off or LIEF can't read it."""
    slices = int.from_bytes(data[4:8], "big") if data[:4] in _FAT_MAGICS else 1
    fat = lief.MachO.parse(io.BytesIO(data), lief.MachO.ParserConfig.quick)
    binary = fat.at(0) if fat is not None and fat.size else None
    if binary is None or not _is_whole(binary, len(data)):
        return None
    minos: tuple[int, ...] = ()
    sdk: tuple[int, ...] = ()
    if (build := binary.build_version) is not None:
        minos, sdk = tuple(build.minos), tuple(build.sdk)
    elif (least := binary.version_min) is not None:
        minos, sdk = tuple(least.version), tuple(least.sdk)
    kind: Kind = _KINDS.get(binary.header.file_type, "other")
    names = lief.MachO.Symbol.ORIGIN
    symbols = [s for s in binary.symbols if s.origin == names.SYMTAB and s.raw_type & _EXTERNAL and s.raw_type < _STAB]
    own = [library for library in binary.libraries if library.command == lief.MachO.LoadCommand.TYPE.ID_DYLIB]
    loaded = [library for library in binary.libraries if library.command != lief.MachO.LoadCommand.TYPE.ID_DYLIB]
    two_level = lief.MachO.Header.FLAGS.TWOLEVEL in binary.header.flags_list
    starts = [section.offset for section in binary.sections if section.offset]
    commands = _HEADER + binary.header.sizeof_cmds
    return MachO(
        path=path,
        machine=_machine(binary),
        kind=kind,
        slices=slices,
        two_level=two_level,
        dylibs=tuple(Dylib(str(library.name), tuple(library.compatibility_version)) for library in loaded),
        own_name=str(own[0].name) if own else "",
        exported=frozenset(str(s.name) for s in symbols if s.raw_type & _TYPE and not s.raw_type & _PRIVATE),
        wanted=frozenset(str(s.name) for s in symbols if not s.raw_type & _TYPE),
        minos=minos,
        sdk=sdk,
        padding=min(starts) - commands if starts and kind != "object" else None,
        rpaths=tuple(str(rpath.path) for rpath in binary.rpaths),
        taken=tuple(_taken(symbols, [str(library.name) for library in loaded])) if two_level else (),
        signature=_signature(binary, data),
        uuid=_uuid(binary),
        debug=any(s.raw_type == _OBJECT_FILE for s in binary.symbols if s.origin == names.SYMTAB),
    )


def read_dsym(path: str, data: bytes) -> DebugFile | None:
    """The facts of the file in a dSYM that holds the debug information, None when it is cut off or no such file."""
    fat = lief.MachO.parse(io.BytesIO(data), lief.MachO.ParserConfig.quick)
    binary = fat.at(0) if fat is not None and fat.size else None
    if binary is None or binary.header.file_type != lief.MachO.Header.FILE_TYPE.DSYM:
        return None
    # All its other segments are those of the binary, without content.
    inside = binary.get_segment("__DWARF")
    if inside is None or inside.file_offset + inside.file_size > len(data):
        return None
    units = any(section.name == "__debug_info" and section.size > 0 for section in inside.sections)
    return DebugFile(path, _machine(binary), _uuid(binary), units)


def macho_function_addresses(data: bytes) -> dict[str, int]:
    """Where the exported functions of a linked file are, as its own addresses; nothing of what can't be read."""
    fat = lief.MachO.parse(io.BytesIO(data), lief.MachO.ParserConfig.quick)
    binary = fat.at(0) if fat is not None and fat.size else None
    symbols: list[lief.MachO.Symbol] = list(binary.symbols) if binary is not None else []
    return {str(s.name).removeprefix("_"): s.value for s in symbols if s.raw_type & _EXTERNAL and s.raw_type & _TYPE}


def _machine(binary: lief.MachO.Binary) -> str:
    return str(binary.header.cpu_type).rpartition(".")[2].lower()


def _uuid(binary: lief.MachO.Binary) -> str:
    return bytes(binary.uuid.uuid).hex() if binary.uuid is not None else ""


def _is_whole(binary: lief.MachO.Binary, size: int) -> bool:
    """Whether the file has its load commands and all of its segments."""
    ends = [segment.file_offset + segment.file_size for segment in binary.segments]
    return int(binary.fat_offset) + max([_HEADER + binary.header.sizeof_cmds, *ends]) <= size


def _taken(symbols: list[lief.MachO.Symbol], libraries: list[str]) -> Iterator[Taken]:
    """Undefined symbols with their libraries; a number that is no library's means the file itself, or anything."""
    for symbol in symbols:
        number = (symbol.description >> 8) & 0xFF
        if not symbol.raw_type & _TYPE and 0 < number <= len(libraries):
            yield Taken(str(symbol.name), libraries[number - 1], bool(symbol.description & _WEAK_REFERENCE))


def _signature(binary: lief.MachO.Binary, data: bytes) -> Signature | None:
    place = binary.code_signature
    return None if place is None else read_signature(data[binary.fat_offset :], place.data_offset, place.data_size)


def fat_archives(data: bytes) -> list[bytes] | None:
    """The static libraries in a fat file, one a processor; None when the file is not a fat one of static libraries."""
    if data[:4] != _FAT_MAGICS[0] or not 0 < (count := int.from_bytes(data[4:8], "big")) <= _MOST_SLICES:
        return None
    if len(data) < 8 + 20 * count:
        return None
    found = []
    for index in range(count):
        offset, size = struct.unpack_from(">8xII", data, 8 + 20 * index)
        found.append(data[offset : offset + size])
    return found if all(part.startswith(AR_MAGIC) for part in found) else None
