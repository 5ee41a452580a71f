"""Puts PYTHON.json together from what the interpreter says, what the tree holds and what was planned. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import UNSET

from workers.errors import Failure
from workers.model import Cell
from workers.package.extensions import CONFIG_OBJECT, Licence, Pieces, core_links, core_objects, extensions
from workers.package.facts import PREFIX, InterpreterFacts
from workers.package.python_json import (
    TEST_PACKAGES,
    BuildInfo,
    Core,
    Extension,
    PythonJson,
    Suffixes,
)
from workers.package.setup_lines import SETUP_FILES, parse_inittab, parse_setup

_BITCODE_MAGICS = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")
_TCL_FOLDER = re.compile(r"^install/lib/((?:itcl|tcl|tdbc|thread|tk)\d[\w.]*)/")


@dataclass(frozen=True)
class Inputs:
    """What the document is made from.

    files: every path of the archive, relative to `python/`. texts: those of build/Modules that are named in
    `TEXTS`, by name. object_head: the first bytes of an object file in build/Objects.
    glibc: the newest glibc symbol version that a binary of the tree wants ("2.17"), None where there is no glibc.
    licences: by library; own_licence: CPython's. apple: the apple_sdk_* fields, empty elsewhere.
    """

    cell: Cell
    facts: InterpreterFacts
    files: frozenset[str]
    texts: Mapping[str, str]
    object_head: bytes
    llvm_version: str
    glibc: str | None
    own_licence: Licence
    licences: Mapping[str, tuple[Licence, ...]]
    apple: Mapping[str, str]


TEXTS = (*SETUP_FILES, "config.c", "config.c.in")


def python_json(inputs: Inputs) -> PythonJson:
    """The document. Raises Failure for what format 8 can't say."""
    facts, cell = inputs.facts, inputs.cell
    suffix = facts.config_vars.get("EXT_SUFFIX", "")
    found = extensions(
        Pieces(
            files=inputs.files,
            inittab=parse_inittab(inputs.texts.get("config.c", "")),
            core_inittab=parse_inittab(inputs.texts.get("config.c.in", "")),
            lines=parse_setup(inputs.texts.get(name, "") for name in SETUP_FILES),
            variables=facts.config_vars,
            licences=inputs.licences,
            dynload=_below_install(facts.config_vars.get("DESTSHARED", "")),
            suffix=suffix,
        )
    )
    version = f"{facts.major_minor}{facts.abi_tag}"
    tcl = sorted({match[1] for path in inputs.files if (match := _TCL_FOLDER.match(path))})
    return PythonJson(
        version="8",
        target_triple=cell.target.triple,
        build_options=cell.variant.name,
        optimizations=cell.variant.name.removeprefix("freethreaded+"),
        python_tag="cp" + facts.major_minor.replace(".", ""),
        python_abi_tag=facts.abi_tag,
        python_platform_tag=facts.platform_tag,
        python_implementation_cache_tag=facts.cache_tag,
        python_implementation_hex_version=facts.hex_version,
        python_implementation_name=facts.implementation_name,
        python_implementation_version=facts.implementation_version,
        python_version=facts.version,
        python_major_minor_version=facts.major_minor,
        python_paths=facts.paths,
        python_paths_abstract=facts.paths_abstract,
        python_config_vars=facts.config_vars,
        python_exe=f"install/bin/python{version}",
        python_stdlib_platform_config=_below_install(facts.stdlib_platform_config),
        python_stdlib_test_packages=TEST_PACKAGES,
        python_suffixes=Suffixes(
            bytecode=facts.bytecode_suffixes,
            debug_bytecode=facts.debug_bytecode_suffixes,
            extension=facts.extension_suffixes,
            optimized_bytecode=facts.optimized_bytecode_suffixes,
            source=facts.source_suffixes,
        ),
        python_bytecode_magic_number=facts.bytecode_magic,
        libpython_link_mode="shared",
        python_symbol_visibility="global-default",
        python_extension_module_loading=["builtin", "shared-library"],
        apple_sdk_canonical_name=inputs.apple.get("apple_sdk_canonical_name", UNSET),
        apple_sdk_platform=inputs.apple.get("apple_sdk_platform", UNSET),
        apple_sdk_version=inputs.apple.get("apple_sdk_version", UNSET),
        apple_sdk_deployment_target=inputs.apple.get("apple_sdk_deployment_target", UNSET),
        crt_features=_crt_features(cell, inputs.glibc),
        run_tests="build/run_tests.py",
        licenses=list(inputs.own_licence.ids),
        license_path=inputs.own_licence.path,
        tcl_library_path="install/lib" if tcl else None,
        tcl_library_paths=[name for name in tcl if not name.startswith("tcl")] if tcl else None,
        build_info=_build_info(inputs, found),
    )


def _crt_features(cell: Cell, glibc: str | None) -> list[str]:
    if cell.target.os == "macos":
        return ["libSystem"]
    return ["glibc-dynamic", *([f"glibc-max-symbol-version:{glibc}"] if glibc is not None else [])]


def _build_info(inputs: Inputs, found: dict[str, list[Extension]]) -> BuildInfo:
    files, facts = inputs.files, inputs.facts
    library = f"libpython{facts.major_minor}{facts.abi_tag}"
    shared = (f"install/lib/{library}.so.1.0", f"install/lib/{library}.dylib")
    static = f"{_below_install(facts.stdlib_platform_config)}/{library}.a"
    return BuildInfo(
        core=Core(
            objs=core_objects(files, found),
            links=core_links(facts.config_vars.get("LIBS", "")),
            shared_lib=next((path for path in shared if path in files), UNSET),
            static_lib=static if static in files else UNSET,
        ),
        extensions=found,
        inittab_object=CONFIG_OBJECT,
        inittab_source="build/Modules/config.c",
        inittab_cflags=["-std=c99", "-DNDEBUG", "-DPy_BUILD_CORE"],
        object_file_format=object_file_format(inputs.object_head, inputs.llvm_version),
    )


def llvm_release(version: str) -> str:
    """`22.1.3` of `Debian clang version 22.1.3 (…)`, the first line of `clang --version`."""
    found = re.search(r"version (\d+(?:\.\d+)*)", version)
    return found[1] if found else "unknown"


def object_file_format(head: bytes, llvm_version: str) -> str:
    """`elf`, `mach-o` or `llvm-bitcode:22.1.3`, from an object's first bytes. Raises Failure for anything else."""
    if head.startswith(_BITCODE_MAGICS):
        return f"llvm-bitcode:{llvm_version}"
    if head.startswith(b"\x7fELF"):
        return "elf"
    if head.startswith(b"\xcf\xfa\xed\xfe"):
        return "mach-o"
    raise Failure(
        "package",
        "the object files in python/build are of no known format",
        wanted="ELF, Mach-O or LLVM bitcode",
        found=f"files that begin with {head[:4].hex()}" if head else "no object file in python/build/Objects",
        todo="Have the CPython recipe leave the objects of Objects, Parser, Python and Modules in python/build.",
    )


def _below_install(path: str) -> str:
    """`install/lib/…` of `/install/lib/…`: as the format names paths."""
    return "install" + path.removeprefix(PREFIX) if path.startswith(PREFIX) else path.lstrip("/")
