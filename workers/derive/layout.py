"""What of a full archive goes where in the smaller ones. Pure: paths in, paths out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workers.package.python_json import PythonJson

INSTALL = "python/install/"
LICENSES = "python/licenses/"
TOP = "python/"
# Where texts go in a tree that is installed as it is: `share` is what distributions have for them.
SHARED_LICENSES = "share/licenses/"
# What may be said of the FIPS module, beside it: the smaller flavours have no other place for it.
FIPS_DOCUMENT = "share/ssl/FIPS.json"
# Where gdb, elfutils and LLVM look for debug information by its build id, below a tree or the system's /usr.
DEBUG = "lib/debug/.build-id/"
# Where a full archive for macOS has it, below the names of its binaries: made while the objects were there.
DSYM = "python/build/dSYM/"
_DSYM_FILE = re.compile(r"(?:^|/)([^/]+)\.dSYM/Contents/Resources/DWARF/([^/]+)$")
OPAQUE = "share/ssl/ossl-modules/"

# Extension modules that only CPython's own tests import.
TEST_MODULES = (
    "_ctypes_test",
    "_testbuffer",
    "_testcapi",
    "_testexternalinspection",
    "_testimportmultiple",
    "_testinternalcapi",
    "_testlimitedcapi",
    "_testmultiphase",
    "_testsinglephase",
)
# Files that installers rewrite after unpacking: bytecode that is not checked against them would undo that unseen.
_REWRITTEN = re.compile(r"/_sysconfigdata_[^/]*\.py$")
# The library itself and the link to it.
STATIC_LIBPYTHON = re.compile(r"/libpython.*\.a$")
_STDLIB = re.compile(r"^lib/python3\.\d+t?/")


@dataclass(frozen=True)
class Left:
    """What the smaller flavours leave out, relative to the tree. files: whole paths. folders: end with '/'."""

    files: frozenset[str]
    folders: tuple[str, ...]


def left_out(document: PythonJson) -> Left:
    """The test packages and the libraries of test modules that a full archive's PYTHON.json names."""
    stdlib = document.python_paths["stdlib"].removeprefix("install/")
    folders = tuple(f"{stdlib}/{name.replace('.', '/')}/" for name in document.python_stdlib_test_packages)
    libraries = [
        way.shared_lib.removeprefix("install/")
        for name in TEST_MODULES
        for way in document.build_info.extensions.get(name, [])
        if isinstance(way.shared_lib, str)
    ]
    return Left(frozenset(libraries), folders)


def place(member: str, left: Left) -> str | None:
    """Where a full archive's member goes, relative to the tree; None when the smaller flavours do not have it."""
    if member.startswith(LICENSES):
        return SHARED_LICENSES + member.removeprefix(LICENSES)
    if not member.startswith(INSTALL):
        return None
    path = member.removeprefix(INSTALL)
    if path in left.files or path.startswith(left.folders) or STATIC_LIBPYTHON.search(path):
        return None
    return path


def is_compiled(path: str) -> bool:
    """Whether a file of the tree gets bytecode: modules that can be imported and that nobody rewrites.

    Not those of `config-3.13-…`, which no import reaches.
    """
    if not path.endswith(".py") or not (found := _STDLIB.match(path)):
        return False
    return not path[found.end() :].startswith("config-") and not _REWRITTEN.search(path)


def bytecode_path(path: str, cache_tag: str) -> str:
    """`lib/python3.13/__pycache__/os.cpython-313.pyc` of `lib/python3.13/os.py`."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{cache_tag}.pyc"


def dsym_binary(path: str) -> str | None:
    """`bin/python3.13` of `bin/python3.13.dSYM/Contents/…`: the binary that a file of a dSYM belongs to, else None."""
    binary, inner, _ = path.partition(".dSYM/")
    return binary if inner else None


def is_dsym_file(path: str) -> bool:
    """Whether a file is the one of a dSYM that holds the debug information, under its binary's name."""
    found = _DSYM_FILE.search(path)
    return found is not None and found[1] == found[2]


def dsym_path(binary: str) -> str:
    """Where a debugger looks for it: beside the binary."""
    name = binary.rpartition("/")[2]
    return f"{binary}.dSYM/Contents/Resources/DWARF/{name}"


def debug_path(build_id: str) -> str:
    """`lib/debug/.build-id/ab/cdef.debug` of `abcdef`."""
    return f"{DEBUG}{build_id[:2]}/{build_id[2:]}.debug"
