"""What the rules want to know of an ELF file, read with LIEF and held without it."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Literal

import lief

ELF_MAGIC = b"\x7fELF"

# LIEF's own messages on standard error would say the same as a finding does, only without the file's name.
lief.logging.disable()

_TAG = lief.ELF.DynamicEntry.TAG
_SEGMENT = lief.ELF.Segment.TYPE
_FLAG = lief.ELF.Segment.FLAGS
Kind = Literal["executable", "shared", "object", "other"]
_KINDS: dict[object, Kind] = {
    lief.ELF.Header.FILE_TYPE.EXEC: "executable",
    lief.ELF.Header.FILE_TYPE.DYN: "shared",
    lief.ELF.Header.FILE_TYPE.REL: "object",
}
_MACHINES = {lief.ELF.ARCH.X86_64: "x86_64", lief.ELF.ARCH.AARCH64: "aarch64"}
# e_shoff, e_shentsize and e_shnum of an Elf64_Ehdr.
_HEADER = struct.Struct("<40xQ10xHH2x")
_CLASS_64 = 2
_DF_TEXTREL, _DF_BIND_NOW, _DF_1_NOW = 0x4, 0x8, 0x1


@dataclass(frozen=True)
class Wanted:
    """A symbol that a binary takes from elsewhere. version: `GLIBC_2.17`, or empty."""

    name: str
    version: str = ""


@dataclass(frozen=True)
class Elf:
    """An ELF file.

    kind: an executable at a fixed place, a shared object (a PIE is one, too) or an unlinked object file.
    needed: DT_NEEDED. versions: every symbol version of another library that the loader will insist on.
    wanted: undefined symbols. exported: defined symbols that other objects of the process see.
    interpreter: the path of the loader ("" when there is none). search: RPATH and RUNPATH entries.
    stack: what PT_GNU_STACK says. relro, bind_now, text_relocations, writable_code: hardening, as linked.
    build_id: hex digits, empty when there is none. debug: whether it holds debug information.
    """

    path: str
    machine: str
    kind: Kind
    needed: tuple[str, ...] = ()
    versions: frozenset[str] = frozenset()
    wanted: tuple[Wanted, ...] = ()
    exported: frozenset[str] = frozenset()
    interpreter: str = ""
    soname: str = ""
    search: tuple[str, ...] = ()
    dynamic: bool = False
    stack: Literal["missing", "executable", "not executable"] = "missing"
    relro: bool = False
    bind_now: bool = False
    text_relocations: bool = False
    writable_code: bool = False
    relative_relocations: bool = False
    build_id: str = ""
    debug: bool = False

    @property
    def linked(self) -> bool:
        return self.kind in ("executable", "shared")

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def version_number(version: str) -> tuple[int, ...] | None:
    """(2, 17) of `GLIBC_2.17` or `2.17`; None where there is no number (`GLIBC_PRIVATE`, `GLIBC_ABI_DT_RELR`)."""
    number = version.rpartition("_")[2]
    try:
        return tuple(int(part) for part in number.split("."))
    except ValueError:
        return None


def newest_glibc(files: list[Elf]) -> str | None:
    """`2.17`: the newest glibc version that any of the files wants, None when none wants one."""
    numbers = {
        number
        for elf in files
        for version in elf.versions
        if version.startswith("GLIBC_") and (number := version_number(version)) is not None
    }
    return ".".join(map(str, max(numbers))) if numbers else None


def read_elf(path: str, data: bytes) -> Elf | None:
    """The facts of an ELF file, None when it is cut off or LIEF can make nothing of it. `path` only names it."""
    if not _is_whole(data):
        return None
    config = lief.ELF.ParserConfig()
    config.parse_relocations = False
    config.parse_overlay = False
    config.parse_notes = False
    is_object = data[16:18] in (b"\x01\x00", b"\x00\x01")
    config.parse_symtab_symbols = is_object
    binary = lief.ELF.parse(io.BytesIO(data), config)
    if binary is None:
        return None
    kind: Kind = _KINDS.get(binary.header.file_type, "other")
    machine = _MACHINES.get(binary.header.machine_type, str(binary.header.machine_type))
    if kind == "object":
        wanted = tuple(Wanted(str(s.name)) for s in binary.symtab_symbols if s.shndx == 0 and s.name)
        return Elf(path, machine, kind, wanted=wanted, debug=_has_debug(binary))
    if kind == "other" or (kind == "shared" and not (len(binary.segments) and len(binary.dynamic_entries))):
        return None
    return _linked(path, machine, kind, binary)


def _is_whole(data: bytes) -> bool:
    """Whether a 64-bit file has its table of sections, which linkers and assemblers write last."""
    if len(data) < _HEADER.size or data[4] != _CLASS_64:
        return len(data) >= _HEADER.size
    start, size, count = _HEADER.unpack_from(data)
    return bool(start + size * count <= len(data))


def _linked(path: str, machine: str, kind: Kind, binary: lief.ELF.Binary) -> Elf:
    tags = {entry.tag: entry for entry in binary.dynamic_entries}
    flags = tags[_TAG.FLAGS].value if _TAG.FLAGS in tags else 0
    flags_1 = tags[_TAG.FLAGS_1].value if _TAG.FLAGS_1 in tags else 0
    wanted: list[Wanted] = []
    exported: set[str] = set()
    for symbol in binary.dynamic_symbols:
        name = str(symbol.name)
        if not name:
            continue
        if symbol.shndx == 0:
            wanted.append(Wanted(name, _version_of(symbol)))
        elif symbol.binding != lief.ELF.Symbol.BINDING.LOCAL and symbol.visibility in (
            lief.ELF.Symbol.VISIBILITY.DEFAULT,
            lief.ELF.Symbol.VISIBILITY.PROTECTED,
        ):
            exported.add(name)
    segments = [(segment.type, int(segment.flags)) for segment in binary.segments]
    stacks = [flag for kind_, flag in segments if kind_ == _SEGMENT.GNU_STACK]
    writable, runnable = int(_FLAG.W), int(_FLAG.X)
    return Elf(
        path=path,
        machine=machine,
        kind=kind,
        needed=tuple(str(name) for name in binary.libraries),
        versions=frozenset(
            str(auxiliary.name)
            for requirement in binary.symbols_version_requirement
            for auxiliary in requirement.get_auxiliary_symbols()
        ),
        wanted=tuple(wanted),
        exported=frozenset(exported),
        interpreter=str(binary.interpreter) if binary.has_interpreter else "",
        soname=_text(tags.get(_TAG.SONAME), "name"),
        search=tuple(
            part
            for tag, attribute in ((_TAG.RPATH, "rpath"), (_TAG.RUNPATH, "runpath"))
            if tag in tags
            for part in _text(tags[tag], attribute).split(":")
        ),
        dynamic=bool(tags),
        stack="missing" if not stacks else "executable" if any(f & runnable for f in stacks) else "not executable",
        relro=any(kind_ == _SEGMENT.GNU_RELRO for kind_, _ in segments),
        bind_now=_TAG.BIND_NOW in tags or bool(flags & _DF_BIND_NOW) or bool(flags_1 & _DF_1_NOW),
        text_relocations=_TAG.TEXTREL in tags or bool(flags & _DF_TEXTREL),
        writable_code=any(kind_ == _SEGMENT.LOAD and f & writable and f & runnable for kind_, f in segments),
        relative_relocations=_TAG.RELR in tags,
        build_id=_build_id(binary),
        debug=_has_debug(binary),
    )


@dataclass(frozen=True)
class DebugFile:
    """A binary's debug information in a file of its own. units: whether it has any, .debug_info with content."""

    path: str
    machine: str
    build_id: str
    units: bool


def read_debug_file(path: str, data: bytes) -> DebugFile | None:
    """The facts of what `objcopy --only-keep-debug` leaves, None when it is cut off or no such file.

    Its segments are those of the binary and its other sections have no content, so it is not read as a binary is.
    """
    if not data.startswith(ELF_MAGIC) or not _is_whole(data):
        return None
    config = lief.ELF.ParserConfig()
    config.parse_relocations = config.parse_overlay = config.parse_notes = False
    config.parse_dyn_symbols = config.parse_symtab_symbols = config.parse_symbol_versions = False
    binary = lief.ELF.parse(io.BytesIO(data), config)
    if binary is None:
        return None
    machine = _MACHINES.get(binary.header.machine_type, str(binary.header.machine_type))
    information = binary.get_section(".debug_info")
    units = information is not None and information.size > 0 and information.type != lief.ELF.Section.TYPE.NOBITS
    return DebugFile(path, machine, _build_id(binary), units)


def function_addresses(data: bytes) -> dict[str, int]:
    """Where the exported functions of a linked file are, as its own addresses; nothing of what can't be read."""
    binary = lief.ELF.parse(io.BytesIO(data))
    if binary is None:
        return {}
    return {str(symbol.name): symbol.value for symbol in binary.dynamic_symbols if symbol.shndx != 0 and symbol.value}


def _has_debug(binary: lief.ELF.Binary) -> bool:
    return any(str(section.name).startswith((".debug_", ".zdebug_")) for section in binary.sections)


def _build_id(binary: lief.ELF.Binary) -> str:
    """The content of .note.gnu.build-id after its header: three sizes of 4 bytes and the name `GNU`."""
    section = binary.get_section(".note.gnu.build-id")
    return bytes(section.content)[16:].hex() if section is not None else ""


def _text(entry: lief.ELF.DynamicEntry | None, attribute: str) -> str:
    """LIEF gives each kind of entry a class of its own, and the text another name in each."""
    return str(getattr(entry, attribute, ""))


def _version_of(symbol: lief.ELF.Symbol) -> str:
    if not symbol.has_version or symbol.symbol_version is None:
        return ""
    auxiliary = symbol.symbol_version.symbol_version_auxiliary
    return str(auxiliary.name) if auxiliary is not None else ""
