"""What the rules want to know of a Mach-O file, read with LIEF and held without it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import lief

_THIN_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe")
_FAT_MAGICS = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
MACHO_MAGICS = (*_THIN_MAGICS, *_FAT_MAGICS)
# Java's class files share the fat magic; there the next number is a version, 45 at least.
_MOST_SLICES = 20
# The bits of n_type in <mach-o/nlist.h>; from _STAB on an entry is a debugger's.
_EXTERNAL, _TYPE, _PRIVATE, _STAB = 0x01, 0x0E, 0x10, 0x20

Kind = Literal["executable", "library", "bundle", "object", "other"]
_KINDS: dict[object, Kind] = {
    lief.MachO.Header.FILE_TYPE.EXECUTE: "executable",
    lief.MachO.Header.FILE_TYPE.DYLIB: "library",
    lief.MachO.Header.FILE_TYPE.BUNDLE: "bundle",
    lief.MachO.Header.FILE_TYPE.OBJECT: "object",
}


@dataclass(frozen=True)
class Dylib:
    """A library that a binary loads, with the compatibility version that it insists on."""

    name: str
    compatibility: tuple[int, ...]


@dataclass(frozen=True)
class MachO:
    """A Mach-O file. slices: how many processors it is for. minos, sdk: versions, () when not said.

    padding: bytes between the load commands and the first section, None for object files.
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
    signed: bool
    padding: int | None

    @property
    def linked(self) -> bool:
        return self.kind != "object"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def read_macho(path: str, data: bytes) -> MachO | None:
    """The facts of a Mach-O file (of a fat one: of its first slice), None when it is none after all."""
    slices = int.from_bytes(data[4:8], "big") if data[:4] in _FAT_MAGICS else 1
    if not 0 < slices <= _MOST_SLICES:
        return None
    fat = lief.MachO.parse(io.BytesIO(data), lief.MachO.ParserConfig.quick)
    binary = fat.at(0) if fat is not None and fat.size else None
    if binary is None:
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
    starts = [section.offset for section in binary.sections if section.offset]
    commands = 32 + binary.header.sizeof_cmds
    return MachO(
        path=path,
        machine=str(binary.header.cpu_type).rpartition(".")[2].lower(),
        kind=kind,
        slices=slices,
        two_level=lief.MachO.Header.FLAGS.TWOLEVEL in binary.header.flags_list,
        dylibs=tuple(
            Dylib(str(library.name), tuple(library.compatibility_version))
            for library in binary.libraries
            if library.command != lief.MachO.LoadCommand.TYPE.ID_DYLIB
        ),
        own_name=str(own[0].name) if own else "",
        exported=frozenset(str(s.name) for s in symbols if s.raw_type & _TYPE and not s.raw_type & _PRIVATE),
        wanted=frozenset(str(s.name) for s in symbols if not s.raw_type & _TYPE),
        minos=minos,
        sdk=sdk,
        signed=binary.has_code_signature,
        padding=min(starts) - commands if starts and kind != "object" else None,
    )
