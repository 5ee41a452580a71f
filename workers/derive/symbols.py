"""Debug information, taken out of a tree's binaries and kept apart, each file under its binary's build id."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from workers.derive.layout import OPAQUE, TOP, debug_path, dsym_binary, is_dsym_file
from workers.errors import Failure
from workers.tarball import Entry, entries_below
from workers.validate.elf import ELF_MAGIC, read_elf
from workers.validate.macho import MACHO_MAGICS, read_dsym, read_macho


@dataclass(frozen=True)
class Stripped:
    """A binary of the tree. path: relative to the tree. stripped: without debug information, but with its symbols.

    debug: the file of its debug information, None where it has none; build_id: what that is found by.
    """

    path: str
    stripped: Path
    debug: Path | None
    build_id: str


def binaries(files: Mapping[str, Path]) -> dict[str, Path]:
    """Those of the files, by path in the tree, that are ELF or Mach-O; not the FIPS module, whose MAC covers it all."""
    found = {}
    for path, source in files.items():
        if path.startswith(OPAQUE):
            continue
        with source.open("rb") as stream:
            magic = stream.read(4)
        if magic == ELF_MAGIC or magic in MACHO_MAGICS:
            found[path] = source
    return found


def strip_all(objcopy: Path, files: Mapping[str, Path], into: Path, threads: int) -> list[Stripped]:
    """Strips each binary into a file of its own below `into`. Raises Failure when one can't be, or has no build id."""

    def strip(numbered: tuple[int, str]) -> Stripped:
        number, path = numbered
        return _strip(objcopy, files[path], path, into / str(number))

    with ThreadPoolExecutor(max_workers=threads) as pool:
        return list(pool.map(strip, enumerate(files)))


def _strip(objcopy: Path, source: Path, path: str, into: Path) -> Stripped:
    into.mkdir(parents=True)
    stripped, debug = into / "stripped", into / "debug"
    elf = read_elf(path, source.read_bytes()) if source.read_bytes()[:4] == ELF_MAGIC else None
    has_debug = elf is not None and elf.linked and elf.debug
    if has_debug and elf is not None and not elf.build_id:
        raise Failure(
            "derive",
            f"{path} has debug information but no build id to find it by",
            wanted="a note .note.gnu.build-id",
            found="none",
            todo="Have its link say -Wl,--build-id.",
        )
    if has_debug:
        _objcopy(objcopy, "--only-keep-debug", source, debug, path)
    _objcopy(objcopy, "--strip-debug", source, stripped, path)
    return Stripped(path, stripped, debug if has_debug else None, elf.build_id if elf is not None else "")


def _objcopy(objcopy: Path, how: str, source: Path, target: Path, path: str) -> None:
    run = subprocess.run([objcopy, how, source, target], capture_output=True, text=True, check=False)
    if run.returncode != 0 or not target.is_file():
        raise Failure(
            "derive",
            f"llvm-objcopy {how} failed on {path}",
            found=run.stderr.strip() or f"exit code {run.returncode}",
            todo="See whether the file is whole: ./mint validate names it.",
        )
    os.utime(target, (0, 0))


def dsym_entries(gathered: Path, files: Mapping[str, Path]) -> list[Entry]:
    """The dSYMs of a full archive as members, each beside its binary. gathered: the folder of them, if there is one.

    Raises Failure for one that is not its binary's: a debugger would pass it by without a word. Those of binaries that
    the smaller flavours do not have stay behind.
    """
    if not gathered.is_dir():
        return []
    entries = []
    for entry in entries_below(gathered, ""):
        binary = dsym_binary(entry.path)
        if binary is None or binary not in files or entry.source is None:
            continue
        if is_dsym_file(entry.path):
            _same_uuid(binary, files[binary], entry.path, entry.source)
        entries.append(replace(entry, path=TOP + entry.path))
    return entries


def _same_uuid(binary: str, source: Path, path: str, dsym: Path) -> None:
    macho, debug = read_macho(binary, source.read_bytes()), read_dsym(path, dsym.read_bytes())
    wanted = macho.uuid if macho is not None else "a Mach-O file"
    if debug is None or not wanted or debug.build_id != wanted:
        raise Failure(
            "derive",
            f"the dSYM of {binary} is not its own",
            wanted=f"UUID {wanted}",
            found=f"UUID {debug.build_id}" if debug is not None else "a file that can't be read",
            todo="The binary was changed after its debug information was gathered: see the CPython recipe.",
        )


def debug_of_one(path: str) -> bool:
    """Whether a member of the debug symbols is a binary's debug information, not what lies beside that."""
    return is_dsym_file(path) or dsym_binary(path) is None


def debug_name(one: Stripped) -> str:
    """Where its debug information goes, relative to the tree."""
    return debug_path(one.build_id)
