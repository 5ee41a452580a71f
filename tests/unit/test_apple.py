"""What building for macOS takes: which SDK, linker and GNU programs are taken, and what tells them apart."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from workers import apple, machine, nodes, toolchain
from workers.apple import find_gnu_programs, find_sdk, only_libraries
from workers.cpython import build_environment, cpython_nodes
from workers.errors import Failure
from workers.graph import library_nodes
from workers.machine import emulation_of
from workers.model import load_matrix
from workers.toolchain import SYSTEM_LLVM, find_toolchain, prepare

MATRIX = load_matrix()
DARWIN = MATRIX.targets["aarch64-apple-darwin"]
LINUX = MATRIX.targets["x86_64-unknown-linux-gnu"]
needs_llvm = pytest.mark.skipif(not (SYSTEM_LLVM / "bin" / "clang").exists(), reason=f"there is no {SYSTEM_LLVM}")
Sdk = Callable[..., dict[str, str]]


@pytest.fixture
def sdk(tmp_path: Path) -> Sdk:
    """Writes an SDK's settings; the environment that names it."""

    def make(version: str = "15.0", name: str = "macosx15.0") -> dict[str, str]:
        settings = {"Version": version, "CanonicalName": name, "MaximumDeploymentTarget": f"{version}.99"}
        (tmp_path / "SDKSettings.json").write_text(json.dumps(settings))
        return {"PYMINT_MACOS_SDK": str(tmp_path)}

    return make


def test_the_sdk_that_is_asked_for_is_taken(sdk: Sdk, tmp_path: Path) -> None:
    found = find_sdk(sdk())
    assert (found.path, found.version, found.canonical_name) == (tmp_path, "15.0", "macosx15.0")


def test_without_any_sdk_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apple, "_chosen", lambda: "")
    with pytest.raises(Failure) as caught:
        find_sdk({})
    assert "xcode-select --install" in str(caught.value)
    assert "PYMINT_MACOS_SDK" in str(caught.value)


def test_xcodes_choice_is_taken_where_none_is_asked_for(
    sdk: Sdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk()
    monkeypatch.setattr(apple, "_chosen", lambda: str(tmp_path))
    assert find_sdk({}).path == tmp_path


def test_an_sdk_of_a_telephone_is_refused(sdk: Sdk) -> None:
    with pytest.raises(Failure, match="another system"):
        find_sdk(sdk("18.0", "iphoneos18.0"))


def test_a_directory_that_does_not_say_its_version_is_no_sdk(tmp_path: Path) -> None:
    (tmp_path / "SDKSettings.json").write_text("{}")
    with pytest.raises(Failure, match="no macOS SDK"):
        find_sdk({"PYMINT_MACOS_SDK": str(tmp_path)})


# --- GNU programs ---


def programs(directory: Path, **said: str) -> str:
    for name, version in said.items():
        program = directory / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\necho '{version}'\n")
        program.chmod(0o755)
    return str(directory)


ALL = {
    "gmake": "GNU Make 4.4.1",
    "gsed": "gsed (GNU sed) 4.9",
    "gtar": "gtar (GNU tar) 1.35",
    "ginstall": "ginstall (GNU coreutils) 9.5",
    "gsha256sum": "gsha256sum (GNU coreutils) 9.5",
    "pkg_config": "2.3.0",
}


def test_gnu_programs_are_found_by_the_names_that_homebrew_gives_them(tmp_path: Path) -> None:
    found = find_gnu_programs([programs(tmp_path, **ALL)])
    assert {name: path.name for name, path in found.items()} == {
        "make": "gmake", "sed": "gsed", "tar": "gtar", "install": "ginstall", "sha256sum": "gsha256sum",
        "pkg-config": "pkg-config",
    }  # fmt: skip


def test_macos_own_programs_are_not_taken_for_them_and_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    own = {"make": "GNU Make 3.81", "tar": "bsdtar 3.5.3", "sed": "sed: illegal option", "install": "usage: install"}
    some = {name: text for name, text in ALL.items() if name in ("pkg_config", "gsha256sum")}
    with pytest.raises(Failure) as caught:
        find_gnu_programs([programs(tmp_path, **own, **some)])
    assert "make, sed, tar, install:" in str(caught.value)
    assert "brew install llvm@22 lld@22 make coreutils gnu-sed gnu-tar pkgconf" in str(caught.value)


# --- the toolchain ---


@needs_llvm
def test_the_sdk_and_the_linker_for_macos_belong_to_the_identity(sdk: Sdk) -> None:
    identity = find_toolchain(sdk(), target=DARWIN).identity
    assert (identity["apple_sdk_version"], identity["apple_sdk_deployment_target"]) == ("15.0", "11.0")
    assert {"ld64.lld", "dsymutil", "clang"} <= identity.keys()
    assert "ld.lld" not in identity
    assert not [value for value in identity.values() if "/" in value]
    other = find_toolchain(sdk("15.2", "macosx15.2"), target=DARWIN).identity
    changed = {name for name in identity if identity[name] != other[name]}
    assert changed == {"apple_sdk_version", "apple_sdk_canonical_name", "sdk"}


@needs_llvm
def test_another_deployment_target_is_another_identity(sdk: Sdk) -> None:
    one = find_toolchain(sdk(), target=DARWIN).identity
    other = find_toolchain(sdk(), target=replace(DARWIN, deployment_target="12.0")).identity
    assert one["wrappers"] != other["wrappers"]


@needs_llvm
def test_the_compiler_is_told_target_sdk_and_linker(sdk: Sdk, tmp_path: Path) -> None:
    """Compiles nothing: asks clang what it would do."""
    directory = tmp_path / "tools"
    prepare(directory, DARWIN, find_toolchain(sdk(), target=DARWIN))
    assert (directory / "sdk").resolve() == tmp_path
    config = f"--config={directory / 'target.cfg'}"
    (directory / "x.o").touch()
    command = [str(SYSTEM_LLVM / "bin/clang"), config, "-###", "-Werror", str(directory / "x.o"), "-o", "x"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": str(directory / "bin")})
    words = [word.strip('"') for word in said.stderr.splitlines()[-1].split()]
    assert words[0].endswith("/ld64.lld"), said.stderr
    assert words[words.index("-platform_version") + 1 :][:2] == ["macos", "11.0.0"]
    assert words[words.index("-syslibroot") + 1] == "/mnt/pymint/toolchain/sdk"
    # Apple's names lead to LLVM's programs; nothing that only knows ELF is there.
    assert (directory / "bin/otool").resolve().name in ("llvm-otool", "llvm-objdump")
    assert not (directory / "bin/readelf").exists()


# --- what is planned ---


def test_a_machine_that_is_no_mac_says_what_it_can_do_of_it(sdk: Sdk) -> None:
    with pytest.raises(Failure) as caught:
        emulation_of(DARWIN)
    assert "worker of its own system" in str(caught.value)
    assert "PYMINT_MACOS_SDK" in str(caught.value)
    assert only_libraries(DARWIN, sdk())
    assert not only_libraries(DARWIN, {})
    assert not only_libraries(LINUX, sdk())


def test_on_a_mac_configure_is_told_that_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert nodes.build_triple(DARWIN) != DARWIN.triple
    monkeypatch.setattr(nodes, "runs_macos", lambda: True)
    assert nodes.build_triple(DARWIN) == DARWIN.triple
    assert nodes.build_triple(LINUX) == LINUX.triple


def test_homebrews_llvm_is_where_a_mac_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "runs_macos", lambda: True)
    assert str(toolchain.llvm_prefix({})) == "/opt/homebrew/opt/llvm@22"
    assert machine.runs_macos("Darwin")
    assert not machine.runs_macos("Linux")


def test_every_node_for_macos_knows_the_deployment_target_and_keeps_times_out() -> None:
    for node in library_nodes(DARWIN, {}):
        assert node.environment["MACOSX_DEPLOYMENT_TARGET"] == "11.0", node.name
        assert node.environment["ZERO_AR_DATE"] == "1", node.name
        assert "GLIBC" not in node.environment
    assert {"zlib", "ncurses", "libedit", "libuuid", "sysroot"}.isdisjoint(n.name for n in library_nodes(DARWIN, {}))


@pytest.mark.parametrize("version", MATRIX.versions)
def test_no_symbol_of_a_static_library_is_exported(version: str) -> None:
    """What --exclude-libs is for ELF. Each library that CPython links is named: an asterisk is none to a linker."""
    cell = MATRIX.cell(version, DARWIN.triple, "noopt")
    linked = build_environment(cell)["LDFLAGS_NODIST"].split()
    hidden = {Path(word).name for word in linked if word.startswith("-Wl,-load_hidden,")}
    assert {"libcrypto.a", "libssl.a", "libffi.a", "liblzma.a"} <= hidden
    assert ("libzstd.a" in hidden) == (version == "3.14")
    assert not [word for word in linked if "--exclude-libs" in word]


@pytest.mark.parametrize("version", MATRIX.versions)
def test_nothing_of_elf_is_asked_of_the_linker(version: str) -> None:
    cell = MATRIX.cell(version, DARWIN.triple, "pgo+lto")
    for node in cpython_nodes(cell):
        for name, text in node.environment.items():
            for word in ("-no-pie", "$ORIGIN", "--disable-new-dtags", "--exclude-libs", "-z,relro", "-lrt", "-luuid"):
                assert word not in text, (node.name, name, word)
    environment = build_environment(cell)
    assert environment["PROGRAM_LINK"] == "-Wl,-rpath,@executable_path/../lib"
    assert environment["INTERPRETER_LINK"] == ""
    assert environment["CFLAGS"] == ""  # what users' extension modules would get
    assert "-Werror=unguarded-availability-new" in environment["CFLAGS_NODIST"]


def test_the_security_policys_procedure_is_not_for_macos() -> None:
    with pytest.raises(Failure, match="Security Policy"):
        library_nodes(DARWIN, {"PROCEDURE": "policy", "SLH_DSA": "yes"})


def test_modules_of_older_versions_name_macos_libraries() -> None:
    text = build_environment(MATRIX.cell("3.11", DARWIN.triple, "noopt"))["SETUP_LOCAL"]
    assert "-lncurses\n" in text
    assert "-lncursesw" not in text
    assert "_ctypes/malloc_closure.c" in text
    assert "_scproxy.c -framework SystemConfiguration" in text
    assert (
        "_ctypes/malloc_closure.c" not in build_environment(MATRIX.cell("3.11", LINUX.triple, "noopt"))["SETUP_LOCAL"]
    )
