"""Real Mach-O files, made here: what is read from them, what a change does to their signature, stubs of an SDK."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.macho_samples import LIBSYSTEM, MachoMaker, find_maker, stub
from tests.unit.validate_samples import static_library
from workers.errors import Failure
from workers.tarball import Entry, write_tar
from workers.validate.contents import Contents, Needles, read_contents
from workers.validate.macho import MachO, Taken, read_macho
from workers.validate.signature import read_signature
from workers.validate.tbd import sdks_below, symbols_of

NAME = "libpython3.13.dylib"
SOURCE = """
extern void *malloc(unsigned long); extern void newer(void) __attribute__((weak_import));
void Py_Initialize(void) { malloc(1); if (newer) newer(); }
static void hidden(void) {}
__attribute__((visibility("hidden"))) void SSL_read(void) { hidden(); }
"""


@pytest.fixture(scope="session")
def macho_maker(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return find_maker(tmp_path_factory.mktemp("macho"))


@pytest.fixture(scope="session")
def library(macho_maker: MachoMaker) -> bytes:
    return macho_maker.library(SOURCE, NAME, "-rpath", "@loader_path/../lib")


def read(data: bytes) -> MachO:
    found = read_macho(f"lib/{NAME}", data)
    assert found is not None
    return found


def test_the_facts_of_a_library_are_read(library: bytes) -> None:
    found = read(library)
    assert (found.machine, found.kind, found.slices, found.two_level) == ("arm64", "library", 1, True)
    assert (found.own_name, found.rpaths) == (f"@rpath/{NAME}", ("@loader_path/../lib",))
    assert (found.minos, found.sdk) == ((11, 0, 0), (14, 2, 0))
    assert found.exported == {"_Py_Initialize"}
    assert {taken for taken in found.taken if taken.name != "dyld_stub_binder"} == {
        Taken("_malloc", LIBSYSTEM),
        Taken("_newer", LIBSYSTEM, weak=True),
    }
    assert [(dylib.name, dylib.compatibility) for dylib in found.dylibs] == [(LIBSYSTEM, (1, 0, 0))]


def test_an_object_has_no_signature_and_exports_what_is_not_hidden(macho_maker: MachoMaker) -> None:
    found = read_macho("x.o", macho_maker.compile(SOURCE, "object").read_bytes())
    assert found is not None
    assert (found.kind, found.linked, found.signature, found.taken) == ("object", False, None, ())


def test_the_linkers_signature_is_ad_hoc_and_fits(library: bytes) -> None:
    signature = read(library).signature
    assert signature is not None
    assert (signature.adhoc, signature.broken) == (True, None)


def test_one_changed_byte_anywhere_breaks_the_signature(library: bytes) -> None:
    where = library.index(b"_Py_Initialize\0")
    changed = library[:where] + b"_Xy" + library[where + 3 :]
    signature = read(changed).signature
    assert signature is not None
    assert signature.broken == f"the page at byte {where // 4096 * 4096} was changed after it was signed"


def test_a_file_whose_signature_is_cut_off_is_not_read(library: bytes) -> None:
    assert read_macho("x", library[:-40]) is None
    assert "cut off" in str(read_signature(library, len(library) - 40, 80).broken)


def test_bytes_added_before_the_signature_are_not_covered_by_it(library: bytes, tmp_path: Path) -> None:
    tool = shutil.which("llvm-strip-22") or shutil.which("llvm-strip")
    if tool is None:
        pytest.skip("no llvm-strip (Debian's llvm-22): what it does to a signed file can't be tried")
    (tmp_path / "x.dylib").write_bytes(library)
    subprocess.run([tool, "--strip-debug", "x.dylib"], cwd=tmp_path, check=True)
    stripped = (tmp_path / "x.dylib").read_bytes()
    assert stripped != library
    # It signs anew, so the file still loads; a FIPS module's MAC is lost all the same.
    signature = read(stripped).signature
    assert signature is not None
    assert signature.broken is None


def test_an_unsigned_file_is_told_apart(macho_maker: MachoMaker) -> None:
    assert read(macho_maker.library(SOURCE, NAME, "-no_adhoc_codesign")).signature is None


def test_a_library_with_an_export_list_exports_what_is_on_it(macho_maker: MachoMaker) -> None:
    source = "void OSSL_provider_init(void){} void EVP_MD_fetch(void){}"
    everything = read(macho_maker.link(source, "-bundle"))
    assert everything.exported == {"_OSSL_provider_init", "_EVP_MD_fetch"}
    listed = read(macho_maker.link(source, "-bundle", "-exported_symbol", "_OSSL_provider_init"))
    assert (listed.kind, listed.own_name) == ("bundle", "")
    assert listed.exported == {"_OSSL_provider_init"}


def test_what_comes_from_a_static_library_is_hidden_by_the_flag_that_cpython_is_linked_with(
    macho_maker: MachoMaker,
) -> None:
    """An assembler's functions know no -fvisibility. The library is named twice, as CPython's own link does."""
    directory = macho_maker.directory
    compiled = macho_maker.compile("int AES_encrypt(void) { return 1; }", "shown").read_bytes()
    library = directory / "libshown.a"
    library.write_bytes(static_library({"shown.o": compiled + b"\0" * (-len(compiled) % 8)}))
    source = "int AES_encrypt(void); int Py_Initialize(void) { return AES_encrypt(); }"
    shown = read(macho_maker.library(source, NAME, "-L", str(directory), "-lshown"))
    assert shown.exported == {"_Py_Initialize", "_AES_encrypt"}
    hiding = ("-load_hidden", str(library), "-L", str(directory), "-lshown")
    assert read(macho_maker.library(source, NAME, *hiding)).exported == {"_Py_Initialize"}


def test_a_java_class_is_not_taken_for_a_fat_file(tmp_path: Path) -> None:
    contents = read_file(tmp_path, "A.class", b"\xca\xfe\xba\xbe" + (61).to_bytes(4, "big") + b"\0" * 100)
    assert (contents.machos, contents.unreadable) == ((), {})


def read_file(directory: Path, path: str, data: bytes) -> Contents:
    write_tar(directory / "a.tar", [Entry(f"python/{path}", data=data)], epoch=0)
    return read_contents(directory / "a.tar", Needles())


def test_a_file_that_is_cut_off_is_judged_by_nobody(library: bytes, tmp_path: Path) -> None:
    assert "install/lib/x.dylib" in read_file(tmp_path, "install/lib/x.dylib", library[:40]).unreadable


def test_a_fat_static_library_is_read_member_by_member(macho_maker: MachoMaker, tmp_path: Path) -> None:
    slices = []
    for arch in ("x86_64", "arm64"):
        compiled = macho_maker.compile("int version;", "part", arch=arch).read_bytes()
        slices.append(static_library({"part.o": compiled + b"\0" * (-len(compiled) % 8)}))
    head, offset = struct.pack(">II", 0xCAFEBABE, 2), 64
    table, body = b"", b""
    for kind, data in zip((0x01000007, 0x0100000C), slices, strict=True):
        table += struct.pack(">IIIII", kind, 0, offset + len(body), len(data), 0)
        body += data
    fat = (head + table).ljust(offset, b"\0") + body
    contents = read_file(tmp_path, "build/lib/libclang_rt.osx.a", fat)
    assert [(macho.path, macho.slices, macho.machine) for macho in contents.machos] == [
        ("build/lib/libclang_rt.osx.a:part.o", 2, "x86_64"),
        ("build/lib/libclang_rt.osx.a:part.o", 2, "arm64"),
    ]


# --- SDKs ---


def write_sdk(directory: Path, version: str, symbols: list[str]) -> None:
    library = directory / f"MacOSX{version}.sdk" / "usr/lib/libSystem.B.tbd"
    library.parent.mkdir(parents=True)
    inner = "/usr/lib/system/libsystem_malloc.dylib"
    text = stub(LIBSYSTEM, ["_exit"]).replace(
        "exports:",
        f"reexported-libraries:\n  - targets: [ arm64e-macos ]\n    libraries: [ '{inner}' ]\nexports:",
    )
    library.write_text(text.replace("\n...\n", "\n") + stub(inner, symbols))


def test_the_symbols_of_an_sdk_are_those_of_its_stub_and_of_what_that_reexports(tmp_path: Path) -> None:
    write_sdk(tmp_path, "12.3", ["_malloc", "_newer"])
    write_sdk(tmp_path, "11.3", ["_malloc"])
    write_sdk(tmp_path, "10.15", [])
    found = sdks_below(tmp_path, (11, 0))
    assert [sdk.name for sdk in found] == ["MacOSX11.3.sdk", "MacOSX12.3.sdk"]
    assert found[0].exports(LIBSYSTEM) == frozenset({"_exit", "_malloc"})
    assert found[1].exports(LIBSYSTEM) == frozenset({"_exit", "_malloc", "_newer"})
    assert found[0].exports("/usr/lib/libnew.dylib") is None


def test_no_sdk_at_all_is_a_failure_and_not_a_silent_pass(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no macOS SDK"):
        sdks_below(tmp_path, (11, 0))


def test_classes_and_other_processors_in_older_stubs() -> None:
    document = {
        "exports": [
            {
                "archs": ["x86_64", "arm64"],
                "symbols": ["_one"],
                "objc-classes": ["_NSObject"],
                "weak-def-symbols": ["_w"],
            },
            {"archs": ["x86_64"], "symbols": ["_other"]},
        ]
    }
    assert set(symbols_of(document)) == {"_one", "_w", "_OBJC_CLASS_$_NSObject", "_OBJC_METACLASS_$_NSObject"}
