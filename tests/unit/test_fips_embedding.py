"""Which program loads a libpython: this machine's Python, or for another processor another tree's interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workers.fips.embedding import host_and_library
from workers.fips.tampering import NotHere
from workers.fips.tree import Tree, tree_at

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="libpython is loaded apart from another one by glibc")


def make(root: Path, program: bytes) -> Tree:
    for name in ("bin/python3.13", "lib/libpython3.13.so.1.0"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(program)
    return tree_at(root)


def elf(e_machine: int) -> bytes:
    return b"\x7fELF" + bytes(14) + e_machine.to_bytes(2, "little")


def own() -> bytes:
    return Path("/proc/self/exe").read_bytes()[:20]


def test_this_machines_python_loads_what_is_for_its_processor(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", own())
    host, library = host_and_library(tree, tmp_path)
    assert host == Path("/proc/self/exe").resolve()
    assert library == tree.root / "lib/libpython3.13.so.1.0"


def test_what_is_for_another_processor_is_loaded_by_an_interpreter_of_another_tree(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", elf(8))
    host, library = host_and_library(tree, tmp_path)
    assert host.name == "python3.13"
    assert not host.is_relative_to(tree.root)
    assert library.is_relative_to(tree.root)


def test_without_a_shared_libpython_nothing_is_embedded(tmp_path: Path) -> None:
    tree = make(tmp_path / "tree", own())
    (tree.root / "lib/libpython3.13.so.1.0").unlink()
    with pytest.raises(NotHere, match="no libpython"):
        host_and_library(tree, tmp_path)
