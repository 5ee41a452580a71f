"""Rules for Mach-O files: the processor, what they load, what they export, the macOS that they are for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workers.reports.checks import Finding
from workers.validate.macho import MachO
from workers.validate.rule import Case, rule

# The one library that Apple's compiler brings for several processors.
_MAY_BE_FAT = "libclang_rt.osx.a"
# Room for one more load command: a signature, or a longer library path.
_PADDING = 16


def every_macho(case: Case) -> Iterator[MachO]:
    yield from case.contents.machos


def linked(case: Case) -> Iterator[MachO]:
    return (macho for macho in case.contents.machos if macho.linked)


@rule(
    "macho.machine",
    of=every_macho,
    why="A file for another processor does not load; one for several is twice as large.",
)
def machine(macho: MachO, case: Case) -> Iterator[Finding]:
    if macho.slices != 1:
        if not macho.path.endswith(_MAY_BE_FAT) and f"/{_MAY_BE_FAT}:" not in macho.path:
            yield Finding(macho.path, f"for {macho.slices} processors", "for one")
    elif case.target is not None and macho.machine != case.target.machine:
        yield Finding(macho.path, macho.machine, case.target.machine)


@rule("macho.two-level", of=linked, why="Without it a bundled library's symbols are taken for those of another one.")
def two_level(macho: MachO, case: Case) -> Iterator[Finding]:
    if not macho.two_level:
        yield Finding(macho.path, "a flat namespace", "MH_TWOLEVEL")


@rule(
    "macho.own-name", of=linked, why="A library's own name is what its users load; a path of the build is nowhere else."
)
def own_name(macho: MachO, case: Case) -> Iterator[Finding]:
    if macho.own_name and not macho.own_name.startswith("@rpath/"):
        yield Finding(macho.path, f"calls itself {macho.own_name}", f"@rpath/{macho.name}")


@rule(
    "macho.dylibs", of=linked, why="A library that is neither the system's nor the archive's own is not there to load."
)
def dylibs(macho: MachO, case: Case) -> Iterator[Finding]:
    for dylib in macho.dylibs:
        if not re.match(r"@(?:rpath|loader_path|executable_path)/|/usr/lib/|/System/Library/Frameworks/", dylib.name):
            yield Finding(macho.path, f"loads {dylib.name}", "a library of the system, or one named by @rpath")


@rule(
    "macho.deployment-target",
    of=linked,
    why="A file that is for a newer macOS than promised does not load where it is needed.",
)
def deployment_target(macho: MachO, case: Case) -> Iterator[Finding]:
    said = case.document.apple_sdk_deployment_target if case.document is not None else None
    if isinstance(said, str):
        wanted = tuple(int(part) for part in said.split("."))
        if macho.minos[: len(wanted)] != wanted:
            yield Finding(macho.path, f"macOS {'.'.join(map(str, macho.minos)) or 'not said'}", f"macOS {said}")


@rule(
    "macho.dependency-symbols",
    of=linked,
    why="An exported symbol of a bundled library can be taken for another copy's.",
)
def dependency_symbols(macho: MachO, case: Case) -> Iterator[Finding]:
    for name in case.policy.symbols.of_dependencies(name.removeprefix("_") for name in macho.exported):
        yield Finding(macho.path, f"exports {name}", "symbols of bundled libraries hidden")


@rule(
    "macho.header-padding", of=linked, why="Without room a file can't be signed again, nor a library's path be changed."
)
def header_padding(macho: MachO, case: Case) -> Iterator[Finding]:
    if macho.padding is not None and macho.padding < (0 if macho.signed else _PADDING):
        yield Finding(macho.path, f"{macho.padding} bytes", f"{_PADDING} bytes, or a signature (-Wl,-headerpad)")
