"""What an interpreter may say of its place, and of the compiler that extension modules are built with. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

# The prefix that CPython is configured with, and the places of a build: neither exists on a user's machine.
NOWHERE = re.compile(r"(?<![\w.])/install(?![\w-])|/mnt/pymint|/(?:build|tools)/(?:deps|Python-|source)")

# sysconfig's variables that are directories of the installation; a release may lack one.
DIRECTORIES = (
    "BINDIR", "LIBDIR", "LIBPL", "LIBPC", "LIBDEST", "BINLIBDEST", "SCRIPTDIR", "DESTSHARED", "MACHDESTLIB",
    "INCLUDEDIR", "CONFINCLUDEDIR", "INCLUDEPY", "CONFINCLUDEPY", "srcdir",
)  # fmt: skip

# What setuptools, meson-python and others take from sysconfig to compile and link extension modules.
BUILDING = (
    "CC", "CXX", "AR", "ARFLAGS", "RANLIB", "CFLAGS", "CPPFLAGS", "BASECFLAGS", "OPT", "CCSHARED", "LDSHARED",
    "LDCXXSHARED", "BLDSHARED", "LDFLAGS", "LINKCC", "PY_CFLAGS", "PY_CPPFLAGS", "PY_LDFLAGS", "SHLIBS", "LIBS",
)  # fmt: skip

# The compiler of the build, and options that only it or its linker knows.
FOREIGN = re.compile(
    r"(?<![\w.-])(?:clang|llvm-)|/toolchain/|-fprofile-instr|-fdebug-default-version|-flto=thin|-fuse-ld=|-rtlib="
    r"|-unwindlib|-stdlib=|--target=|-Wno-nullability|-Wno-expansion-to-defined|-Wno-undef-prefix|-mllvm|-Xclang|-isysroot"
    r"|-gline-tables-only|-fcolor-diagnostics|-Weverything|-fprofile-sample|-fsplit-lto-unit"
    r"|--(?:icf|thinlto-|lto-|pack-dyn-relocs|no-call-graph-profile-sort|color-diagnostics|threads=)"
    r"|-Bsymbolic-non-weak|--ld-path="
)
# What a link-time optimised extension module would have to be built with throughout.
_OPTIMISED = re.compile(r"-flto\b")


@dataclass(frozen=True)
class Facts:
    """The answers of facts.py."""

    executable: str
    prefix: str
    base_prefix: str
    base_exec_prefix: str
    library: str
    paths: dict[str, str]
    variables: dict[str, str]
    makefile: str
    header: str


def read_facts(text: str) -> Facts | None:
    """None for what is no answer."""
    try:
        return msgspec.json.decode(text, type=Facts)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


def wrong_place(facts: Facts, root: Path, *, program: Path | None) -> Iterator[str]:
    """What is not true of an interpreter of the tree `root`. program: what sys.executable leads to; None: unknown."""
    for name, found in (("sys.base_prefix", facts.base_prefix), ("sys.base_exec_prefix", facts.base_exec_prefix)):
        if not _same(found, root):
            yield f"{name} is {found}"
    if not _below(facts.library, root):
        yield f"the library is {facts.library}"
    if program is not None and not _same(facts.executable, program):
        yield f"sys.executable is {facts.executable}"


def wrong_sysconfig(facts: Facts, root: Path) -> Iterator[str]:
    """What sysconfig says that is not true in the tree `root`."""
    yield from nowhere({**facts.variables, **{f"path {name}": path for name, path in facts.paths.items()}})
    for name in DIRECTORIES:
        value = facts.variables.get(name)
        if value is not None and not (_below(value, root) and Path(value).is_dir()):
            yield f"{name} is {value}"
    for name, path in (("the Makefile", facts.makefile), ("pyconfig.h", facts.header)):
        if not (_below(path, root) and Path(path).is_file()):
            yield f"{name} is {path}"
    # In a venv the others are the venv's own.
    for name in ("stdlib", "platstdlib", "include", "platinclude") if _same(facts.prefix, root) else ("stdlib",):
        if not _below(facts.paths[name], root):
            yield f"path {name} is {facts.paths[name]}"


def wrong_compiler(variables: Mapping[str, str]) -> Iterator[str]:
    """Values for building extension modules that only the build's own compiler understands."""
    for name, found in foreign_options(variables):
        yield f"{name} has {found}: {variables[name]}"
    yield from wrong_tools(variables)


def foreign_options(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The variables for building extension modules that hold what only the build's own compiler or linker knows."""
    for name in BUILDING:
        value = variables.get(name, "")
        # With BLDSHARED nobody but CPython itself links, so that may have what the build optimised with.
        match = FOREIGN.search(value) or (_OPTIMISED.search(value) if name != "BLDSHARED" else None)
        if match:
            yield name, match[0]


def wrong_tools(variables: Mapping[str, str]) -> Iterator[str]:
    """Programs for building extension modules that are not the user's own. A Makefile's LDSHARED begins with $(CC)."""
    for name, wanted in (("CC", "cc"), ("CXX", "c++"), ("AR", "ar"), ("LDSHARED", "cc")):
        first = (variables.get(name, "").split() or [""])[0]
        if first != wanted and (name, first) != ("LDSHARED", "$(CC)"):
            yield f"{name} is {first or 'missing'}, not {wanted}"


def nowhere(texts: Mapping[str, str]) -> Iterator[str]:
    """The texts in which a path stands that is on no machine."""
    for name, text in sorted(texts.items()):
        match = NOWHERE.search(text)
        if match:
            yield f"{name} has {text[match.start() : match.start() + 60]}"


def _same(path: str, other: Path) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def _below(path: str, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
