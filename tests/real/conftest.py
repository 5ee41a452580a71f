"""The archive that the real tests unpack: the one that is named, or what test_mint_build.py leaves here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.real.roots import Root, make_root, needed_libraries, no_roots
from workers.fips.tree import Tree, find_tree
from workers.tarball import extract

# An archive of ours, of any flavour with an interpreter, to be tried by hand.
NAMED = os.environ.get("PYMINT_TEST_ARCHIVE", "")


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where test_mint_build.py, which comes first, has the archives of its build copied to."""
    return tmp_path_factory.mktemp("archives")


@pytest.fixture(scope="session")
def archive(archives: Path) -> Path:
    """What people install: the stripped flavour."""
    if NAMED:
        return Path(NAMED)
    found = sorted(archives.glob("*-install_only_stripped-*"))
    if not found:
        pytest.skip("PYMINT_TEST_ARCHIVE names no archive, and test_mint_build.py has left none")
    return found[0]


@pytest.fixture(scope="session")
def tree(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The archive's tree, unpacked where no build has ever been. Tests leave it as it is."""
    place = tmp_path_factory.mktemp("real") / "a fresh pläce"
    extract(archive, place, wanted=lambda member: not member.startswith(("python/build/", "python/licenses/")))
    return find_tree(place)


@pytest.fixture(scope="session")
def bare_root(tree: Tree, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A system with a C library and the tree. Tests take away what they put in."""
    reason = no_roots()
    if reason is not None:
        pytest.skip(reason)
    programs = [python] if tree.module is None else [python, tree.module]
    return make_root(tmp_path_factory.mktemp("root"), tree, needed_libraries(programs))


@pytest.fixture(scope="session")
def python(tree: Tree) -> Path:
    """Its interpreter."""
    assert tree.python is not None
    return tree.python
