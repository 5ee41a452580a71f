"""Rules for the smaller flavours: what they leave out, what they keep, and what they share with the full archive."""

from __future__ import annotations

from collections.abc import Iterator

from workers.derive.layout import SHARED_LICENSES, STATIC_LIBPYTHON, TEST_MODULES
from workers.package.python_json import TEST_PACKAGES
from workers.reports.checks import Finding
from workers.validate.contents import Contents
from workers.validate.elf import Elf
from workers.validate.macho import MachO
from workers.validate.rule import Case, rule, running
from workers.validate.rules.elf import linked_but_provider
from workers.validate.rules.macho import linked_but_provider as linked_machos


def smaller(case: Case) -> Iterator[Contents]:
    """install_only archives, stripped or not."""
    if case.contents.flavour in ("install_only", "install_only_stripped"):
        yield case.contents


def ours(case: Case) -> Iterator[Contents]:
    return smaller(case) if case.policy.flavours else iter(())


def with_family(case: Case) -> Iterator[Contents]:
    if case.family is not None and case.policy.flavours:
        yield from running(case)


def keyed(case: Case) -> Iterator[Elf]:
    """Binaries that are stripped for one flavour and whose debug information is found by its build id."""
    return linked_but_provider(case) if case.policy.flavours else iter(())


def stripped(case: Case) -> Iterator[Elf]:
    if case.contents.flavour == "install_only_stripped":
        yield from case.contents.elves


@rule(
    "flavour.left-out",
    of=ours,
    why="What only CPython's tests and those who link the pieces anew need is most of a full archive.",
)
def left_out(contents: Contents, case: Case) -> Iterator[Finding]:
    stdlib = tuple(
        f"lib/python{case.version}{suffix}/{name.replace('.', '/')}/" for suffix in ("", "t") for name in TEST_PACKAGES
    )
    modules = tuple(f"{name}." for name in TEST_MODULES)
    for path in sorted(contents.paths):
        name = path.rpartition("/")[2]
        if path == "PYTHON.json" or path.startswith(("build/", "licenses/")):
            yield Finding(path, "a part of the full archive", "what is installed, and no more")
        elif STATIC_LIBPYTHON.search(path):
            yield Finding(path, "a static libpython", "none: the full archive has it")
        elif path.startswith(stdlib):
            yield Finding(path, "a file of a test package", "no test packages")
        elif "/lib-dynload/" in path and name.startswith(modules):
            yield Finding(path, "a module of CPython's tests", "none of them")


@rule(
    "flavour.licences",
    of=ours,
    why="The archive that everyone installs is the one that has to carry the licences of all that is in it.",
)
def licences(contents: Contents, case: Case) -> Iterator[Finding]:
    have = {path.removeprefix(SHARED_LICENSES) for path in contents.paths if path.startswith(SHARED_LICENSES)}
    wanted = case.family.licences if case.family is not None else frozenset({"LICENSE.cpython.txt"})
    for name in sorted(wanted - have):
        yield Finding(SHARED_LICENSES + name, "not there", "the licence text, as in the full archive")


@rule(
    "flavour.same-module",
    of=with_family,
    why="What was proven of the FIPS module is true of each flavour only if all have the same bytes.",
)
def same_module(contents: Contents, case: Case) -> Iterator[Finding]:
    wanted = case.family.provider_sha256 if case.family is not None else ""
    for path, digest in sorted(contents.digests.items()):
        if digest != wanted:
            yield Finding(path, f"sha256 {digest}", f"sha256 {wanted}, as in the full archive")


@rule("flavour.build-id", of=keyed, why="Debug information of a stripped binary is found by the binary's build id.")
def build_id(elf: Elf, case: Case) -> Iterator[Finding]:
    if not elf.build_id:
        yield Finding(elf.path, "no build id", "a note .note.gnu.build-id (-Wl,--build-id)")


@rule(
    "flavour.stripped", of=stripped, why="Debug information is most of a binary, and is had apart by those who want it."
)
def no_debug(elf: Elf, case: Case) -> Iterator[Finding]:
    if elf.debug:
        yield Finding(elf.path, "sections of debug information", "none: llvm-objcopy --strip-debug")


def stripped_machos(case: Case) -> Iterator[MachO]:
    if case.contents.flavour == "install_only_stripped":
        yield from case.contents.machos


@rule(
    "flavour.stripped-macho",
    of=stripped_machos,
    why="Where the objects were that a binary was linked from is of use on the building machine alone.",
)
def no_debug_map(macho: MachO, case: Case) -> Iterator[Finding]:
    if macho.debug:
        yield Finding(macho.path, "the names of objects with debug information", "none: llvm-objcopy --strip-debug")


def with_objects(case: Case) -> Iterator[MachO]:
    return linked_machos(case) if case.policy.flavours else iter(())


@rule("flavour.uuid", of=with_objects, why="A stripped binary's dSYM is found by the UUID that both have.")
def uuid(macho: MachO, case: Case) -> Iterator[Finding]:
    if not macho.uuid:
        yield Finding(macho.path, "no UUID", "a load command LC_UUID, which linkers write unless told not to")
