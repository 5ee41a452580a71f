"""The matrix: the counts that were promised, and how wrong names are answered."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from workers.errors import Failure
from workers.model import FLAVOURS, Matrix, flavour_named, load_matrix


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return load_matrix()


def test_the_sets_have_the_seeds_counts(matrix: Matrix) -> None:
    for name, linux, macos in (("release", 14, 7), ("full", 24, 12)):
        counts = Counter(cell.target.os for cell in matrix.cells_of(name))
        assert counts == {"linux": linux, "macos": macos}


def test_every_builder_name_is_unique_and_an_identifier_but_for_dots(matrix: Matrix) -> None:
    cells = list(matrix.all_cells())
    assert len(matrix.by_builder_name) == len(cells)
    for name in matrix.by_builder_name:
        assert name.replace(".", "").replace("-", "").replace("_", "").isalnum()
        assert len(name) <= 70


@pytest.mark.parametrize(
    ("version", "target", "variant", "known"),
    [
        ("3.9", "x86_64-unknown-linux-gnu", "noopt", "3.10, 3.11, 3.12, 3.13, 3.14"),
        ("3.13", "x86_64-windows", "noopt", "aarch64-apple-darwin"),
        ("3.13", "x86_64-unknown-linux-gnu", "fast", "pgo+lto, freethreaded+pgo+lto, noopt, debug"),
        ("3.12", "x86_64-unknown-linux-gnu", "freethreaded+pgo+lto", "pgo+lto, noopt, debug"),
    ],
)
def test_a_wrong_name_is_answered_with_those_that_exist(
    matrix: Matrix, version: str, target: str, variant: str, known: str
) -> None:
    with pytest.raises(Failure) as failure:
        matrix.cell(version, target, variant)
    assert known in str(failure.value)


def test_an_unknown_set_is_answered_with_those_that_exist(matrix: Matrix) -> None:
    with pytest.raises(Failure, match="there is no set 'all'") as failure:
        matrix.cells_of("all")
    assert "release, full" in str(failure.value)


def test_the_archive_has_the_seeds_name(matrix: Matrix) -> None:
    cell = matrix.cell("3.13", "x86_64-unknown-linux-gnu", "pgo+lto")
    assert cell.archive_name("3.13.15", "20261123T2015") == (
        "cpython-3.13.15-x86_64-unknown-linux-gnu-pgo+lto-20261123T2015.tar.zst"
    )


def test_a_name_says_its_flavour_and_is_read_back(matrix: Matrix) -> None:
    cell = matrix.cell("3.13", "x86_64-unknown-linux-gnu", "freethreaded+pgo+lto")
    names = {flavour: cell.archive_name("3.13.15", "20261123T2015", flavour) for flavour in FLAVOURS}
    stem = "cpython-3.13.15-x86_64-unknown-linux-gnu-freethreaded+pgo+lto"
    assert names["install_only"] == f"{stem}-install_only-20261123T2015.tar.gz"
    assert names["install_only_stripped"] == f"{stem}-install_only_stripped-20261123T2015.tar.gz"
    assert names["debug_symbols"] == f"{stem}-debug_symbols-20261123T2015.tar.zst"
    assert {flavour: flavour_named(name) for flavour, name in names.items()} == {
        flavour: None if flavour == "full" else flavour for flavour in FLAVOURS
    }
    released = "cpython-3.13.15+20261123-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
    assert flavour_named(released) == "install_only_stripped"
    assert flavour_named("cpython-3.13.15+20261123-x86_64-unknown-linux-gnu-debug-full.tar.zst") is None


def test_a_table_with_a_wrong_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "matrix.toml"
    path.write_text('[targets.t]\nos = "plan9"\narch = "x"\n')
    with pytest.raises(Failure, match=r"\[targets\] can't be read"):
        load_matrix(path)


@pytest.mark.parametrize("wrong", ["[sets.s]\nvariant = []\n", "[sets.s]\nvariants = 3\n", 'sets = "all"\n'])
def test_a_wrong_set_is_named_too(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "matrix.toml"
    path.write_text(wrong)
    with pytest.raises(Failure, match=r"\[sets\] can't be read"):
        load_matrix(path)
