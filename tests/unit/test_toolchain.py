"""Which compiler is taken, what tells it from another, and what recipes see of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from workers import toolchain
from workers.errors import Failure
from workers.model import load_matrix
from workers.toolchain import DEBIAN_PACKAGES, SYSTEM_LLVM, Toolchain, find_toolchain, prepare

X86_64 = load_matrix().targets["x86_64-unknown-linux-gnu"]
AARCH64 = load_matrix().targets["aarch64-unknown-linux-gnu"]

needs_llvm = pytest.mark.skipif(not (SYSTEM_LLVM / "bin" / "clang").exists(), reason=f"there is no {SYSTEM_LLVM}")
Make = Callable[..., Path]


@pytest.fixture
def llvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """An LLVM whose programs are shell scripts: enough to be found, told apart and refused."""
    monkeypatch.setattr(toolchain, "_COVERED", ("/mnt",))  # pytest's directories lie below /tmp

    def make(release: str = "22.1.8", *, without: str = "", linker: str = "one") -> Path:
        prefix = tmp_path / "llvm"
        runtime = prefix / "lib" / "clang" / "22" / "lib" / "linux"
        runtime.mkdir(parents=True, exist_ok=True)
        (prefix / "bin").mkdir(exist_ok=True)
        answer = f'case $1 in --version) echo "clang version {release}" ;; *) echo {runtime.parent.parent} ;; esac\n'
        for name in ("clang", "clang++", *toolchain._LINKS):
            program = prefix / "bin" / name
            program.write_text(f"#!/bin/sh\n{answer if name == 'clang' else f'# {linker}'}\n")
            program.chmod(0o755)
        for arch in ("x86_64", "aarch64"):
            for part in ("builtins", "profile"):
                (runtime / f"libclang_rt.{part}-{arch}.a").write_text(part)
            for part in ("crtbegin", "crtend"):
                (runtime / f"clang_rt.{part}-{arch}.o").write_text(part)
        for path in [found for found in prefix.rglob(without) if found.is_file()] if without else []:
            path.unlink()
        return prefix

    return make


def _found(prefix: Path) -> Toolchain:
    return find_toolchain({"PYMINT_LLVM": str(prefix)})


def test_the_llvm_that_is_asked_for_is_taken(llvm: Make) -> None:
    assert _found(llvm()).bin == llvm() / "bin"


def test_an_older_llvm_is_refused_by_name(llvm: Make) -> None:
    with pytest.raises(Failure) as caught:
        _found(llvm("19.1.0"))
    assert "19.1.0" in str(caught.value)
    assert "LLVM 22" in str(caught.value)


@pytest.mark.parametrize("missing", ["clang", "ld.lld", "llvm-profdata", "libclang_rt.profile-*.a"])
def test_a_missing_part_is_named_with_the_packages_that_have_it(llvm: Make, missing: str) -> None:
    with pytest.raises(Failure) as caught:
        _found(llvm(without=missing))
    assert missing.split("*")[0] in str(caught.value)
    assert "apt-get install " + " ".join(DEBIAN_PACKAGES) in str(caught.value)


def test_a_missing_host_tool_is_named(llvm: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "HOST_TOOLS", {"no-such-perl": "perl"})
    with pytest.raises(Failure, match="no-such-perl"):
        _found(llvm())


def test_an_llvm_that_the_sandbox_would_cover_is_refused() -> None:
    with pytest.raises(Failure, match="below /mnt or /tmp"):
        find_toolchain({"PYMINT_LLVM": "/mnt/llvm"})


def test_another_linker_is_another_identity(llvm: Make) -> None:
    one = _found(llvm()).identity
    other = _found(llvm(linker="two")).identity
    assert {name for name in one if one[name] != other[name]} == {
        "ld.lld", "llvm-ar", "llvm-objcopy", "llvm-profdata",
    }  # fmt: skip


def test_other_flags_in_the_wrapper_are_another_identity(llvm: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _found(llvm()).identity["wrappers"]
    monkeypatch.setattr(toolchain, "_config", lambda triple, glibc: "-O0\n")
    assert _found(llvm()).identity["wrappers"] != before


def test_the_identity_has_no_path_of_this_machine(llvm: Make) -> None:
    identity = _found(llvm()).identity
    assert not [value for value in identity.values() if "/" in value]


def test_the_compilers_own_tools_come_first(llvm: Make) -> None:
    found = _found(llvm())
    assert found.path.split(":")[:2] == ["/mnt/pymint/toolchain/bin", str(found.bin)]


def test_a_toolchain_for_linux_makes_nothing_for_macos(llvm: Make, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="not for aarch64-apple-darwin"):
        prepare(tmp_path / "tools", load_matrix().targets["aarch64-apple-darwin"], _found(llvm()))


def test_preparing_twice_gives_the_same(llvm: Make, tmp_path: Path) -> None:
    def prepared() -> dict[str, str]:
        prepare(tmp_path / "tools", X86_64, _found(llvm()))
        return {str(p.relative_to(tmp_path)): p.read_text() for p in (tmp_path / "tools").rglob("*") if p.is_file()}

    first = prepared()
    assert prepared() == first
    assert {"tools/target.cfg", "tools/bin/clang", "tools/bin/cc", "tools/bin/ar", "tools/bin/ld"} <= set(first)


@needs_llvm
def test_clang_takes_every_flag_of_its_configuration(tmp_path: Path) -> None:
    """Compiles and links nothing: asks clang what it would do, for both Linux targets."""
    for target, glibc in ((X86_64, "17"), (AARCH64, "17")):
        directory = tmp_path / target.arch
        prepare(directory, target, find_toolchain({}))
        command = [str(SYSTEM_LLVM / "bin" / "clang"), f"--config={directory / 'target.cfg'}", "-###", "-Werror", "-c"]
        asked = subprocess.run([*command, "-x", "c", "/dev/null"], capture_output=True, text=True, check=False)
        assert asked.returncode == 0, asked.stderr
        assert f'"-triple" "{target.triple}"' in asked.stderr
        assert '"-isysroot" "/mnt/pymint/deps/sysroot"' in asked.stderr
        assert f'"__GLIBC_MINOR__={glibc}"' in asked.stderr
        assert "/usr/include" not in asked.stderr.replace("/mnt/pymint/deps/sysroot/usr/include", "")


@needs_llvm
def test_nothing_of_the_machines_own_c_library_is_linked(tmp_path: Path) -> None:
    prepare(tmp_path, X86_64, find_toolchain({}))
    command = [
        str(SYSTEM_LLVM / "bin" / "clang"),
        f"--config={tmp_path / 'target.cfg'}",
        "-###",
        "-x",
        "c",
        "/dev/null",
    ]
    line = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()[-1]
    words = [word.strip('"') for word in line.split()]
    assert words[0].endswith("ld.lld")
    assert "--sysroot=/mnt/pymint/deps/sysroot" in words
    assert not [word for word in words if word in ("-lgcc", "-lgcc_s") or "x86_64-linux-gnu" in word]
    assert [word for word in words if word.endswith("libclang_rt.builtins-x86_64.a")]


@needs_llvm
@pytest.mark.skipif(shutil.which("ldd") is None, reason="there is no ldd")
def test_the_libraries_that_clang_is_made_of_belong_to_its_identity() -> None:
    identity = find_toolchain({}).identity
    assert [name for name in identity if name.startswith("libLLVM")]
    assert [name for name in identity if name.startswith("libclang-cpp")]
