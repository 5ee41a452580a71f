"""What is found untrue of an interpreter that has been moved, and that what is true passes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from workers.fips.tampering import NotHere
from workers.fips.tree import Tree, tree_at
from workers.moved.building import BUILDINGS, try_building
from workers.moved.judging import Facts, read_facts, wrong_compiler, wrong_place, wrong_sysconfig
from workers.reports.checks import Check

COMPILER = {"CC": "cc -pthread", "CXX": "c++ -pthread", "AR": "ar", "LDSHARED": "cc -shared", "CFLAGS": "-O3 -fwrapv"}


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    root = tmp_path / "a pl\u00e4ce"
    library = root / "lib" / "python3.13"
    library.mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin" / "python3.13").touch()
    (library / "Makefile").touch()
    (library / "pyconfig.h").touch()
    paths = dict.fromkeys(("stdlib", "platstdlib", "include", "platinclude"), str(library))
    return Facts(
        executable=str(root / "bin" / "python3.13"),
        prefix=str(root),
        base_prefix=str(root),
        base_exec_prefix=str(root),
        library=str(library),
        paths=paths,
        variables={"LIBDIR": str(root / "lib"), **COMPILER},
        makefile=str(library / "Makefile"),
        header=str(library / "pyconfig.h"),
    )


def wrong(facts: Facts, root: Path) -> list[str]:
    program = root / "bin" / "python3.13"
    return [*wrong_place(facts, root, program=program), *wrong_sysconfig(facts, root), *wrong_compiler(facts.variables)]


def test_a_tree_that_says_the_truth_has_nothing_wrong(facts: Facts) -> None:
    assert wrong(facts, Path(facts.prefix)) == []


def test_another_name_of_the_same_tree_is_no_fault(facts: Facts, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(facts.prefix)
    assert wrong(replace(facts, base_prefix=str(link)), Path(facts.prefix)) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_prefix", "/install"),
        ("base_exec_prefix", "/usr"),
        ("library", "/usr/lib/python3.13"),
        ("executable", "/dev/null"),
        ("makefile", "/install/lib/python3.13/Makefile"),
        ("header", "/nothing/pyconfig.h"),
    ],
)
def test_what_leads_out_of_the_tree_is_found(facts: Facts, field: str, value: str) -> None:
    assert len(wrong(replace(facts, **{field: value}), Path(facts.prefix))) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIBDIR", "/usr/lib"),
        ("CONFIG_ARGS", "'--prefix=/install'"),
        ("VPATH", "/mnt/pymint/build/source"),
        ("CC", "clang -pthread"),
        ("AR", "/mnt/pymint/toolchain/bin/llvm-ar"),
        ("CFLAGS", "-O3 -fdebug-default-version=4"),
        ("LDSHARED", "clang -shared"),
        ("LDFLAGS", "-fuse-ld=lld"),
        ("LDSHARED", "cc -shared -Wl,--icf=all"),
        ("CFLAGS", "-O3 -flto=full"),
    ],
)
def test_a_variable_that_is_not_true_is_found(facts: Facts, name: str, value: str) -> None:
    assert wrong(replace(facts, variables={**facts.variables, name: value}), Path(facts.prefix))


def test_a_path_of_a_scheme_that_leads_out_is_found(facts: Facts) -> None:
    found = wrong(replace(facts, paths={**facts.paths, "include": "/usr/include/python3.13"}), Path(facts.prefix))
    assert found == ["path include is /usr/include/python3.13"]


@pytest.mark.parametrize("text", ["", "{}", "not JSON"])
def test_what_is_no_answer_is_none(text: str) -> None:
    assert read_facts(text) is None


def tree_with(tmp_path: Path, **scripts: str) -> Tree:
    """A tree whose programs are shell scripts; `python` stands for python3.13."""
    for name, text in scripts.items():
        program = tmp_path / "python" / "bin" / name.replace("python", "python3.13").replace("_", "-")
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    return tree_at(tmp_path / "python")


def tried(tree: Tree, name: str, scratch: Path) -> Check:
    scratch.mkdir()
    return try_building(tree, next(building for building in BUILDINGS if building.id == name), scratch)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc")
@pytest.mark.parametrize(("answer", "ok"), [("echo 42", True), ("echo 41", False), ("echo 42; exit 1", False)])
def test_an_extension_module_has_to_answer(tmp_path: Path, answer: str, ok: bool) -> None:
    assert tried(tree_with(tmp_path, python=answer), "extension-c", tmp_path / "scratch").ok == ok


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc")
@pytest.mark.parametrize(
    ("flags", "found"),
    [("exit 3", "python3.13-config: exit code 3"), ("echo -fno-such-option", "cc: exit code 1")],
)
def test_an_embedding_program_has_to_compile(tmp_path: Path, flags: str, found: str) -> None:
    tree = tree_with(tmp_path, python="exit 0", python_config=flags)
    check = tried(tree, "embedded-by-config", tmp_path / "scratch 1")
    assert not check.ok
    assert check.found.startswith(found)
    assert not list(tmp_path.glob("*-embedding"))


def test_without_a_compiler_nothing_is_said_of_what_can_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.moved.building.shutil.which", lambda name, path: None)
    with pytest.raises(NotHere, match="needs cc"):
        tried(tree_with(tmp_path, python="echo 42"), "extension-c", tmp_path / "scratch")
