"""What a cell's CPython is built from and how it is configured."""

from __future__ import annotations

import pytest

from workers.cpython import (
    LIBRARIES,
    LINUX_LIBRARIES,
    build_environment,
    compiler_flags,
    configure_arguments,
    cpython_nodes,
    has_jit,
    package_variables,
)
from workers.edits import edits_for
from workers.graph import nodes_of
from workers.model import DATA, Cell, load_matrix
from workers.modules import load_modules, modules_of
from workers.nodes import edits_version
from workers.plan import in_build_order
from workers.toolchain import MAJOR

LINUX = "x86_64-unknown-linux-gnu"


def cell(version: str = "3.13", variant: str = "pgo+lto", target: str = LINUX) -> Cell:
    return load_matrix().cell(version, target, variant)


def test_with_pgo_the_profile_stands_between_an_instrumented_and_an_optimised_build() -> None:
    helper, instrumented, profile, optimised = cpython_nodes(cell())

    assert helper.name == "cpython-3.13-build"
    assert instrumented.name == "cpython-3.13-pgo-lto-instrument"
    assert helper.name in instrumented.needs
    assert profile.needs == (instrumented.name,)
    assert optimised.name == "cpython-3.13-pgo-lto"
    assert {helper.name, profile.name} < set(optimised.needs)
    assert instrumented.name not in optimised.needs


def test_without_pgo_only_the_build_python_comes_first() -> None:
    for variant in ("noopt", "debug"):
        helper, final = cpython_nodes(cell(variant=variant))

        assert final.name == f"cpython-3.13-{variant}"
        assert helper.name == "cpython-3.13-build"
        assert helper.name in final.needs


def test_variants_share_the_build_python() -> None:
    assert cpython_nodes(cell())[0] == cpython_nodes(cell(variant="freethreaded+pgo+lto"))[0]


def test_cpython_3_10_freezes_for_itself() -> None:
    assert "cpython-3.10-build" not in [node.name for node in cpython_nodes(cell("3.10"))]


@pytest.mark.parametrize("linux_cell", [c for c in load_matrix().all_cells() if c.target.os == "linux"], ids=str)
def test_every_need_of_every_linux_cell_is_a_node(linux_cell: Cell) -> None:
    in_build_order(nodes_of(linux_cell, {}))


def test_a_library_that_is_not_linked_is_not_built_for_the_archive() -> None:
    assert "zstd" not in {node.name for node in nodes_of(cell("3.13"), {})}
    assert {"zstd", "sysroot", "fips-provider", "openssl-tests"} < {node.name for node in nodes_of(cell("3.14"), {})}


def test_the_profile_changes_with_the_training_and_the_instrumented_build_does_not() -> None:
    _, instrumented, profile, _ = cpython_nodes(cell())

    assert {"training/train.py", "training/kernels_objects.py"} < set(profile.data)
    assert not any(name.startswith("training/") for name in instrumented.data)


def test_every_data_file_of_a_node_exists() -> None:
    for node in cpython_nodes(cell()):
        for name in (*node.data, f"recipes/{node.recipe}"):
            assert (DATA / name).is_file(), name


@pytest.mark.parametrize(
    ("target", "apart"),
    [("x86_64-unknown-linux-gnu", True), ("aarch64-unknown-linux-gnu", True), ("aarch64-apple-darwin", False)],
)
@pytest.mark.parametrize("flag", ["keep-text-section-prefix", "--symbol-ordering-file="])
def test_only_what_has_a_profile_keeps_apart_what_never_ran(target: str, apart: bool, flag: str) -> None:
    _, instrumented, _, optimised = cpython_nodes(cell(target=target))
    assert (flag in optimised.environment["LDFLAGS_NODIST"]) is apart
    assert flag not in instrumented.environment["LDFLAGS_NODIST"]
    assert flag not in optimised.environment["LDFLAGS"]


def test_the_instrumented_build_is_configured_as_the_final_one_but_for_lto() -> None:
    _, instrumented, _, optimised = cpython_nodes(cell())

    left_out = set(optimised.environment["CONFIGURE"].split()) - set(instrumented.environment["CONFIGURE"].split())
    assert left_out == {"--with-lto=full"}
    assert set(instrumented.environment["CONFIGURE"].split()) < set(optimised.environment["CONFIGURE"].split())


def test_what_is_linked_with_lto_is_told_the_level_of_its_code() -> None:
    assert "-O3" in compiler_flags(cell())["LDFLAGS_NODIST"].split()
    assert "-O3" not in compiler_flags(cell(variant="noopt"))["LDFLAGS_NODIST"].split()


def test_whom_an_indirect_call_calls_is_counted() -> None:
    generate = cpython_nodes(cell())[1].environment["PROFILE_GENERATE"].split()

    assert "-fprofile-generate" in generate
    assert "-fprofile-instr-generate" not in generate


def test_counters_are_atomic_only_where_threads_run_at_the_same_time() -> None:
    plain = cpython_nodes(cell())[1].environment["PROFILE_GENERATE"]
    free = cpython_nodes(cell(variant="freethreaded+pgo+lto"))[1].environment["PROFILE_GENERATE"]

    assert "atomic" not in plain
    assert "-fprofile-update=atomic" in free


@pytest.mark.parametrize("any_cell", list(load_matrix().all_cells()), ids=str)
def test_no_flag_that_would_break_extension_modules_is_ever_given(any_cell: Cell) -> None:
    flags = " ".join(compiler_flags(any_cell).values())

    for poison in ("-no-pie", "-fno-pie", "-fPIE", "-fvisibility=hidden"):
        assert poison not in flags


@pytest.mark.parametrize("any_cell", list(load_matrix().all_cells()), ids=str)
def test_no_hash_of_cpythons_own_stands_behind_openssl(any_cell: Cell) -> None:
    assert "--with-builtin-hashlib-hashes=blake2" in configure_arguments(any_cell)
    built_in = set(build_environment(any_cell)["MODULES_BUILTIN"].split())
    assert not built_in & {"_md5", "_sha1", "_sha2", "_sha256", "_sha512", "_sha3", "_hmac"}
    assert {"_hashlib", "_ssl", "_blake2"} < built_in


def test_no_configure_argument_holds_a_space() -> None:
    for any_cell in load_matrix().all_cells():
        assert not [argument for argument in configure_arguments(any_cell) if len(argument.split()) != 1]


def test_variants_are_configured_as_their_names_say() -> None:
    assert "--disable-gil" in configure_arguments(cell(variant="freethreaded+pgo+lto"))
    assert "--with-pydebug" in configure_arguments(cell(variant="debug"))
    assert not {"--with-lto=full", "--enable-optimizations"} & set(configure_arguments(cell(variant="noopt")))
    assert "--with-tail-call-interp" in configure_arguments(cell("3.14"))
    assert "--with-tail-call-interp" not in configure_arguments(cell("3.13"))


def test_the_jit_is_built_and_off_in_what_users_run_from_3_13_on_but_not_without_the_gil() -> None:
    with_jit = {(c.version.minor, c.variant.name) for c in load_matrix().all_cells() if has_jit(c)}

    assert with_jit == {("3.13", "pgo+lto"), ("3.14", "pgo+lto")}
    for any_cell in load_matrix().all_cells():
        assert ("--enable-experimental-jit=yes-off" in configure_arguments(any_cell)) is has_jit(any_cell)


@pytest.mark.parametrize("version", ["3.13", "3.14"])
def test_the_jit_is_compiled_by_the_toolchains_own_llvm(version: str) -> None:
    (edit,) = [edit for edit in edits_for(version) if edit.name == "jit-llvm"]

    assert [change.replace for change in edit.replacements] == [f"_LLVM_VERSION = {MAJOR}\n"]


def test_a_free_threaded_build_gets_the_edits_that_are_for_such_builds() -> None:
    for any_cell in load_matrix().all_cells():
        edits = cpython_nodes(any_cell)[-1].edits
        assert edits is not None
        assert edits_version(edits) == (any_cell.version.minor, any_cell.variant.freethreaded)


def test_debug_builds_are_not_fortified_since_that_needs_optimisation() -> None:
    assert "_FORTIFY_SOURCE" not in compiler_flags(cell(variant="debug"))["CFLAGS"]
    assert "_FORTIFY_SOURCE=2" in compiler_flags(cell())["CFLAGS"]


def test_what_only_this_build_needs_stays_out_of_sysconfig() -> None:
    flags = compiler_flags(cell())

    assert "--exclude-libs" in flags["LDFLAGS_NODIST"]
    assert "--exclude-libs" not in flags["LDFLAGS"]
    assert "-fno-semantic-interposition" in flags["CFLAGS_NODIST"]
    assert "-fno-semantic-interposition" not in flags["CFLAGS"]


def test_what_users_run_keeps_the_debug_information_that_gdb_needs() -> None:
    assert "-g1" not in compiler_flags(cell())["CFLAGS_NODIST"]
    assert "-g1" in compiler_flags(cell(variant="noopt"))["CFLAGS_NODIST"]


def test_configure_asks_pkg_config_about_no_library_that_is_linked() -> None:
    variables = package_variables(cell("3.14"))

    for prefix in (
        "ZLIB",
        "BZIP2",
        "LIBLZMA",
        "LIBFFI",
        "LIBSQLITE3",
        "LIBUUID",
        "LIBEDIT",
        "CURSES",
        "PANEL",
        "LIBZSTD",
    ):
        assert variables[f"{prefix}_CFLAGS"]
        assert variables[f"{prefix}_LIBS"]
    assert "LIBZSTD_LIBS" not in package_variables(cell("3.13"))


def test_macos_takes_from_its_sdk_what_linux_builds() -> None:
    needs = cpython_nodes(cell(target="aarch64-apple-darwin"))[-1].needs

    assert set(LIBRARIES) < set(needs)
    assert not set(LINUX_LIBRARIES) & set(needs)
    assert "sysroot" not in needs


def test_pip_is_installed_in_all_and_setuptools_up_to_3_11() -> None:
    for version, wanted in (("3.10", "pip setuptools"), ("3.11", "pip setuptools"), ("3.12", "pip"), ("3.14", "pip")):
        final = cpython_nodes(cell(version))[-1]
        assert final.environment["WHEELS"] == wanted
        assert final.sources[1:] == tuple(wanted.split())


def test_what_is_trained_does_not_change_with_pip() -> None:
    _, instrumented, _, _ = cpython_nodes(cell("3.13"))
    assert instrumented.sources == (cell("3.13").version.source,)
    assert "WHEELS" not in instrumented.environment


def test_the_systems_libcrypt_is_linked_up_to_3_12_and_never_by_the_interpreter() -> None:
    for version, linked in (("3.10", True), ("3.12", True), ("3.13", False)):
        assert ("libcrypt" in cpython_nodes(cell(version))[-1].needs) is linked
    modules = modules_of(load_matrix().versions["3.12"], load_matrix().targets[LINUX], load_modules())
    assert {"_crypt", "_dbm", "_tkinter"} <= set(modules.shared)
