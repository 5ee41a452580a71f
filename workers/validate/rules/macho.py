"""Rules for Mach-O files: the processor, what they load, what they export, the macOS that they are for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from workers.reports.checks import Finding
from workers.validate.contents import PROVIDER_NAMES, Contents
from workers.validate.macho import MachO
from workers.validate.rule import Case, rule

# The one library that Apple's compiler brings for several processors.
_MAY_BE_FAT = "build/lib/libclang_rt.osx.a"
# Room for one more load command: a signature, or a longer library path.
_PADDING = 16
_LIBPYTHON = r"@rpath/libpython{version}(?:d|t|td)?\.dylib"


def every_macho(case: Case) -> Iterator[MachO]:
    yield from case.contents.machos


def linked(case: Case) -> Iterator[MachO]:
    return (macho for macho in case.contents.machos if macho.linked)


def is_provider(macho: MachO) -> bool:
    return macho.name in PROVIDER_NAMES and "/ossl-modules/" in macho.path


def linked_but_provider(case: Case) -> Iterator[MachO]:
    return (macho for macho in linked(case) if not is_provider(macho))


def libpythons(case: Case) -> Iterator[MachO]:
    return (macho for macho in linked(case) if re.match(r"libpython3\.\d+[td]*\.dylib$", macho.name))


def for_macos(case: Case) -> Iterator[Contents]:
    if any(macho.linked for macho in case.contents.machos):
        yield case.contents


def held_against_sdks(case: Case) -> Iterator[MachO]:
    return linked(case) if case.sdks else iter(())


def version_of(text: str) -> tuple[int, int, int]:
    """(11, 0, 0) of `11.0`, as Mach-O files have versions: three numbers."""
    first, second, third = ([int(part) for part in text.split(".")] + [0, 0])[:3]
    return first, second, third


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version)) or "not said"


@rule(
    "macho.machine",
    of=every_macho,
    why="A file for another processor does not load; one for several is twice as large.",
)
def machine(macho: MachO, case: Case) -> Iterator[Finding]:
    if macho.slices != 1:
        if macho.path.partition(":")[0] != _MAY_BE_FAT:
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
    if macho.kind == "library" and not macho.own_name.startswith("@rpath/"):
        yield Finding(macho.path, f"calls itself {macho.own_name or 'nothing'}", f"@rpath/{macho.name}")


@rule(
    "macho.dylibs", of=linked, why="A library that is neither the system's nor the archive's own is not there to load."
)
def dylibs(macho: MachO, case: Case) -> Iterator[Finding]:
    allowed = _allowed(macho, case)
    for dylib in macho.dylibs:
        if dylib.name not in allowed and not _own(dylib.name, macho, case):
            yield Finding(macho.path, f"loads {dylib.name}", "a library that the policy lists, or the archive's own")


def _allowed(macho: MachO, case: Case) -> Mapping[str, str]:
    """What the file may load, with the highest compatibility version."""
    module = macho.name.split(".cpython-")[0]
    return {**case.policy.dylibs, **case.policy.module_dylibs.get(module, {})}


def _own(name: str, macho: MachO, case: Case) -> bool:
    """libpython; and Tk's library may load Tcl's."""
    libpython = re.compile(_LIBPYTHON.format(version=re.escape(case.version or "")))
    return bool(libpython.fullmatch(name)) or (
        macho.name.startswith(("libtk", "libtcl")) and name.startswith("@rpath/libtcl")
    )


@rule(
    "macho.compatibility",
    of=linked,
    why="A library that is older than the version that a file insists on is refused by the loader.",
)
def compatibility(macho: MachO, case: Case) -> Iterator[Finding]:
    allowed = _allowed(macho, case)
    for dylib in macho.dylibs:
        most = (
            f"{case.version}.0" if _own(dylib.name, macho, case) and "python" in dylib.name else allowed.get(dylib.name)
        )
        if most is not None and dylib.compatibility > version_of(most):
            yield Finding(macho.path, f"{dylib.name} {_dotted(dylib.compatibility)}", f"at most {most}")


@rule(
    "macho.required-dylibs",
    of=for_macos,
    why="What macOS has itself is taken from there: a copy inside would be one that nobody keeps up to date.",
)
def required_dylibs(contents: Contents, case: Case) -> Iterator[Finding]:
    loaded = {dylib.name for macho in linked(case) for dylib in macho.dylibs}
    for name in sorted(case.policy.required_dylibs - loaded):
        yield Finding(contents.name, f"nothing loads {name}", "a file that does")


@rule(
    "macho.search-path",
    of=linked,
    why="A library path of the building machine loads whatever lies there; without any, @rpath leads nowhere.",
)
def search_path(macho: MachO, case: Case) -> Iterator[Finding]:
    for place in macho.rpaths:
        if not place.startswith(("@loader_path", "@executable_path")):
            yield Finding(macho.path, f"searches {place}", "@executable_path or @loader_path, and from there")
    wanting = [dylib.name for dylib in macho.dylibs if dylib.name.startswith("@rpath/")]
    if wanting and not macho.rpaths and macho.kind == "executable":
        yield Finding(macho.path, f"loads {wanting[0]} and has no rpath", "-rpath @executable_path/../lib")


@rule(
    "macho.deployment-target",
    of=every_macho,
    why="A file that is for a newer macOS than promised does not load where it is needed.",
)
def deployment_target(macho: MachO, case: Case) -> Iterator[Finding]:
    said = case.document.apple_sdk_deployment_target if case.document is not None else None
    if not isinstance(said, str):
        said = case.target.deployment_target if case.target is not None else None
    # An assembler's object need not say it; the file that it is linked into does.
    if said is not None and (macho.linked or macho.minos) and macho.minos != version_of(said):
        yield Finding(macho.path, f"macOS {_dotted(macho.minos)}", f"macOS {said}")


@rule("macho.sdk", of=every_macho, why="The system behaves by the SDK that a file says, so all say the same one.")
def sdk(macho: MachO, case: Case) -> Iterator[Finding]:
    said = case.document.apple_sdk_version if case.document is not None else None
    if isinstance(said, str) and any(macho.sdk) and macho.sdk != version_of(said):
        yield Finding(macho.path, f"SDK {_dotted(macho.sdk)}", f"SDK {said}, as PYTHON.json says")


@rule(
    "macho.signature",
    of=linked,
    why="Apple silicon ends a process whose file is not signed, or was changed after it was.",
)
def signature(macho: MachO, case: Case) -> Iterator[Finding]:
    if macho.signature is None:
        yield Finding(macho.path, "no signature", "an ad-hoc one, which linkers for arm64 write")
    elif macho.signature.broken is not None:
        yield Finding(macho.path, macho.signature.broken, "a signature that fits the file (sign it last)")


@rule(
    "macho.dependency-symbols",
    of=linked_but_provider,
    why="An exported symbol of a bundled library can be taken for another copy's.",
)
def dependency_symbols(macho: MachO, case: Case) -> Iterator[Finding]:
    for name in case.policy.symbols.of_dependencies(name.removeprefix("_") for name in macho.exported):
        yield Finding(macho.path, f"exports {name}", "symbols of bundled libraries hidden")


@rule("macho.libpython-exports", of=libpythons, why="A program that embeds Python finds its functions in libpython.")
def libpython_exports(macho: MachO, case: Case) -> Iterator[Finding]:
    for name in sorted(case.policy.symbols.python - {name.removeprefix("_") for name in macho.exported}):
        yield Finding(macho.path, f"no {name}", f"{name} exported")


@rule(
    "macho.header-padding", of=linked, why="Without room a file can't be signed again, nor a library's path be changed."
)
def header_padding(macho: MachO, case: Case) -> Iterator[Finding]:
    if macho.padding is not None and macho.padding < (0 if macho.signature is not None else _PADDING):
        yield Finding(macho.path, f"{macho.padding} bytes", f"{_PADDING} bytes, or a signature (-Wl,-headerpad)")


@rule(
    "macho.sdk-symbols",
    of=held_against_sdks,
    why="A function that not every macOS from the promised one on has ends the program when it is first called.",
)
def sdk_symbols(macho: MachO, case: Case) -> Iterator[Finding]:
    for sdk_ in case.sdks:
        for taken in macho.taken:
            if taken.library.startswith("/") and not taken.weak:
                exports = sdk_.exports(taken.library)
                if exports is None:
                    yield Finding(macho.path, f"loads {taken.library}", f"a library that {sdk_.name} has")
                    break
                if taken.name.removeprefix("R8289209$") not in exports:
                    yield Finding(macho.path, f"takes {taken.name}", f"a function of {taken.library} in {sdk_.name}")
