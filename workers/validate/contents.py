"""Reads an archive once, front to back, into the facts that the rules judge. Nothing is unpacked, nothing is run."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from workers.derive.layout import DEBUG, dsym_binary, is_dsym_file
from workers.fips.config import checks_of, module_mac
from workers.model import Flavour, flavour_named
from workers.tarball import Member, reading
from workers.validate import ar
from workers.validate.bytecode import Bytecode, Collector
from workers.validate.elf import ELF_MAGIC, DebugFile, Elf, read_debug_file, read_elf
from workers.validate.macho import MACHO_MAGICS, MachO, fat_archives, is_fat_magic_of_another, read_dsym, read_macho

PROVIDER_NAMES = ("fips.so", "fips.dylib")

_BITCODE_MAGICS = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")
# Files whose text some rule reads. Others are only searched.
_READ = re.compile(
    r"(?:^PYTHON\.json|^FIPS\.json|^BUILD\.json|(?:^|/)share/(?:ssl/[^/]+\.(?:cnf|json)|sbom/[^/]+\.json)"
    r"|/_sysconfigdata_[^/]*\.py|/_sysconfig_vars_[^/]*\.json|/build-details\.json|/pyconfig\.h|/config-[^/]+/Makefile"
    r"|\.pc|/python3?[\w.]*-config(?:\.py)?)$"
)
# What a build writes, in which a place of the building machine can stand; the standard library's own sources speak of
# /tmp and /home in their texts.
_GENERATED = re.compile(
    r"(?:^PYTHON\.json|^BUILD\.json|/_sysconfigdata[^/]*\.py|/_sysconfig_vars[^/]*\.json|/config-[^/]+/[^/]+"
    r"|/pkgconfig/[^/]+\.pc|/build-details\.json|/pyconfig\.h|(?:^|/)share/(?:ssl/[^/]+\.cnf|sbom/[^/]+\.json)"
    r"|/site-packages/.*/RECORD|^(?:install/)?bin/[^/]+|^build/Modules/[^/]+)$"
)
_SCAN_FIRST = 8192


@dataclass(frozen=True)
class Needles:
    """What must not stand in texts: regular expressions for all of them, and for those that a build writes."""

    anywhere: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contents:
    """An archive's facts. Paths are relative to its `python/`.

    members: in the archive's order. elves, machos: binaries, those inside of static libraries as `libz.a:adler32.o`.
    unreadable: files that look like binaries and can't be read. texts: of the files that rules read.
    shebangs: first lines that begin with `#!`. searched: how many texts were searched. found_paths: what was in them.
    macs: of each FIPS module, as OpenSSL writes it. digests: their sha256. checks: those that it knows, and that its
    own build turned on. debug_files: binaries' debug information.
    bytecode: what is said in compiled files. sources: the hash of each module's source, as such files have it.
    """

    name: str
    tar_sha256: str
    members: tuple[Member, ...]
    elves: tuple[Elf, ...]
    machos: tuple[MachO, ...]
    bitcode: int
    unreadable: Mapping[str, str]
    texts: Mapping[str, str]
    shebangs: Mapping[str, str]
    searched: int
    found_paths: Mapping[str, str]
    macs: Mapping[str, str]
    digests: Mapping[str, str]
    debug_files: tuple[DebugFile, ...] = ()
    bytecode: Mapping[str, Bytecode] = field(default_factory=dict)
    sources: Mapping[str, bytes] = field(default_factory=dict)
    checks: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def paths(self) -> frozenset[str]:
        """Of files and links, below `python/`; those outside of it keep their whole name with a leading '!'."""
        return frozenset(below_python(member.path) for member in self.members if member.kind != "directory")

    @cached_property
    def symlinks(self) -> frozenset[str]:
        """The paths of symbolic links, below `python/`."""
        return frozenset(below_python(posixpath.normpath(m.path)) for m in self.members if m.kind == "symlink")

    @cached_property
    def flavour(self) -> Flavour:
        """From what is in it. What was stripped is not seen from that, so there the name counts."""
        if any(path.startswith("install/") for path in self.paths):
            return "full"
        if self.paths and all(path.startswith(DEBUG) or dsym_binary(path) for path in self.paths):
            return "debug_symbols"
        named = flavour_named(self.name)
        return "install_only_stripped" if named == "install_only_stripped" else "install_only"

    @property
    def runs(self) -> bool:
        """Whether there is an interpreter to be expected in it."""
        return self.flavour != "debug_symbols"

    @property
    def install(self) -> str:
        """`install/` in a full archive, nothing in the smaller flavours."""
        return "install/" if self.flavour == "full" else ""


def below_python(path: str) -> str:
    """`install/bin/python3` of `python/install/bin/python3`; `!etc/passwd` of what is not below `python/`."""
    name = path.removeprefix("./")
    return name.removeprefix("python/") if name.startswith("python/") else f"!{name}"


def read_contents(archive: Path, needles: Needles, told: Callable[[int], None] = lambda done: None) -> Contents:
    """Reads an archive; `told` hears how many bytes of the tar were read. Raises Failure when it is damaged."""
    reader = _Reader(needles)
    with reading(archive) as tar:
        for member, content in tar:
            reader.take(member, content)
            told(tar.size)
        tar.finish()
    return reader.contents(archive.name, tar.sha256)


class _Reader:
    """Takes one member after the other; holds facts only."""

    def __init__(self, needles: Needles) -> None:
        self._anywhere = _pattern(needles.anywhere)
        self._generated = _pattern((*needles.generated, *needles.anywhere))
        self._members: list[Member] = []
        self._elves: list[Elf] = []
        self._machos: list[MachO] = []
        self._bitcode = 0
        self._unreadable: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._shebangs: dict[str, str] = {}
        self._searched = 0
        self._found: dict[str, str] = {}
        self._macs: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        self._checks: dict[str, frozenset[str]] = {}
        self._debug_files: list[DebugFile] = []
        self._bytecode = Collector(needles.anywhere)

    def take(self, member: Member, content: bytes | None) -> None:
        self._members.append(member)
        if content is None:
            return
        path = below_python(member.path)
        if PurePosixPath(path).name in PROVIDER_NAMES and "/ossl-modules/" in path:
            self._macs[path] = module_mac(content)
            self._digests[path] = hashlib.sha256(content).hexdigest()
            self._checks[path] = checks_of(content)
        self._bytecode.take(path, content)
        if (path.startswith(DEBUG) and path.endswith(".debug")) or is_dsym_file(path):
            self._debug_file(path, content)
        elif not self._binary(path, content):
            self._text(path, content)

    def _debug_file(self, path: str, content: bytes) -> None:
        found = read_dsym(path, content) if is_dsym_file(path) else read_debug_file(path, content)
        if found is None:
            self._unreadable[path] = "a file of debug information that can't be read"
        else:
            self._debug_files.append(found)

    def _binary(self, path: str, content: bytes) -> bool:
        if content.startswith(ELF_MAGIC):
            elf = read_elf(path, content)
            if elf is None:
                self._unreadable[path] = "an ELF file that can't be read"
            else:
                self._elves.append(elf)
            return True
        if content[:4] in MACHO_MAGICS and not is_fat_magic_of_another(content):
            self._macho(path, content)
            return True
        if content.startswith(_BITCODE_MAGICS):
            self._bitcode += 1
            return True
        if content.startswith(ar.AR_MAGIC):
            try:
                for name, data in ar.members(content):
                    self._binary(f"{path}:{name}", data)
            except ValueError as error:
                self._unreadable[path] = f"a static library: {error}"
            return True
        return False

    def _macho(self, path: str, content: bytes) -> None:
        libraries = fat_archives(content)
        found = read_macho(path, content) if libraries is None else None
        if found is not None:
            self._machos.append(found)
        elif libraries is None:
            self._unreadable[path] = "a Mach-O file that can't be read"
        for library in libraries or ():
            before = len(self._machos)
            self._binary(path, library)
            self._machos[before:] = [replace(one, slices=len(libraries or ())) for one in self._machos[before:]]

    def _text(self, path: str, content: bytes) -> None:
        if content.startswith(b"#!"):  # also before what is no text: a zip that Python runs
            self._shebangs[path] = content[:_SCAN_FIRST].split(b"\n", 1)[0].decode("utf-8", "replace")
        if b"\0" in content[:_SCAN_FIRST]:
            return
        if _READ.search(path):
            self._texts[path] = content.decode("utf-8", "replace")
        pattern = self._generated if _GENERATED.search(path) else self._anywhere
        self._searched += 1
        if pattern is not None and (match := pattern.search(content)):
            line = content.count(b"\n", 0, match.start()) + 1
            end = re.search(rb"[\s'\":;,]|$", content[match.end() : match.end() + 100])
            text = content[match.start() : match.end() + (end.start() if end else 0)]
            self._found[path] = f"line {line}: {text.decode('utf-8', 'replace')}"

    def contents(self, name: str, tar_sha256: str) -> Contents:
        return Contents(
            name=name,
            tar_sha256=tar_sha256,
            members=tuple(self._members),
            elves=tuple(self._elves),
            machos=tuple(self._machos),
            bitcode=self._bitcode,
            unreadable=self._unreadable,
            texts=self._texts,
            shebangs=self._shebangs,
            searched=self._searched,
            found_paths=self._found,
            macs=self._macs,
            digests=self._digests,
            debug_files=tuple(self._debug_files),
            bytecode=self._bytecode.files,
            sources=self._bytecode.sources(),
            checks=self._checks,
        )


def _pattern(needles: tuple[str, ...]) -> re.Pattern[bytes] | None:
    """One expression for all needles. A path counts where one begins, not in the middle of a longer relative one."""
    if not needles:
        return None
    return re.compile(rb"(?<![\w.)}$-])(?:" + b"|".join(needle.encode() for needle in needles) + b")")
