"""What is found untrue of the packages of a moved tree, and that what is true passes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from workers.fips.prove import Step, _make_all
from workers.fips.tampering import NotHere
from workers.fips.tree import Tree
from workers.moved.packages import PACKAGES, recorded, try_package, wrong_tcl
from workers.progress import Progress

BY_ID = {package.id: package for package in PACKAGES}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree with a `pip3` that answers what the variable WHERE in it says, and one recorded package."""
    root = tmp_path / "a trée"
    (root / "bin").mkdir(parents=True)
    site = root / "lib" / "python3.13" / "site-packages"
    (site / "tool-1.0.dist-info").mkdir(parents=True)
    (site / "tool.py").write_text("pass\n")
    (site / "tool-1.0.dist-info" / "RECORD").write_text(
        f"tool.py,{recorded(site / 'tool.py')},5\ntool-1.0.dist-info/RECORD,,\n"
    )
    return Tree(root, root / "bin" / "python3.13")


def program(path: Path, says: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def test_a_record_that_tells_the_truth_passes(tree: Tree, tmp_path: Path) -> None:
    assert try_package(tree, BY_ID["records"], tmp_path).ok


def test_a_record_that_is_none_fails_its_check_and_nothing_else(tree: Tree, tmp_path: Path) -> None:
    (tree.root / "lib/python3.13/site-packages/tool-1.0.dist-info/RECORD").write_text("tool.py\n")
    steps = [Step("moved.records", lambda where: try_package(tree, BY_ID["records"], where))]
    ((check,), skipped) = _make_all(steps, tmp_path, Progress(io.StringIO()), 0, "moved")
    assert (check.id, check.ok, skipped) == ("moved.records", False, [])
    assert "ValueError" in check.found


def test_a_changed_and_a_missing_file_are_found(tree: Tree, tmp_path: Path) -> None:
    site = tree.root / "lib" / "python3.13" / "site-packages"
    (site / "tool.py").write_text("changed\n")
    check = try_package(tree, BY_ID["records"], tmp_path)
    assert (check.ok, check.found) == (False, "tool.py is not as recorded")
    (site / "tool.py").unlink()
    assert try_package(tree, BY_ID["records"], tmp_path).found == "tool.py is not there"


def test_a_pip_of_another_tree_is_found(tree: Tree, tmp_path: Path) -> None:
    own = f"pip 26.2.1 from {tree.root}/lib/python3.13/site-packages/pip (python 3.13)"
    program(tree.root / "bin" / "pip3", own)
    program(tree.root / "bin" / "python3.13", own)
    (tmp_path / "one").mkdir()
    assert try_package(tree, BY_ID["pip"], tmp_path / "one").ok

    program(tree.root / "bin" / "pip3", "pip 1 from /usr/lib/python3/dist-packages/pip (python 3.11)")
    (tmp_path / "two").mkdir()
    check = try_package(tree, BY_ID["pip"], tmp_path / "two")
    assert not check.ok
    assert "/usr/lib/python3" in check.found


def test_tcl_with_scripts_of_another_place_is_found(tree: Tree) -> None:
    scripts = tree.root / "lib" / "tcl8.6"
    scripts.mkdir()
    tk = tree.root / "lib" / "tk.tcl"
    tk.touch()
    answer = {"library": str(scripts), "tk": str(tk)}

    assert list(wrong_tcl(answer, tree.root)) == []
    assert list(wrong_tcl({**answer, "library": "/usr"}, tree.root)) == ["library is /usr"]
    tk.unlink()
    assert list(wrong_tcl(answer, tree.root)) == [f"tk is {tk}"]


@pytest.mark.parametrize("name", ["tcl", "pip"])
def test_an_archive_without_them_is_not_judged(tree: Tree, tmp_path: Path, name: str) -> None:
    with pytest.raises(NotHere):
        try_package(tree, BY_ID[name], tmp_path)
