"""What glibc 2.17's names of functions stand for on this machine: the very code that its newest names stand for."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import lief
import pytest

from tests.real.roots import needed_libraries
from workers.fips.tree import Tree

pytestmark = [pytest.mark.real, pytest.mark.ci, pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")]

# glibc keeps the old code beside the new of these. What a program can tell by:
KEPT = {
    "exp": "the old name calls the new code and sets errno itself",
    "exp2": "as exp",
    "log": "as exp",
    "log2": "as exp",
    "pow": "as exp",
    "fmod": "as exp, since 2.38",
    "hypot": "as exp, since 2.35",
    "pthread_kill": "of a thread that has ended 2.34's says that all is well, the old one ESRCH",
    "pthread_atfork": "new programs carry their own, which calls what the old name does",
}
HIDDEN = 0x8000  # of a version's number: not the one that a program gets which is linked today


def versioned(file: Path, imported: bool) -> Iterator[tuple[str, str, bool, int]]:
    """(name, version, whether that is the default, address) of the symbols that a file wants, or offers."""
    elf = lief.ELF.parse(str(file))
    assert elf is not None, file
    for symbol in elf.dynamic_symbols:
        version = symbol.symbol_version
        if version is None or not version.has_auxiliary_version or symbol.imported != imported:
            continue
        assert version.symbol_version_auxiliary is not None
        name = str(version.symbol_version_auxiliary.name)
        yield str(symbol.name), name, not version.value & HIDDEN, int(symbol.value)


def test_what_is_called_by_an_old_name_is_todays_code(tree: Tree, python: Path) -> None:
    if tuple(int(part) for part in platform.libc_ver()[1].split(".")) < (2, 34):
        pytest.skip("this machine's glibc is older than 2.34, which gave most functions another name")
    programs = [path for path in tree.root.rglob("*") if is_elf(path)]
    libraries = set(needed_libraries([python]).values())
    offered: dict[tuple[str, str], tuple[Path, int]] = {}
    default: dict[str, set[tuple[Path, int]]] = {}
    for library in libraries:
        for name, version, is_default, address in versioned(library, imported=False):
            offered[name, version] = (library, address)
            if is_default:
                default.setdefault(name, set()).add((library, address))
    wanted = {
        (name, version)
        for program in programs
        for name, version, _, _ in versioned(program, imported=True)
        if (name, version) in offered
    }
    moved = {name for name, version in wanted if (name, version.replace("2.2.5", "2.34")) in offered}
    assert len(wanted) > 500
    assert {"pthread_create", "dlopen", "sem_wait"} <= moved
    other = {name for name, version in wanted if offered[name, version] not in default.get(name, set())}
    assert other - set(KEPT) == set()


def is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
