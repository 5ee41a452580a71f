"""PYTHON.json, format 8: what the archive says of itself to tools. Its readers refuse unknown fields, and so does this.

The format is python-build-standalone's; pymint adds nothing to it. What it has no field for is in FIPS.json and
BUILD.json beside it.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from workers.errors import Failure

TEST_PACKAGES = [
    "bsddb.test",
    "ctypes.test",
    "distutils.tests",
    "email.test",
    "idlelib.idle_test",
    "json.tests",
    "lib-tk.test",
    "lib2to3.tests",
    "sqlite3.test",
    "test",
    "tkinter.test",
    "unittest.test",
]
# Modules without which no interpreter starts.
REQUIRED_EXTENSIONS = frozenset(
    {"_codecs", "_io", "_signal", "_thread", "_tracemalloc", "_weakref", "faulthandler", "posix"}
)


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A map of the format."""


class Link(_Strict, frozen=True, kw_only=True):
    """A library that something links: one of ours by path, one of the system, or a framework."""

    name: str
    path_static: str | UnsetType | None = UNSET
    path_dynamic: str | UnsetType | None = UNSET
    framework: bool | UnsetType | None = UNSET
    system: bool | UnsetType | None = UNSET


class Extension(_Strict, frozen=True, kw_only=True):
    """One way to have an extension module; pymint has one way for each."""

    in_core: bool
    init_fn: str
    links: list[Link]
    objs: list[str]
    required: bool
    variant: str
    shared_lib: str | UnsetType | None = UNSET
    static_lib: str | UnsetType | None = UNSET
    licenses: list[str] | UnsetType | None = UNSET
    license_paths: list[str] | UnsetType | None = UNSET
    license_public_domain: bool | UnsetType | None = UNSET


class Core(_Strict, frozen=True, kw_only=True):
    """What libpython is made of."""

    objs: list[str]
    links: list[Link]
    shared_lib: str | UnsetType | None = UNSET
    static_lib: str | UnsetType | None = UNSET


class BuildInfo(_Strict, frozen=True, kw_only=True):
    """How to link the pieces anew."""

    core: Core
    extensions: dict[str, list[Extension]]
    inittab_object: str
    inittab_source: str
    inittab_cflags: list[str]
    object_file_format: str


class Suffixes(_Strict, frozen=True, kw_only=True):
    """File name endings that the import system knows."""

    bytecode: list[str]
    debug_bytecode: list[str]
    extension: list[str]
    optimized_bytecode: list[str]
    source: list[str]


class PythonJson(_Strict, frozen=True, kw_only=True):
    """The whole document. All paths are relative to the archive's `python/`."""

    version: str
    target_triple: str
    build_options: str | UnsetType = (
        UNSET  # python-build-standalone's own archives before 2025 have only `optimizations`
    )
    optimizations: str
    python_tag: str
    python_abi_tag: str | UnsetType | None = UNSET
    python_platform_tag: str
    python_implementation_cache_tag: str
    python_implementation_hex_version: int
    python_implementation_name: str
    python_implementation_version: list[str]
    python_version: str
    python_major_minor_version: str
    python_paths: dict[str, str]
    python_paths_abstract: dict[str, str]
    python_config_vars: dict[str, str]
    python_exe: str
    python_stdlib_platform_config: str | UnsetType | None = UNSET
    python_stdlib_test_packages: list[str]
    python_suffixes: Suffixes
    python_bytecode_magic_number: str
    libpython_link_mode: Literal["shared", "static"]
    python_symbol_visibility: str
    python_extension_module_loading: list[str]
    apple_sdk_canonical_name: str | UnsetType | None = UNSET
    apple_sdk_platform: str | UnsetType | None = UNSET
    apple_sdk_version: str | UnsetType | None = UNSET
    apple_sdk_deployment_target: str | UnsetType | None = UNSET
    crt_features: list[str]
    run_tests: str
    licenses: list[str] | UnsetType | None = UNSET
    license_path: str | UnsetType | None = UNSET
    tcl_library_path: str | UnsetType | None = UNSET
    tcl_library_paths: list[str] | UnsetType | None = UNSET
    build_info: BuildInfo


def encode(document: PythonJson) -> bytes:
    """Sorted keys and an indent of 4, as the format's other writer has it."""
    plain: Any = msgspec.to_builtins(document)
    return json.dumps(plain, sort_keys=True, indent=4).encode() + b"\n"


def decode(data: bytes) -> PythonJson:
    """The document. Raises Failure for a missing, unknown or wrongly typed field, which it names."""
    try:
        return msgspec.json.decode(data, type=PythonJson)
    except (ValueError, RecursionError) as error:  # msgspec's own, bytes that are no UTF-8, endless nesting
        raise Failure(
            "PYTHON.json",
            "the document is not of format 8",
            wanted="the fields of format 8, all of them, no others",
            found=str(error),
            todo="Readers of the format would refuse this archive.",
        ) from error
