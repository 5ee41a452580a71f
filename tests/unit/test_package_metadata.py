"""PYTHON.json: every field of format 8, from what the interpreter says and what the tree holds."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from workers.errors import Failure
from workers.model import load_matrix
from workers.package.extensions import Licence, Pieces, core_links, core_objects, extensions
from workers.package.facts import InterpreterFacts, ask, without_place
from workers.package.metadata import Inputs, llvm_release, object_file_format, python_json
from workers.package.python_json import PythonJson, decode, encode
from workers.package.setup_lines import parse_setup

ZLIB = Licence(("Zlib",), "licenses/LICENSE.zlib.txt")
DYNLOAD = "install/lib/python3.13/lib-dynload"
SUFFIX = ".cpython-313-x86_64-linux-gnu.so"
PIECES = Pieces(
    files=frozenset(
        {
            "build/Modules/zlibmodule.o",
            "build/Modules/_io/iobase.o",
            "build/Modules/main.o",
            "build/Modules/config.o",
            "build/Objects/object.o",
            "build/Parser/lexer/lexer.o",
            "build/Programs/python.o",
            "build/lib/libz.a",
            f"{DYNLOAD}/_ctypes_test{SUFFIX}",
        }
    ),
    inittab={"zlib": "PyInit_zlib", "_io": "PyInit__io", "marshal": "PyMarshal_Init", "sys": "NULL"},
    core_inittab={"marshal": "PyMarshal_Init", "sys": "NULL"},
    lines=parse_setup(
        ["*static*\nzlib zlibmodule.c -lz\n_io _io/iobase.c\n*shared*\n_ctypes_test _ctypes_test.c -lm\n"]
    ),
    variables={},
    licences={"build/lib/libz.a": (ZLIB,)},
    dynload=DYNLOAD,
    suffix=SUFFIX,
)


def test_a_built_in_module_names_its_objects_libraries_and_licences() -> None:
    (zlib,) = extensions(PIECES)["zlib"]
    assert zlib.objs == ["build/Modules/zlibmodule.o"]
    assert [(link.name, link.path_static) for link in zlib.links] == [("z", "build/lib/libz.a")]
    assert (zlib.licenses, zlib.license_paths) == (["Zlib"], ["licenses/LICENSE.zlib.txt"])
    assert (zlib.in_core, zlib.required, zlib.init_fn) == (False, False, "PyInit_zlib")


def test_the_cores_modules_and_the_required_ones_are_marked() -> None:
    found = extensions(PIECES)
    assert (found["marshal"][0].in_core, found["marshal"][0].init_fn) == (True, "PyMarshal_Init")
    assert found["sys"][0].init_fn == "NULL"
    assert found["_io"][0].required


def test_a_shared_module_names_its_file_and_its_system_library() -> None:
    (module,) = extensions(PIECES)["_ctypes_test"]
    assert module.shared_lib == f"{DYNLOAD}/_ctypes_test{SUFFIX}"
    assert [(link.name, link.system) for link in module.links] == [("m", True)]


def test_a_module_names_our_shared_libraries_and_the_licences_of_all_that_is_in_them() -> None:
    tcl, x11 = Licence(("TCL",), "licenses/LICENSE.tk.txt"), Licence(("X11",), "licenses/LICENSE.libx11.txt")
    shared = f"{DYNLOAD}/_tkinter{SUFFIX}"
    (module,) = extensions(
        replace(
            PIECES,
            files=PIECES.files | {shared, "install/lib/libtk8.6.so"},
            lines=parse_setup(["*shared*\n_tkinter _tkinter.c -ltk8.6 -Wl,-rpath,'$$ORIGIN/../..'\n"]),
            licences={"install/lib/libtk8.6.so": (tcl, x11)},
        )
    )["_tkinter"]
    assert [(link.name, link.path_dynamic) for link in module.links] == [("tk8.6", "install/lib/libtk8.6.so")]
    assert module.license_paths == ["licenses/LICENSE.libx11.txt", "licenses/LICENSE.tk.txt"]


def test_a_library_of_ours_without_a_licence_is_refused() -> None:
    with pytest.raises(Failure, match=r"zlib links build/lib/libz.a, whose licence is not known"):
        extensions(replace(PIECES, licences={}))


def test_a_built_in_module_without_objects_is_refused() -> None:
    with pytest.raises(Failure, match="none of the object files of the built-in module zlib"):
        extensions(replace(PIECES, files=PIECES.files - {"build/Modules/zlibmodule.o"}))


def test_the_core_is_all_objects_that_no_module_claims_but_the_inittab() -> None:
    assert core_objects(PIECES.files, extensions(PIECES)) == [
        "build/Modules/main.o",
        "build/Objects/object.o",
        "build/Parser/lexer/lexer.o",
    ]


def test_the_core_may_link_libc_only() -> None:
    assert [link.name for link in core_links("-lpthread -ldl  -lutil -lm")] == ["dl", "m", "pthread", "util"]
    with pytest.raises(Failure, match="the core links intl"):
        core_links("-lintl -ldl")


@pytest.mark.parametrize(
    ("head", "said"),
    [(b"\x7fELF", "elf"), (b"BC\xc0\xde", "llvm-bitcode:22.1.3"), (b"\xcf\xfa\xed\xfe", "mach-o")],
)
def test_the_object_format_is_read_from_an_object(head: bytes, said: str) -> None:
    assert object_file_format(head, "22.1.3") == said


def test_an_unknown_object_format_is_refused() -> None:
    with pytest.raises(Failure, match="no known format"):
        object_file_format(b"", "22.1.3")


def test_the_compilers_release_is_taken_from_its_first_line() -> None:
    assert llvm_release("Debian clang version 22.1.3 (++2026)") == "22.1.3"
    assert llvm_release("") == "unknown"


@pytest.fixture(scope="module")
def facts() -> InterpreterFacts:
    base = Path(sys.base_prefix)
    return ask(Path(sys._base_executable), base)  # type: ignore[attr-defined]


def test_a_real_interpreter_answers_and_its_place_is_taken_out(facts: InterpreterFacts) -> None:
    assert facts.version == ".".join(map(str, sys.version_info[:3]))
    assert facts.prefix == "/install"
    assert facts.config_vars["prefix"] == "/install"
    assert facts.paths["data"].startswith("install")
    assert bytes.fromhex(facts.bytecode_magic)[2:] == b"\r\n"


def test_an_interpreter_that_speaks_of_another_tree_is_refused(facts: InterpreterFacts) -> None:
    import msgspec

    with pytest.raises(Failure, match="believes to be somewhere else"):
        without_place(msgspec.json.encode(facts).decode(), Path("/somewhere"))


def test_an_interpreter_that_does_not_run_is_told_with_its_words(tmp_path: Path) -> None:
    broken = tmp_path / "python3.13"
    broken.write_text("#!/bin/sh\necho no such library >&2\nexit 127\n")
    broken.chmod(0o755)
    with pytest.raises(Failure, match=r"python3.13 does not run") as failure:
        ask(broken, tmp_path)
    assert "no such library" in str(failure.value)


def test_an_interpreter_that_answers_something_else_is_told_with_its_words(tmp_path: Path) -> None:
    chatty = tmp_path / "python3.13"
    chatty.write_text("#!/bin/sh\necho welcome\n")
    chatty.chmod(0o755)
    with pytest.raises(Failure, match=r"python3.13 does not run") as failure:
        ask(chatty, tmp_path)
    assert "welcome" in str(failure.value)


def made(facts: InterpreterFacts, variant: str = "freethreaded+pgo+lto") -> PythonJson:
    cell = load_matrix().cell("3.13", "x86_64-unknown-linux-gnu", variant)
    config = {
        "EXT_SUFFIX": SUFFIX,
        "DESTSHARED": "/install/lib/python3.13/lib-dynload",
        "LIBS": "-ldl -lm",
        "abiflags": "t",
    }
    own = replace(
        facts,
        abi_tag="t",
        version="3.13.5",
        config_vars=config,
        stdlib_platform_config="/install/lib/python3.13t/config-3.13t-x86_64-linux-gnu",
    )
    texts = {
        "Setup": "zlib zlibmodule.c -lz\n",
        "config.c": '{"zlib", PyInit_zlib},\n{"marshal", PyMarshal_Init},',
        "config.c.in": '{"marshal", PyMarshal_Init},',
    }
    files = PIECES.files | {
        "install/lib/libpython3.13t.so.1.0",
        "install/lib/python3.13t/config-3.13t-x86_64-linux-gnu/libpython3.13t.a",
    }
    licence = Licence(("Python-2.0", "CNRI-Python"), "licenses/LICENSE.cpython.txt")
    return python_json(
        Inputs(cell, own, files, texts, b"BC\xc0\xde", "22.1.3", "2.17", licence, {"build/lib/libz.a": (ZLIB,)}, {})
    )


def test_the_document_says_what_the_cell_is(facts: InterpreterFacts) -> None:
    document = made(facts)
    assert (document.build_options, document.optimizations) == ("freethreaded+pgo+lto", "pgo+lto")
    assert (document.python_tag, document.python_exe) == ("cp313", "install/bin/python3.13t")
    assert document.crt_features == ["glibc-dynamic", "glibc-max-symbol-version:2.17"]
    assert document.build_info.object_file_format == "llvm-bitcode:22.1.3"
    assert document.build_info.core.shared_lib == "install/lib/libpython3.13t.so.1.0"
    assert document.build_info.core.static_lib == (
        "install/lib/python3.13t/config-3.13t-x86_64-linux-gnu/libpython3.13t.a"
    )


def test_the_document_is_read_back_as_it_was_written(facts: InterpreterFacts) -> None:
    document = made(facts)
    assert decode(encode(document)) == document
    assert encode(document) == encode(made(facts))


def test_every_field_of_the_format_is_there_for_linux(facts: InterpreterFacts) -> None:
    keys = set(json.loads(encode(made(facts))))
    apple = {name for name in PythonJson.__struct_fields__ if name.startswith("apple_sdk_")}
    assert keys == set(PythonJson.__struct_fields__) - apple


def test_unknown_fields_are_refused_at_every_depth(facts: InterpreterFacts) -> None:
    plain = json.loads(encode(made(facts)))
    plain["build_info"]["extensions"]["zlib"][0]["fips"] = True
    with pytest.raises(Failure) as failure:
        decode(json.dumps(plain).encode())
    assert "fips" in str(failure.value)
