"""Which extension modules a build has, and what makesetup is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.errors import Failure
from workers.model import Version, load_matrix
from workers.modules import Module, load_modules, modules_of, setup_local
from workers.package.setup_lines import parse_setup

MATRIX = load_matrix()
LINUX = MATRIX.targets["x86_64-unknown-linux-gnu"]
MACOS = MATRIX.targets["aarch64-apple-darwin"]
VERSIONS = list(MATRIX.versions.values())


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.minor)
def test_what_programs_count_on_is_built_in(version: Version) -> None:
    modules = modules_of(version, LINUX, load_modules())

    wanted = {
        "_ssl",
        "_hashlib",
        "_ctypes",
        "_sqlite3",
        "_lzma",
        "_bz2",
        "zlib",
        "_curses",
        "_curses_panel",
        "readline",
    }
    assert wanted | {"_uuid", "_decimal", "pyexpat", "_blake2", "posix", "sys"} < set(modules.builtin)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.minor)
def test_each_module_is_in_exactly_one_list_and_each_omission_has_a_reason(version: Version) -> None:
    modules = modules_of(version, LINUX, load_modules())

    names = [*modules.builtin, *modules.shared, *modules.off]
    assert len(names) == len(set(names))
    assert all(modules.off.values())


def test_a_module_that_came_or_went_is_known_only_where_it_exists() -> None:
    modules = load_modules()

    assert "audioop" in modules_of(MATRIX.versions["3.12"], LINUX, modules).builtin
    assert "audioop" not in modules_of(MATRIX.versions["3.13"], LINUX, modules).builtin
    assert "_zstd" in modules_of(MATRIX.versions["3.14"], LINUX, modules).builtin
    assert "_zstd" not in modules_of(MATRIX.versions["3.13"], LINUX, modules).builtin
    assert "_sha256" in modules_of(MATRIX.versions["3.11"], LINUX, modules).off
    assert "_sha256" not in modules_of(MATRIX.versions["3.12"], LINUX, modules).off


def test_a_module_of_another_system_counts_as_left_out() -> None:
    modules = load_modules()
    version = MATRIX.versions["3.11"]

    assert "_scproxy" in modules_of(version, LINUX, modules).off
    assert "_scproxy" in modules_of(version, MACOS, modules).builtin
    assert "spwd" in modules_of(version, MACOS, modules).off


@pytest.mark.parametrize("minor", ["3.10", "3.11"])
def test_before_3_12_setup_local_leaves_nothing_for_setup_py_to_find(minor: str) -> None:
    version = MATRIX.versions[minor]
    modules = modules_of(version, LINUX, load_modules())
    lines = parse_setup([setup_local(version, modules)])

    assert set(modules.shared) == {name for name, line in lines.items() if line.section == "shared"}
    assert set(modules.off) == {name for name, line in lines.items() if line.section == "disabled"}
    assert lines["_ssl"].section == "static"
    assert lines["_ssl"].words == ("-lssl", "-lcrypto")


@pytest.mark.parametrize("minor", ["3.10", "3.11"])
def test_no_line_is_taken_for_a_variable_by_makesetup(minor: str) -> None:
    version = MATRIX.versions[minor]

    assert "=" not in setup_local(version, modules_of(version, LINUX, load_modules()))


def test_from_3_12_on_setup_local_only_switches_off() -> None:
    version = MATRIX.versions["3.13"]
    lines = parse_setup([setup_local(version, modules_of(version, LINUX, load_modules()))])

    assert {line.section for line in lines.values()} == {"disabled"}
    assert "_gdbm" in lines


def test_a_line_may_differ_between_versions() -> None:
    module = Module(setup={"3.10": "a.c b.c", "3.11": "a.c"})

    assert module.setup_for(MATRIX.versions["3.10"], LINUX) == "a.c b.c"
    assert module.setup_for(MATRIX.versions["3.11"], LINUX) == "a.c"


def test_a_line_may_differ_between_systems() -> None:
    module = Module(setup={"linux": "a.c -lcrypt", "macos": "a.c"})

    assert module.setup_for(MATRIX.versions["3.11"], LINUX) == "a.c -lcrypt"
    assert module.setup_for(MATRIX.versions["3.11"], MACOS) == "a.c"


def test_a_misspelt_field_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modules.toml").write_text('[_ssl]\nshared = "yes"\n')

    with pytest.raises(Failure, match=r"modules\.toml can't be read"):
        load_modules(tmp_path / "modules.toml")
