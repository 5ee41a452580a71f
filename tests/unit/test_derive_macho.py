"""What becomes of Mach-O binaries and their debug information in the smaller archives: real files, LLVM's own tools."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.unit.macho_samples import MachoMaker, find_maker
from tests.unit.sbom_samples import materials
from workers.derive.derive import Tools, derive
from workers.derive.layout import dsym_binary, dsym_path, is_dsym_file
from workers.derive.proofs import symbols_are_found
from workers.derive.symbols import binaries, dsym_entries, strip_all
from workers.errors import Failure
from workers.fips.config import module_mac
from workers.model import Flavour
from workers.package.beside import FipsDocument
from workers.package.tree import INSTALL
from workers.progress import Progress
from workers.reports.build import ProviderFacts
from workers.sbom.bill import bill
from workers.sbom.documents import documents
from workers.tarball import Entry, entries_below, write_tar
from workers.validate.contents import Needles, read_contents
from workers.validate.macho import read_dsym, read_macho

PYTHON = "bin/python3.13"
SOURCE = "int Py_RunMain(void) { return 42; } int main(void) { return Py_RunMain(); }"
Built = Callable[[str], Path]


def tool(name: str) -> Path:
    found = shutil.which(f"{name}-22") or shutil.which(name) or shutil.which(f"/usr/lib/llvm-22/bin/{name}")
    if found is None:
        pytest.skip(f"no {name} (Debian's llvm-22): debug information of Mach-O files can't be handled here")
    return Path(found)


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> MachoMaker:
    return find_maker(tmp_path_factory.mktemp("debug"))


@pytest.fixture
def built(maker: MachoMaker, tmp_path: Path) -> Built:
    """A linked program below `tree`, with its dSYM below `dSYM`, as the CPython recipe leaves both."""

    def make(name: str) -> Path:
        program = tmp_path / "tree" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_bytes(maker.link(SOURCE.replace("42", str(len(name))), "-execute", debug=True))
        dsym = tmp_path / "dSYM" / f"{name}.dSYM"
        # Relative, as dsymutil finds the objects where the linker did.
        subprocess.run([tool("dsymutil"), program, "-o", dsym], cwd=maker.directory, check=True, capture_output=True)
        shutil.rmtree(dsym / "Contents/Resources/Relocations", ignore_errors=True)
        return program

    return make


def test_a_dsym_goes_beside_its_binary_and_one_of_a_left_out_module_nowhere(built: Built, tmp_path: Path) -> None:
    program = built(PYTHON)
    built("lib/_testcapi.so")
    entries = dsym_entries(tmp_path / "dSYM", {PYTHON: program})
    assert sorted(entry.path for entry in entries) == [
        f"python/{PYTHON}.dSYM/Contents/Info.plist",
        f"python/{dsym_path(PYTHON)}",
    ]


def test_a_dsym_of_another_binary_is_refused(built: Built, tmp_path: Path) -> None:
    built(PYTHON)
    other = built("bin/a-longer-name")
    with pytest.raises(Failure, match=f"dSYM of {PYTHON} is not its own"):
        dsym_entries(tmp_path / "dSYM", {PYTHON: other})


def test_an_archive_without_dsyms_has_none(tmp_path: Path) -> None:
    assert dsym_entries(tmp_path / "dSYM", {}) == []


def test_a_stripped_binary_is_signed_anew_keeps_its_uuid_and_names_no_object(built: Built, tmp_path: Path) -> None:
    program = built(PYTHON)
    files = binaries({PYTHON: program, "share/ssl/ossl-modules/fips.dylib": program})
    assert list(files) == [PYTHON]  # the FIPS module's MAC covers every byte of it
    (stripped,) = strip_all(tool("llvm-objcopy"), files, tmp_path / "stripped", 1)
    before, after = (read_macho(PYTHON, path.read_bytes()) for path in (program, stripped.stripped))
    assert before is not None
    assert after is not None
    assert (before.debug, after.debug) == (True, False)
    assert before.uuid == after.uuid != ""
    assert after.signature is not None
    assert (after.signature.adhoc, after.signature.broken) == (True, None)


def archive(path: Path, entries: list[Entry]) -> Path:
    write_tar(path, entries, epoch=0)
    return path


def test_a_debugger_finds_lines_with_the_dsym_and_none_without(built: Built, tmp_path: Path) -> None:
    program = built(PYTHON)
    (stripped,) = strip_all(tool("llvm-objcopy"), {PYTHON: program}, tmp_path / "stripped", 1)
    small = archive(tmp_path / "small.tar", [Entry(f"python/{PYTHON}", source=stripped.stripped, executable=True)])
    entries = dsym_entries(tmp_path / "dSYM", {PYTHON: program})
    symbols = archive(tmp_path / "symbols.tar", entries)
    checks = symbols_are_found(tool("llvm-symbolizer"), small, symbols, tmp_path / "one")
    # The samples' source is x.c, not CPython's main.c.
    assert [(check.id, "x.c:1" in check.found) for check in checks] == [
        ("debug_symbols.found.python3.13", True),
        ("debug_symbols.apart.python3.13", False),
    ]


def test_the_smaller_archives_for_macos(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of `derive` but what needs an interpreter: the compiling of the library."""
    program = built(PYTHON)
    built("lib/left-out.so")
    module = program.read_bytes()  # stands for fips.dylib: any bytes with their MAC
    digest = hashlib.sha256(module).hexdigest()
    config = f"[fips_sect]\nactivate = 1\nmodule-mac = {module_mac(module)}\n"
    facts = ProviderFacts("3.5.7", "toolchain", None, "11.0")
    said = FipsDocument("pymint/fips/1", facts, digest, "install/a", "install/b", "install/c", "")
    document = SimpleNamespace(
        python_exe=f"install/{PYTHON}",
        python_implementation_cache_tag="cpython-313",
        python_paths={"stdlib": "install/lib/python3.13"},
        python_stdlib_test_packages=[],
        build_info=SimpleNamespace(extensions={}),
    )
    monkeypatch.setattr("workers.derive.derive.read_head", lambda path: SimpleNamespace(document=document, fips=said))
    monkeypatch.setattr("workers.derive.derive.compile_tree", lambda *_: "nothing to compile")
    full = archive(
        tmp_path / "full.tar",
        [
            *(replace(entry, path=f"python/build/dSYM/{entry.path}") for entry in entries_below(tmp_path / "dSYM", "")),
            Entry("python/build/lib/libz.a", data=b"!<arch>\n"),
            Entry(f"python/install/{PYTHON}", source=program, executable=True),
            Entry("python/install/share/ssl/ossl-modules/fips.dylib", data=module),
            Entry("python/install/share/ssl/fipsmodule.cnf", data=config.encode()),
            *documents(bill(materials())).entries("cpython-3.13", INSTALL),
        ],
    )
    names: dict[Flavour, Path] = {
        "install_only": tmp_path / "whole.tar.gz",
        "install_only_stripped": tmp_path / "stripped.tar.gz",
        "debug_symbols": tmp_path / "symbols.tar.zst",
    }
    tools = Tools(tool("llvm-objcopy"), 1, list)
    made = derive(full, names, tmp_path / "work", tools, epoch=0, progress=Progress(io.StringIO())).made
    found = {one.flavour: read_contents(names[one.flavour], Needles()) for one in made}
    assert [one.debug_files for one in made] == [0, 0, 1]
    assert {file.path for file in found["debug_symbols"].debug_files} == {dsym_path(PYTHON)}
    assert not [path for path in found["install_only"].paths if "dSYM" in path or path.startswith("build/")]
    debug = {flavour: {m.path: m.debug for m in contents.machos} for flavour, contents in found.items()}
    assert debug["install_only"][PYTHON] is True
    assert debug["install_only_stripped"][PYTHON] is False
    assert [contents.digests for flavour, contents in found.items() if flavour != "debug_symbols"] == [
        {"share/ssl/ossl-modules/fips.dylib": digest}
    ] * 2


def test_an_archive_of_dsyms_is_read_as_debug_symbols(built: Built, tmp_path: Path) -> None:
    program = built(PYTHON)
    symbols = archive(tmp_path / "symbols.tar", dsym_entries(tmp_path / "dSYM", {PYTHON: program}))
    contents = read_contents(symbols, Needles(("/mnt/pymint",)))
    macho = read_macho(PYTHON, program.read_bytes())
    assert contents.flavour == "debug_symbols"
    assert macho is not None
    assert [(file.build_id, file.machine, file.units) for file in contents.debug_files] == [(macho.uuid, "arm64", True)]
    assert (contents.machos, dict(contents.unreadable)) == ((), {})


def test_a_dsym_that_is_cut_off_or_none_is_told_apart(built: Built, tmp_path: Path) -> None:
    program = built(PYTHON)
    data = (tmp_path / "dSYM" / dsym_path(PYTHON)).read_bytes()
    assert read_dsym("x", data) is not None
    assert read_dsym("x", data[:-50]) is None
    assert read_dsym("x", program.read_bytes()) is None


def test_names_within_a_dsym() -> None:
    path = "lib/libpython3.13.dylib.dSYM/Contents/Resources/DWARF/libpython3.13.dylib"
    assert dsym_path("lib/libpython3.13.dylib") == path
    assert dsym_binary(path) == "lib/libpython3.13.dylib"
    assert is_dsym_file(path)
    assert not is_dsym_file("lib/a.dSYM/Contents/Resources/DWARF/b")
    assert not is_dsym_file("lib/a.dSYM/Contents/Info.plist")
    assert dsym_binary("lib/debug/.build-id/ab/cdef.debug") is None
