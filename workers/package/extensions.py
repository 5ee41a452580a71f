"""What each extension module is made of and links, for PYTHON.json's `build_info`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from msgspec import UNSET

from workers.errors import Failure
from workers.package.python_json import REQUIRED_EXTENSIONS, Extension, Link
from workers.package.setup_lines import SetupLine, fill_in, link_words

CONFIG_OBJECT = "build/Modules/config.o"
_CORE_FOLDERS = ("build/Objects/", "build/Parser/", "build/Python/")
# libc's own parts, which every Linux has; any other library that the core needs could not be told to be one of ours.
_CORE_LINKS = frozenset({"c", "crypt", "dl", "m", "pthread", "rt", "util"})


@dataclass(frozen=True)
class Licence:
    """The licence of a source. ids: SPDX. path: its text in the archive, relative to `python/`."""

    ids: tuple[str, ...]
    path: str
    public_domain: bool = False


@dataclass(frozen=True)
class Pieces:
    """What `extensions` decides from. files: all paths of the archive, relative to `python/`.

    inittab, core_inittab: module → init function of config.c and of config.c.in. lines: of the Setup files.
    variables: the Makefile's. licences: of all that is in a library, by its path (`build/lib/libz.a`,
    `install/lib/libtk8.6.so`).
    dynload: the folder of shared modules. suffix: what their names end with.
    """

    files: frozenset[str]
    inittab: Mapping[str, str]
    core_inittab: Mapping[str, str]
    lines: Mapping[str, SetupLine]
    variables: Mapping[str, str]
    licences: Mapping[str, tuple[Licence, ...]]
    dynload: str
    suffix: str


def extensions(pieces: Pieces) -> dict[str, list[Extension]]:
    """Every module that the interpreter has built in, and every shared one in lib-dynload."""
    found = {name: _built_in(name, init, pieces) for name, init in pieces.inittab.items()}
    for path in pieces.files:
        folder, _, name = path.rpartition("/")
        if folder == pieces.dynload and name.endswith(pieces.suffix):
            module = name.removesuffix(pieces.suffix)
            found[module] = _extension(module, f"PyInit_{module}", pieces, shared_lib=path)
    return {name: [found[name]] for name in sorted(found)}


def _built_in(name: str, init: str, pieces: Pieces) -> Extension:
    extension = _extension(name, init, pieces, shared_lib=None)
    line = pieces.lines.get(name)
    if line is not None and line.sources and not extension.objs and any(f.endswith(".o") for f in pieces.files):
        raise Failure(
            "package",
            f"none of the object files of the built-in module {name} is in build/Modules",
            wanted=f"objects of {', '.join(line.sources)}",
            todo="Have the CPython recipe leave them in python/build: tools link interpreters from them.",
        )
    return extension


def _extension(name: str, init: str, pieces: Pieces, *, shared_lib: str | None) -> Extension:
    line = pieces.lines.get(name)
    links = _links(link_words(line, name, pieces.variables), pieces.files)
    licences = _licences(name, links, pieces.licences)
    return Extension(
        in_core=name in pieces.core_inittab,
        init_fn=init,
        links=links,
        objs=_objects(line, pieces),
        required=name in REQUIRED_EXTENSIONS,
        variant="default",
        shared_lib=shared_lib if shared_lib is not None else UNSET,
        licenses=sorted({i for licence in licences for i in licence.ids}) if licences else UNSET,
        license_paths=sorted({licence.path for licence in licences}) if licences else UNSET,
        license_public_domain=True if any(licence.public_domain for licence in licences) else UNSET,
    )


def _objects(line: SetupLine | None, pieces: Pieces) -> list[str]:
    """The object of each source. Up to 3.10 makesetup drops a source's folder, later ones keep it."""
    found = []
    for source in line.sources if line else ():
        path = PurePosixPath(fill_in(source, {**pieces.variables, "srcdir": "."}).removeprefix("./Modules/"))
        for candidate in (path.with_suffix(".o"), PurePosixPath(path.with_suffix(".o").name)):
            if f"build/Modules/{candidate}" in pieces.files:
                found.append(f"build/Modules/{candidate}")
                break
    return found


def _links(words: list[str], files: Collection[str]) -> list[Link]:
    links = {}
    for word in words:
        if word.startswith("-framework "):
            name = word.removeprefix("-framework ")
            links[name] = Link(name=name, framework=True)
            continue
        if word.startswith("-l"):
            name = word.removeprefix("-l:").removeprefix("-l").removeprefix("lib").removesuffix(".a")
            path = f"build/lib/lib{name}.a"
        else:
            name = PurePosixPath(word).name.removeprefix("lib").removesuffix(".a")
            path = next((p for p in (f"build/lib/lib{name}.a", f"build/{word}") if p in files), "")
            if not path:
                continue  # an archive of CPython's own objects (libHacl_*.a): they are listed one by one
        links[name] = _link(name, path, files)
    return [links[name] for name in sorted(links)]


def _link(name: str, static: str, files: Collection[str]) -> Link:
    """A library that the archive has, static or shared, by its path there; any other is the system's."""
    if static in files:
        return Link(name=name, path_static=static)
    for shared in (f"install/lib/lib{name}.so", f"install/lib/lib{name}.dylib"):
        if shared in files:
            return Link(name=name, path_dynamic=shared)
    return Link(name=name, system=True)


def _licences(module: str, links: list[Link], by_library: Mapping[str, tuple[Licence, ...]]) -> list[Licence]:
    """Those of the linked libraries of ours. Raises Failure for one that brings no licence."""
    found: list[Licence] = []
    for link in links:
        path = link.path_static if isinstance(link.path_static, str) else link.path_dynamic
        if not isinstance(path, str) or path.startswith("build/Modules/"):
            continue
        if path not in by_library:
            raise Failure(
                "package",
                f"the module {module} links {path}, whose licence is not known",
                todo="Give the pin of its source in sources.toml its licence and licence_files.",
            )
        found.extend(by_library[path])
    return found


def core_objects(files: Collection[str], found: Mapping[str, list[Extension]]) -> list[str]:
    """The objects of the core: all of Objects, Parser and Python, and those of Modules that no extension is made of.

    Not config.o: whoever links an interpreter anew brings its own list of built-in modules.
    """
    claimed = {path for ways in found.values() for way in ways for path in way.objs}
    return sorted(
        path
        for path in files
        if path.endswith(".o")
        and (
            path.startswith(_CORE_FOLDERS)
            or (path.startswith("build/Modules/") and path not in claimed and path != CONFIG_OBJECT)
        )
    )


def core_links(libs: str) -> list[Link]:
    """The libraries in the Makefile's LIBS. Raises Failure for one that is not part of libc."""
    names = [word.removeprefix("-l") for word in libs.split() if word.startswith("-l")]
    strange = sorted(set(names) - _CORE_LINKS)
    if strange:
        raise Failure(
            "package",
            f"the core links {', '.join(strange)}",
            wanted=f"nothing but {', '.join(sorted(_CORE_LINKS))}",
            todo="See LIBS in the Makefile: configure found a library of this machine.",
        )
    return [Link(name=name, system=True) for name in sorted(set(names))]
