"""Rules for ELF files: the processor, what they need, what they export, how they are hardened."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workers.reports.checks import Finding
from workers.validate.contents import PROVIDER_NAMES
from workers.validate.elf import Elf, version_number
from workers.validate.rule import Case, rule

# The loader, libc and the compiler's own library need no word in PYTHON.json.
_UNANNOTATED = ("ld-linux", "ld64.so", "ld.so", "libc.so", "libgcc_s.so")
_INTERPRETER = re.compile(r"(?:^|/)bin/python[\d.]*[td]*$")
_LIBPYTHON = r"(?:\$ORIGIN/\.\./lib/)?libpython{version}(?:d|t|td)?\.so\.1\.0"


def every_elf(case: Case) -> Iterator[Elf]:
    yield from case.contents.elves


def linked(case: Case) -> Iterator[Elf]:
    """Executables and shared objects, the FIPS module among them."""
    return (elf for elf in case.contents.elves if elf.linked)


def is_provider(elf: Elf) -> bool:
    return elf.name in PROVIDER_NAMES and "/ossl-modules/" in elf.path


def linked_but_provider(case: Case) -> Iterator[Elf]:
    return (elf for elf in linked(case) if not is_provider(elf))


def hardened(case: Case) -> Iterator[Elf]:
    return linked(case) if case.policy.hardened else iter(())


def interpreters(case: Case) -> Iterator[Elf]:
    """The python executables, where the policy asks for hardening."""
    return (elf for elf in hardened(case) if _INTERPRETER.search(elf.path) and elf.interpreter)


def named_interpreters(case: Case) -> Iterator[Elf]:
    """The python executables, where the policy asks for a name."""
    return interpreters(case) if case.policy.interpreter_name else iter(())


def libpythons(case: Case) -> Iterator[Elf]:
    return (elf for elf in linked(case) if re.match(r"libpython3\.\d+[td]*\.so\.1\.0$", elf.name))


@rule("elf.machine", of=every_elf, why="A file for another processor does not load.")
def machine(elf: Elf, case: Case) -> Iterator[Finding]:
    targets = case.policy.targets.values() if case.target is None else [case.target]
    wanted = sorted({target.machine for target in targets})
    if elf.machine not in wanted:
        yield Finding(elf.path, elf.machine, " or ".join(wanted))


@rule(
    "elf.needed", of=linked, why="A library that not every system of the target has keeps the file from loading there."
)
def needed(elf: Elf, case: Case) -> Iterator[Finding]:
    if case.target is None:
        return
    allowed = case.target.needed | case.policy.module_needs.get(elf.name.split(".cpython-")[0], frozenset())
    libpython = re.compile(_LIBPYTHON.format(version=re.escape(case.version or "")))
    for library in elf.needed:
        if library not in allowed and not libpython.fullmatch(library) and not _own_tcl(library, elf):
            yield Finding(elf.path, f"needs {library}", f"only {', '.join(sorted(allowed))}")


def _own_tcl(library: str, elf: Elf) -> bool:
    """Tk's library needs Tcl's, which is beside it."""
    return elf.name.startswith(("libtk", "libtcl")) and library.startswith("libtcl")


@rule(
    "elf.needed-declared",
    of=linked_but_provider,
    why="Whoever links the pieces anew learns from PYTHON.json which system libraries it takes.",
)
def needed_declared(elf: Elf, case: Case) -> Iterator[Finding]:
    if case.document is None:
        return
    links = [*case.document.build_info.core.links]
    for ways in case.document.build_info.extensions.values():
        links.extend(link for way in ways for link in way.links)
    declared = {link.name for link in links if link.system is True}
    for library in elf.needed:
        stem = library.removeprefix("lib").partition(".so")[0]
        if "libpython" in library or library.startswith(_UNANNOTATED) or _own_tcl(library, elf):
            continue
        if not library.startswith("lib") or ".so" not in library:
            yield Finding(elf.path, f"needs {library}", "a library called lib….so")
        elif stem not in declared and library.startswith("lib") and library in _system(case):
            yield Finding(elf.path, f"needs {library}", f"a link {{name: {stem}, system: true}} in PYTHON.json")


def _system(case: Case) -> frozenset[str]:
    """The system's libraries: those that the archive brings itself are declared by path."""
    own = {path.rpartition("/")[2] for path in case.contents.paths}
    target = case.target.needed if case.target is not None else frozenset()
    return (target | {n for names in case.policy.module_needs.values() for n in names}) - own


@rule(
    "elf.glibc-floor",
    of=linked_but_provider,
    why="An archive that needs a newer glibc than promised does not start where it is needed.",
)
def glibc_floor(elf: Elf, case: Case) -> Iterator[Finding]:
    if case.target is not None and case.target.glibc is not None:
        yield from above_floor(elf, case.target.glibc)


def above_floor(elf: Elf, floor: str) -> Iterator[Finding]:
    """The symbols, or the versions without a symbol, that only a glibc newer than `floor` has.

    A weak symbol without a version is no floor: the loader leaves it NULL where there is none, and the code asks
    (`sem_clockwait`). One with a version is, weak or not: the loader insists on the version before any symbol.
    """
    most = version_number(floor) or ()
    for version in sorted(v for v in elf.versions if v.startswith("GLIBC_")):
        number = version_number(version)
        if number is None or number > most:
            names = [symbol.name for symbol in elf.wanted if symbol.version == version]
            found = f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}@{version}"
            yield Finding(elf.path, found, f"at most GLIBC_{floor}")
    if elf.relative_relocations and most < (2, 36):
        yield Finding(elf.path, "relative relocations (DT_RELR), which need glibc 2.36", f"at most glibc {floor}")


@rule("elf.banned-symbols", of=every_elf, why="These functions are gone from newer systems' headers and libraries.")
def banned_symbols(elf: Elf, case: Case) -> Iterator[Finding]:
    for symbol in elf.wanted:
        if symbol.name in case.policy.symbols.banned:
            yield Finding(elf.path, f"wants {symbol.name}", f"none of {', '.join(sorted(case.policy.symbols.banned))}")


@rule(
    "elf.dependency-symbols",
    of=linked,
    why="An exported symbol of a bundled library takes the place of the one that other people's modules mean.",
)
def dependency_symbols(elf: Elf, case: Case) -> Iterator[Finding]:
    for name in case.policy.symbols.of_dependencies(elf.exported):
        yield Finding(elf.path, f"exports {name}", "symbols of bundled libraries hidden")


@rule("elf.libpython-exports", of=libpythons, why="A program that embeds Python finds its functions in libpython.")
def libpython_exports(elf: Elf, case: Case) -> Iterator[Finding]:
    for name in sorted(case.policy.symbols.python - elf.exported):
        yield Finding(elf.path, f"no {name}", f"{name} exported")


@rule("elf.stack", of=hardened, why="An executable stack makes the whole process's stacks executable.")
def stack(elf: Elf, case: Case) -> Iterator[Finding]:
    if elf.stack != "not executable":
        found = "no PT_GNU_STACK" if elf.stack == "missing" else "an executable PT_GNU_STACK"
        yield Finding(elf.path, found, "a PT_GNU_STACK that is not executable (-Wl,-z,noexecstack)")


@rule("elf.relro", of=hardened, why="Tables of addresses that stay writable are what an overflow is aimed at.")
def relro(elf: Elf, case: Case) -> Iterator[Finding]:
    if not elf.relro:
        yield Finding(elf.path, "no PT_GNU_RELRO", "PT_GNU_RELRO (-Wl,-z,relro)")


@rule("elf.bind-now", of=hardened, why="Without it the table of functions has to stay writable while the process runs.")
def bind_now(elf: Elf, case: Case) -> Iterator[Finding]:
    if elf.dynamic and not elf.bind_now:
        yield Finding(elf.path, "lazy binding", "BIND_NOW (-Wl,-z,now)")


@rule("elf.writable-code", of=hardened, why="Memory that is both writable and executable runs what is written to it.")
def writable_code(elf: Elf, case: Case) -> Iterator[Finding]:
    if elf.writable_code:
        yield Finding(elf.path, "a segment that is writable and executable", "none")


@rule("elf.text-relocations", of=hardened, why="Code that is patched at load time has to be writable for that.")
def text_relocations(elf: Elf, case: Case) -> Iterator[Finding]:
    if elf.text_relocations:
        yield Finding(elf.path, "text relocations", "none (-fPIC)")


@rule("elf.stack-protector", of=interpreters, why="An overflow of a buffer on the stack is to end the process.")
def stack_protector(elf: Elf, case: Case) -> Iterator[Finding]:
    if not any(symbol.name.startswith("__stack_chk_fail") for symbol in elf.wanted):
        yield Finding(elf.path, "no __stack_chk_fail", "-fstack-protector")


@rule("elf.fortify", of=interpreters, why="Calls that are known to overflow their buffer are to end the process.")
def fortify(elf: Elf, case: Case) -> Iterator[Finding]:
    if "debug" in (case.options or ""):
        return
    if not any(symbol.name.startswith("__") and symbol.name.endswith("_chk") for symbol in elf.wanted):
        yield Finding(elf.path, "no call of a checked function", "-D_FORTIFY_SOURCE=2")


@rule(
    "elf.search-path", of=linked, why="A library path of the building machine loads whatever lies there at the user's."
)
def search_path(elf: Elf, case: Case) -> Iterator[Finding]:
    for place in elf.search:
        if place != "$ORIGIN" and not place.startswith("$ORIGIN/"):
            yield Finding(elf.path, f"searches {place or 'the current directory'}", "$ORIGIN or nothing")


@rule(
    "elf.interpreter-name",
    of=named_interpreters,
    why="A module wrongly linked to libpython gets the interpreter itself, and no start looks for libraries here.",
)
def interpreter_name(elf: Elf, case: Case) -> Iterator[Finding]:
    name = f"lib{elf.name}.so.1.0"
    if elf.soname != name:
        yield Finding(elf.path, f"calls itself {elf.soname or 'nothing'}", f"{name} (-Wl,-soname)")
    if elf.search:
        yield Finding(elf.path, f"looks for every library in {', '.join(elf.search)} first", "no RPATH and no RUNPATH")


@rule("elf.loader", of=linked, why="A program names its loader by a path, and only this one exists on every system.")
def loader(elf: Elf, case: Case) -> Iterator[Finding]:
    if elf.interpreter and case.target is not None and case.target.loader not in (None, elf.interpreter):
        yield Finding(elf.path, elf.interpreter, str(case.target.loader))
