"""Rules for the archive of debug symbols: every file is found by its build id, and none is missing."""

from __future__ import annotations

from collections.abc import Iterator

from workers.derive.layout import debug_path, dsym_binary, dsym_path, is_dsym_file
from workers.reports.checks import Finding
from workers.validate.contents import Contents
from workers.validate.elf import DebugFile
from workers.validate.rule import Case, rule


def symbols(case: Case) -> Iterator[Contents]:
    if case.contents.flavour == "debug_symbols":
        yield case.contents


def files(case: Case) -> Iterator[DebugFile]:
    yield from case.contents.debug_files


def with_family(case: Case) -> Iterator[Contents]:
    if case.family is not None:
        yield from symbols(case)


@rule("debug.only", of=symbols, why="Unpacked over a tree it adds to it and changes nothing.")
def only(contents: Contents, case: Case) -> Iterator[Finding]:
    known = {file.path for file in contents.debug_files} | contents.unreadable.keys()
    bundles = {dsym_binary(file.path) for file in contents.debug_files} - {None}
    for path in sorted(contents.paths - known):
        if dsym_binary(path) not in bundles:
            yield Finding(path, "no debug information", "only lib/debug/.build-id/ab/cdef.debug, and what a dSYM holds")


@rule("debug.by-build-id", of=files, why="A debugger looks for the file by the build id that the binary names.")
def by_build_id(file: DebugFile, case: Case) -> Iterator[Finding]:
    if is_dsym_file(file.path) and file.build_id:
        return  # beside its binary; debug.complete sees that it is that one's
    if not file.build_id or file.path != debug_path(file.build_id):
        yield Finding(file.path, f"has build id {file.build_id or 'none'}", "its build id for a name")


@rule("debug.units", of=files, why="A file without debug information ends a debugger's search for a better one.")
def units(file: DebugFile, case: Case) -> Iterator[Finding]:
    if not file.units:
        yield Finding(file.path, "no .debug_info", "the debug information of its binary")


@rule("debug.machine", of=files, why="Debug information of another processor's code is of no use.")
def machine(file: DebugFile, case: Case) -> Iterator[Finding]:
    if case.target is not None and file.machine != case.target.machine:
        yield Finding(file.path, file.machine, case.target.machine)


@rule(
    "debug.complete", of=with_family, why="What was stripped from the binaries that ship has to be had from somewhere."
)
def complete(contents: Contents, case: Case) -> Iterator[Finding]:
    have = {file.build_id for file in contents.debug_files}
    wanted = case.family.debug if case.family is not None else {}
    for build_id, path in sorted(wanted.items(), key=lambda one: one[1]):
        if build_id not in have:
            yield Finding(debug_path(build_id), f"not there, for {path}", "a file for each binary that was stripped")
    for file in contents.debug_files:
        path = wanted.get(file.build_id, "")
        if path and is_dsym_file(file.path) and file.path != dsym_path(path):
            yield Finding(file.path, f"has the UUID of {path}", f"{dsym_path(path)}, where a debugger looks")
    for build_id in sorted(have - wanted.keys()):
        yield Finding(debug_path(build_id), "of no binary of this build", "a binary of install_only with this build id")
