"""Makes the smaller flavours of one full archive: what is needed to run, the same stripped, and the debug symbols."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from workers.derive.bytecode import compile_tree
from workers.derive.head import Head, read_head
from workers.derive.layout import (
    DSYM,
    FIPS_DOCUMENT,
    INSTALL,
    LICENSES,
    SHARED_LICENSES,
    TOP,
    bytecode_path,
    is_compiled,
    left_out,
    place,
)
from workers.derive.symbols import Stripped, binaries, debug_name, debug_of_one, dsym_entries, strip_all
from workers.derive.writing import Packed, write_gzip, write_zstd
from workers.errors import Failure
from workers.fips.config import check_mac
from workers.model import Flavour
from workers.package.tree import PROVIDER_MODULES
from workers.progress import Progress
from workers.reports.base import encode
from workers.tarball import Entry, entries_below, extract, reading


@dataclass(frozen=True)
class Tools:
    """What it works with. interpreters: commands that may compile the library, besides the tree's own, in this order.

    threads: how many things to do at a time; no byte depends on it.
    """

    objcopy: Path
    threads: int
    interpreters: Callable[[], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Made:
    """A flavour as it was written, with how many files of each kind it holds."""

    flavour: Flavour
    packed: Packed
    bytecode: int
    stripped: int
    debug_files: int


@dataclass(frozen=True)
class Derived:
    """All of them. tar_sha256: of the full archive's tar, the whole of which was read. compiler: what made bytecode."""

    tar_sha256: str
    provider_sha256: str
    compiler: str
    made: list[Made]


def derive(
    full: Path, names: dict[Flavour, Path], scratch: Path, tools: Tools, *, epoch: int, progress: Progress
) -> Derived:
    """Writes the archives of `names` from the full one. scratch: a folder that is made, and removed in the end.

    epoch: the time of every member, seconds since 1970. Raises Failure for an archive that is none of ours, for a
    library that does not compile, for a binary that can't be stripped, and when the FIPS module is not what it was.
    """
    head = read_head(full)
    with _fresh(scratch) as top:
        progress.at(0, 10, f"unpacking {full.name}")
        left = left_out(head.document)
        digest = extract(
            full, top / "tree", wanted=lambda member: place(member, left) is not None or member.startswith(DSYM)
        )
        tree = top / "tree" / INSTALL
        entries = _entries(top / "tree", head)

        progress.at(2, 10, "compiling the library")
        compiler = _compile(tree, head, entries, tools)
        bytecode = _bytecode(tree, head, entries)

        progress.at(4, 10, "stripping")
        found = {entry.path.removeprefix(TOP): entry.source for entry in entries if entry.source is not None}
        stripped = strip_all(tools.objcopy, binaries(found), top / "stripped", tools.threads)
        whole = [*entries, *bytecode]
        parts: dict[Flavour, list[Entry]] = {
            "install_only": whole,
            "install_only_stripped": _replaced(whole, stripped),
            "debug_symbols": [*_debug_entries(stripped), *dsym_entries(top / "tree" / DSYM, binaries(found))],
        }
        made = []
        for number, (flavour, path) in enumerate(names.items()):
            progress.at(5 + 5 * number / len(names), 10, path.name)
            if not parts[flavour]:
                raise Failure(
                    "derive",
                    f"{full.name} has nothing for {flavour}",
                    todo="No binary of it has debug information: see CFLAGS of the CPython recipe (-g1).",
                )
            if flavour == "debug_symbols":
                packed = write_zstd(path, parts[flavour], epoch=epoch, threads=tools.threads)
            else:
                packed = write_gzip(path, parts[flavour], epoch=epoch, threads=tools.threads)
                _check_module(path, head)
            has = {entry.path for entry in parts[flavour]}
            made.append(
                Made(
                    flavour,
                    packed,
                    sum(1 for entry in bytecode if entry.path in has),
                    len(stripped) if flavour == "install_only_stripped" else 0,
                    sum(1 for path in has if debug_of_one(path)) if flavour == "debug_symbols" else 0,
                )
            )
    return Derived(digest, head.fips.provider_sha256, compiler, made)


def _entries(unpacked: Path, head: Head) -> list[Entry]:
    """The files of the smaller flavours but their bytecode, as members."""
    entries = list(entries_below(unpacked / INSTALL, TOP))
    entries += entries_below(unpacked / LICENSES, TOP + SHARED_LICENSES)
    said = replace(
        head.fips,
        module=head.fips.module.removeprefix("install/"),
        module_config=head.fips.module_config.removeprefix("install/"),
        config=head.fips.config.removeprefix("install/"),
    )
    return [*entries, Entry(TOP + FIPS_DOCUMENT, data=encode(said))]


def _compile(tree: Path, head: Head, entries: Sequence[Entry], tools: Tools) -> str:
    own = [str(tree / head.document.python_exe.removeprefix("install/"))]
    return compile_tree([own, *tools.interpreters()], tree, sorted(_sources(entries)), tools.threads)


def _sources(entries: Sequence[Entry]) -> list[str]:
    paths = (entry.path.removeprefix(TOP) for entry in entries if entry.source is not None)
    return [path for path in paths if is_compiled(path)]


def _bytecode(tree: Path, head: Head, entries: Sequence[Entry]) -> list[Entry]:
    tag = head.document.python_implementation_cache_tag
    paths = [bytecode_path(path, tag) for path in _sources(entries)]
    return [Entry(TOP + path, source=tree / path) for path in paths]


def _replaced(entries: Sequence[Entry], stripped: Sequence[Stripped]) -> list[Entry]:
    by_path = {TOP + one.path: one.stripped for one in stripped}
    return [replace(entry, source=by_path.get(entry.path, entry.source)) for entry in entries]


def _debug_entries(stripped: Sequence[Stripped]) -> list[Entry]:
    """A file a build id: two binaries with the same one are the same binary."""
    return list(
        {debug_name(one): Entry(TOP + debug_name(one), source=one.debug) for one in stripped if one.debug}.values()
    )


def _check_module(archive: Path, head: Head) -> None:
    """Raises Failure unless the module that an archive holds is the full one's, and its MAC the one in its config."""
    found: dict[str, bytes] = {}
    with reading(archive) as tar:
        for member, content in tar:
            name = member.path.rpartition("/")[2]
            if content is not None and "share/ssl/" in member.path and name in (*PROVIDER_MODULES, "fipsmodule.cnf"):
                found[name] = content
    modules = [found[name] for name in PROVIDER_MODULES if name in found]
    if len(modules) != 1 or "fipsmodule.cnf" not in found:
        raise Failure("derive", f"{archive.name} has no FIPS module", todo="This is a mistake in pymint.")
    check_mac(modules[0], found["fipsmodule.cnf"].decode())
    digest = hashlib.sha256(modules[0]).hexdigest()
    if digest != head.fips.provider_sha256:
        raise Failure(
            "derive",
            f"the FIPS module of {archive.name} is not the full archive's",
            wanted=f"sha256 {head.fips.provider_sha256}",
            found=f"sha256 {digest}",
            todo="Nothing may change the module after its MAC was made. This is a mistake in pymint.",
        )


@contextmanager
def _fresh(scratch: Path) -> Iterator[Path]:
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch.resolve()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
