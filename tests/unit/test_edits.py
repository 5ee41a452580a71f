"""The engine that applies checked edits, and that every edit in the repository reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workers.edits import EDITS, apply_edits, edit_digest_inputs, edits_for
from workers.errors import Failure

EDIT = """
reason = "a reason"
[[replace]]
file = "Modules/a.c"
find = '''
int one;
int two;
'''
replace = '''
int one;
int half;
int two;
'''
[[add]]
file = "Modules/new.h"
origin = "new.h"
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "Modules").mkdir(parents=True)
    (root / "Include").mkdir()
    (root / "Include/patchlevel.h").write_text('#define PY_VERSION              "3.13.15"\n')
    (root / "Modules/a.c").write_text("/* a */\nint one;\nint two;\n")
    return root


@pytest.fixture
def edits(tmp_path: Path) -> Path:
    directory = tmp_path / "edits"
    directory.mkdir()
    (directory / "halves.toml").write_text(EDIT)
    (directory / "new.h").write_text("new\n")
    return directory


def test_an_edit_changes_its_place_and_adds_its_file(source: Path, edits: Path) -> None:
    (applied,) = apply_edits(source, "3.13", directory=edits)
    assert applied.name == "halves"
    assert applied.files == ("Modules/a.c", "Modules/new.h")
    assert (source / "Modules/a.c").read_text() == "/* a */\nint one;\nint half;\nint two;\n"
    assert (source / "Modules/new.h").read_text() == "new\n"


def test_an_edit_that_finds_no_context_names_itself_file_and_nearest_lines(source: Path, edits: Path) -> None:
    (source / "Modules/a.c").write_text("int one;\nlong two;\n")
    with pytest.raises(Failure) as caught:
        apply_edits(source, "3.13", directory=edits)
    text = str(caught.value)
    assert "'halves'" in text
    assert "Modules/a.c of CPython 3.13.15" in text
    assert "int two;" in (caught.value.wanted or "")
    assert "line 1: int one;" in (caught.value.found or "")


def test_a_context_that_occurs_twice_is_refused(source: Path, edits: Path) -> None:
    (source / "Modules/a.c").write_text("int one;\nint two;\nint one;\nint two;\n")
    with pytest.raises(Failure, match="halves") as caught:
        apply_edits(source, "3.13", directory=edits)
    assert caught.value.found == "2 times, where exactly one was wanted"


def test_a_missing_file_is_a_misfit(source: Path, edits: Path) -> None:
    (source / "Modules/a.c").unlink()
    with pytest.raises(Failure, match=r"does not fit Modules/a\.c"):
        apply_edits(source, "3.13", directory=edits)


def test_nothing_is_written_when_one_of_several_edits_does_not_fit(source: Path, edits: Path) -> None:
    (edits / "zz.toml").write_text(EDIT.replace("Modules/a.c", "Modules/b.c").replace("new.h", "other.h"))
    (edits / "other.h").write_text("other\n")
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    with pytest.raises(Failure, match="'zz'"):
        apply_edits(source, "3.13", directory=edits)
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_an_edit_is_not_applied_twice(source: Path, edits: Path) -> None:
    apply_edits(source, "3.13", directory=edits)
    with pytest.raises(Failure, match="halves"):
        apply_edits(source, "3.13", directory=edits)


def test_later_edits_see_what_earlier_ones_left(source: Path, edits: Path) -> None:
    (edits / "later.toml").write_text(
        'reason = "r"\n[[replace]]\nfile = "Modules/a.c"\nfind = "int half;"\nreplace = "int third;"\n'
    )
    assert [applied.name for applied in apply_edits(source, "3.13", directory=edits)] == ["halves", "later"]
    assert "int third;" in (source / "Modules/a.c").read_text()


@pytest.mark.parametrize(
    ("limits", "minor", "applies"),
    [
        ('since = "3.11"', "3.10", False),
        ('since = "3.11"', "3.11", True),
        ('until = "3.9"', "3.10", False),
        ('since = "3.9"\nuntil = "3.12"', "3.12", True),
        ('until = "3.12"', "3.13", False),
    ],
)
def test_an_edit_keeps_to_its_versions(edits: Path, limits: str, minor: str, applies: bool) -> None:
    (edits / "halves.toml").write_text(limits + EDIT)
    assert bool(edits_for(minor, directory=edits)) is applies


@pytest.mark.parametrize("freethreaded", [True, False])
def test_an_edit_can_be_for_free_threaded_builds_only(edits: Path, freethreaded: bool) -> None:
    (edits / "halves.toml").write_text("freethreaded = true" + EDIT)
    assert bool(edits_for("3.13", freethreaded=freethreaded, directory=edits)) is freethreaded


def test_the_digest_follows_the_edit_and_what_it_adds(edits: Path) -> None:
    first = edit_digest_inputs("3.13", directory=edits)
    (edits / "new.h").write_text("newer\n")
    second = edit_digest_inputs("3.13", directory=edits)
    (edits / "halves.toml").write_text(EDIT.replace("half", "quarter"))
    third = edit_digest_inputs("3.13", directory=edits)
    assert len({first["halves"], second["halves"], third["halves"]}) == 3


def test_times_and_modes_depend_on_the_source_alone(source: Path, edits: Path) -> None:
    (source / "Modules/a.c").chmod(0o755)
    os.utime(source / "Modules/a.c", (1000, 1000))
    os.utime(source / "Include/patchlevel.h", (2000, 2000))
    apply_edits(source, "3.13", directory=edits)
    assert (source / "Modules/a.c").stat().st_mtime == 1000
    assert (source / "Modules/a.c").stat().st_mode & 0o777 == 0o755
    assert (source / "Modules/new.h").stat().st_mtime == 2000


@pytest.mark.parametrize("name", ["../a.c", "/etc/a.c", "Modules/../../a.c"])
def test_an_edit_stays_inside_the_source(source: Path, edits: Path, name: str) -> None:
    (edits / "halves.toml").write_text(EDIT.replace("Modules/a.c", name))
    with pytest.raises(Failure, match="outside of the source"):
        apply_edits(source, "3.13", directory=edits)


@pytest.mark.parametrize("text", ["reason = ", "since = 3.10\nreason = 'x'", "[[replace]]\nfile = 'a'"])
def test_an_edit_that_can_not_be_read_is_named(edits: Path, text: str) -> None:
    (edits / "broken.toml").write_text(text)
    with pytest.raises(Failure, match="'broken'"):
        edits_for("3.13", directory=edits)


@pytest.mark.parametrize("minor", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_every_edit_of_the_repository_reads(minor: str) -> None:
    assert "fips-switch" in {edit.name for edit in edits_for(minor, directory=EDITS)}


def rule_of_3_10(target: str, source: str) -> str:
    """How CPython 3.10.10's Makefile links a program; 3.9.2 and 3.11's first alpha have the same command."""
    command = f"$(LINKCC) $(PY_CORE_LDFLAGS) $(LINKFORSHARED) -o $@ Programs/{source}.o"
    return f"{target}Programs/{source}.o $(LIBRARY_DEPS)\n\t{command} $(BLDLIBRARY) $(LIBS) $(MODLIBS) $(SYSLIBS)\n"


def test_the_interpreter_of_3_10_is_linked_as_those_of_later_versions(source: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    for name in ("interpreter-link", "interpreter-static"):
        (chosen / f"{name}.toml").write_text((EDITS / f"{name}.toml").read_text())
    rules = [rule_of_3_10("$(BUILDPYTHON):\t", "python"), rule_of_3_10("Programs/_testembed: ", "_testembed")]
    (source / "Makefile.pre.in").write_text("\n".join(["LIBRARY_DEPS=\t@LIBRARY_DEPS@\n", *rules]))
    apply_edits(source, "3.10", directory=chosen)
    lines = (source / "Makefile.pre.in").read_text().splitlines()
    assert lines[1:3] == ["LINK_PYTHON_DEPS=$(LIBRARY_OBJS)", "LINK_PYTHON_OBJS=$(LIBRARY_OBJS)"]
    assert lines[4] == "$(BUILDPYTHON):\tPrograms/python.o $(LINK_PYTHON_DEPS)"
    assert lines[5].endswith("-o $@ Programs/python.o $(LINK_PYTHON_OBJS) $(LIBS) $(MODLIBS) $(SYSLIBS)")
    assert lines[7] == "Programs/_testembed: Programs/_testembed.o $(LIBRARY_DEPS)"
    assert lines[8].endswith("-o $@ Programs/_testembed.o $(BLDLIBRARY) $(LIBS) $(SYSLIBS)")
