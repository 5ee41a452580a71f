"""The rules for Mach-O files, on facts, and the reading of those facts from a real file where a linker is there."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.validate_samples import document
from workers.package.python_json import PythonJson, decode
from workers.validate.contents import Contents
from workers.validate.judge import judge
from workers.validate.macho import Dylib, MachO, read_macho
from workers.validate.policy import load_policy
from workers.validate.rule import Case

GOOD = MachO(
    path="install/lib/libpython3.13.dylib",
    machine="arm64",
    kind="library",
    slices=1,
    two_level=True,
    dylibs=(Dylib("/usr/lib/libSystem.B.dylib", (1, 0, 0)), Dylib("@rpath/libpython3.13.dylib", (3, 13, 0))),
    own_name="@rpath/libpython3.13.dylib",
    exported=frozenset({"_Py_Initialize"}),
    wanted=frozenset({"_malloc"}),
    minos=(11, 0, 0),
    sdk=(26, 0, 0),
    signed=False,
    padding=40,
)

MACHO_CHANGES = {
    "macho.machine": replace(GOOD, machine="x86_64"),
    "macho.two-level": replace(GOOD, two_level=False),
    "macho.own-name": replace(GOOD, own_name="/install/lib/libpython3.13.dylib"),
    "macho.dylibs": replace(GOOD, dylibs=(Dylib("/opt/homebrew/lib/libz.1.dylib", (1, 0, 0)),)),
    "macho.deployment-target": replace(GOOD, minos=(14, 0, 0)),
    "macho.dependency-symbols": replace(GOOD, exported=frozenset({"_SSL_read"})),
    "macho.header-padding": replace(GOOD, padding=8),
}


def broken_rules(macho: MachO) -> set[str]:
    contents = Contents("a.tar", "", (), (), (macho,), 0, {}, {}, {}, 0, {}, {}, {})
    case = Case(contents, load_policy("pymint"), apple_document(), triple="aarch64-apple-darwin", version="3.13")
    results = judge(case)
    return {result.id for result in results if result.id.startswith("macho.") and result.findings}


def apple_document() -> PythonJson:
    made = {**document(), "target_triple": "aarch64-apple-darwin", "apple_sdk_deployment_target": "11.0"}
    return decode(json.dumps(made).encode())


def test_a_good_library_breaks_no_rule() -> None:
    assert broken_rules(GOOD) == set()


@pytest.mark.parametrize("rule", MACHO_CHANGES)
def test_a_library_with_one_fault_breaks_the_rule_for_it_and_no_other(rule: str) -> None:
    assert broken_rules(MACHO_CHANGES[rule]) == {rule}


def test_only_apples_own_library_may_be_for_several_processors() -> None:
    fat = replace(GOOD, slices=2, machine="x86_64")
    assert broken_rules(fat) == {"macho.machine"}
    assert broken_rules(replace(fat, path="build/lib/libclang_rt.osx.a", kind="object")) == set()


def test_a_java_class_is_not_taken_for_a_fat_file() -> None:
    assert read_macho("A.class", b"\xca\xfe\xba\xbe" + (61).to_bytes(4, "big") + b"\0" * 100) is None


def test_the_facts_of_a_real_library_are_read(tmp_path: Path) -> None:
    clang = shutil.which("clang-22") or shutil.which("clang")
    linker = shutil.which("ld64.lld-22") or shutil.which("ld64.lld")
    if clang is None or linker is None:
        pytest.skip("no clang or no ld64.lld: a Mach-O library can't be made on this machine")
    (tmp_path / "x.c").write_text("void gone(void); void Py_Initialize(void){gone();} static void hidden(void){}")
    target = ["-target", "arm64-apple-macos11.0"]
    subprocess.run([clang, *target, "-w", "-c", "x.c", "-o", "x.o"], cwd=tmp_path, check=True)
    link = [
        linker,
        "-arch",
        "arm64",
        "-platform_version",
        "macos",
        "11.0",
        "14.2",
        "-dylib",
        "-undefined",
        "dynamic_lookup",
    ]
    name = "@rpath/libpython3.13.dylib"
    subprocess.run([*link, "-install_name", name, "x.o", "-o", "x.dylib"], cwd=tmp_path, check=True)
    found = read_macho("libpython3.13.dylib", (tmp_path / "x.dylib").read_bytes())
    assert found is not None
    assert (found.machine, found.kind, found.slices, found.own_name) == ("arm64", "library", 1, name)
    assert (found.minos[:2], found.sdk[:2], found.two_level) == ((11, 0), (14, 2), True)
    assert found.exported == {"_Py_Initialize"}
    assert found.wanted == {"_gone", "dyld_stub_binder"}
    compiled = read_macho("x.o", (tmp_path / "x.o").read_bytes())
    assert compiled is not None
    assert (compiled.kind, compiled.linked) == ("object", False)
