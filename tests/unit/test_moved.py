"""What is found untrue of an interpreter that has been moved, and that what is true passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from workers.moved.judging import Facts, read_facts, wrong_compiler, wrong_place, wrong_sysconfig

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
