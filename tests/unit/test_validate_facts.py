"""Every way to break a rule that has several: on facts that are good but for one thing, so no file is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.validate_samples import CONFIG, MODULE, MODULE_CONFIG, document, own_config
from workers.package.python_json import decode
from workers.tarball import Member
from workers.validate.contents import Contents, below_python
from workers.validate.elf import Elf, Wanted
from workers.validate.judge import judge
from workers.validate.policy import load_policy
from workers.validate.rule import make_case

NAME = "cpython-3.13.5-x86_64-unknown-linux-gnu-noopt-20261123T2000.tar"
PYTHON = Elf(
    "install/bin/python3.13", "x86_64", "executable", needed=("libc.so.6",), versions=frozenset({"GLIBC_2.17"}),
    wanted=(Wanted("__stack_chk_fail", "GLIBC_2.17"), Wanted("__memcpy_chk", "GLIBC_2.17")),
    interpreter="/lib64/ld-linux-x86-64.so.2", soname="libpython3.13.so.1.0", dynamic=True, stack="not executable",
    relro=True, bind_now=True, build_id="ab",
)  # fmt: skip
MODULES = "install/lib/python3.13/lib-dynload"
ENDING = "cpython-313-x86_64-linux-gnu.so"
FILE = Member("python/build/notes.txt", "file", 0o644, 1, 1700000000, 0, 0, "root", "root", "", ())


def contents(*elves: Elf, members: tuple[Member, ...] = (FILE,), texts: dict[str, str] | None = None) -> Contents:
    return Contents(NAME, "0" * 64, members, elves, (), 0, {}, texts or {}, {}, 0, {}, {}, {})


def broken(found: Contents, policy: str = "pymint") -> set[str]:
    return {result.id for result in judge(make_case(found, load_policy(policy))) if result.findings}


def broken_by(good: Contents, bad: Contents, policy: str = "pymint") -> set[str]:
    return broken(bad, policy) - broken(good, policy)


# --- ELF files ---


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("elf.glibc-floor", {"relative_relocations": True}),
        ("elf.glibc-floor", {"versions": frozenset({"GLIBC_2.17", "GLIBC_2.34"})}),  # that no symbol names
        ("elf.stack", {"stack": "missing"}),
        ("elf.stack", {"stack": "executable"}),
        ("elf.needed", {"needed": ("libpython3.12.so.1.0",)}),
        ("elf.needed", {"needed": ("libcrypt.so.1",)}),
        ("elf.loader", {"interpreter": "/lib64/ld-linux.so.2"}),
        ("elf.search-path", {"search": ("",)}),
    ],
)
def test_an_elf_file_with_one_fault_breaks_the_rule_for_it(rule: str, change: dict[str, Any]) -> None:
    assert rule in broken_by(contents(PYTHON), contents(replace(PYTHON, **change)))


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        (f"{MODULES}/_crypt.{ENDING}", "libcrypt.so.1"),
        (f"{MODULES}/_tkinter.{ENDING}", "libtcl8.6.so"),
        ("install/lib/libtk8.6.so", "libtcl8.6.so"),
        (f"{MODULES}/_dbm.{ENDING}", "libpython3.13.so.1.0"),
    ],
)
def test_some_files_may_need_what_no_other_may(path: str, needed: str) -> None:
    module = replace(PYTHON, path=path, kind="shared", interpreter="", soname="", needed=("libc.so.6", needed))
    assert "elf.needed" not in broken(contents(PYTHON, module))


def test_what_came_before_the_hardening_is_not_asked_for_it() -> None:
    soft = replace(PYTHON, stack="missing", relro=False, bind_now=False, wanted=(), text_relocations=True)
    hardening = {
        "elf.stack", "elf.relro", "elf.bind-now", "elf.text-relocations", "elf.stack-protector", "elf.fortify",
    }  # fmt: skip
    for policy, asked in (("astral-2026-08", hardening), ("astral-2025-12", set())):
        assert broken_by(contents(PYTHON), contents(soft), policy) & hardening == asked


def test_a_debug_build_calls_no_checked_functions() -> None:
    without = replace(PYTHON, wanted=PYTHON.wanted[:1])
    for options, asked in (("noopt", True), ("debug", False)):
        assert ("elf.fortify" in broken(contents(without, texts=python_json(build_options=options)))) == asked


# --- the archive ---


@pytest.mark.parametrize(
    "change",
    [
        {"uid": 1000}, {"gid": 1000}, {"uname": "builder"}, {"gname": "builder"}, {"mode": 0o664}, {"mode": 0o600},
        {"mtime": 1700000000.5}, {"mtime": 1700000001}, {"kind": "directory"}, {"kind": "hardlink", "link": FILE.path},
        {"pax": ("SCHILY.xattr.user.x",)},
    ],
)  # fmt: skip
def test_a_member_that_another_machine_would_pack_otherwise(change: dict[str, Any]) -> None:
    other = replace(FILE, path="python/build/other.txt", **change)
    good = contents(members=(FILE, replace(FILE, path="python/build/other.txt")))
    assert "archive.deterministic" in broken_by(good, contents(members=(FILE, other)))


# --- PYTHON.json ---


def python_json(change: Callable[[dict[str, Any]], None] = lambda said: None, **fields: Any) -> dict[str, str]:
    said = {**document(), **fields}
    change(said)
    decode(json.dumps(said).encode())  # of its format, so that it is judged by what it says
    return {"PYTHON.json": json.dumps(said)}


def _extension(name: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda said: said["build_info"]["extensions"][name][0].update(fields)


def _core(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda said: said["build_info"]["core"].update(fields)


def _info(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda said: said["build_info"].update(fields)


GONE = "build/lib/libgone.a"
LINKS = [{"name": "x", "path_static": GONE}]


@pytest.mark.parametrize(
    "change",
    [
        _core(objs=[GONE]), _core(shared_lib=GONE), _core(static_lib=GONE), _core(links=LINKS),
        _info(inittab_object=GONE), _info(inittab_source=GONE), _extension("zlib", objs=[GONE]),
        _extension("zlib", static_lib=GONE), _extension("zlib", links=LINKS),
        _extension("zlib", links=[{"name": "x", "path_dynamic": GONE}]),
    ],
)  # fmt: skip
def test_a_piece_that_is_named_and_not_there(change: Callable[[dict[str, Any]], None]) -> None:
    case = make_case(contents(texts=python_json(change)), load_policy("pymint"))
    (found,) = (result.findings for result in judge(case) if result.id == "archive.objects-exist")
    assert any(GONE in finding.found for finding in found)


@pytest.mark.parametrize(
    ("rule", "texts"),
    [
        ("python-json.abiflags", python_json(build_options="freethreaded+pgo+lto")),
        ("python-json.abiflags", python_json(python_config_vars={"abiflags": "t"})),
        ("python-json.abiflags", python_json(python_config_vars={"abiflags": "d"})),
        ("python-json.glibc", python_json(crt_features=["glibc-dynamic"])),
        ("python-json.shared", python_json(_extension("_dbm", in_core=True))),
        ("python-json.shared", python_json(_extension("_ssl", shared_lib=f"{MODULES}/_ssl.{ENDING}"))),
        ("python-json.apple-sdk", python_json(target_triple="aarch64-apple-darwin", apple_sdk_version="14.2")),
    ],
)
def test_a_document_that_says_what_is_not_so(rule: str, texts: dict[str, str]) -> None:
    assert rule in broken_by(contents(PYTHON, texts=python_json()), contents(PYTHON, texts=texts))


# --- the FIPS module's configuration ---

MAC = "AA"
OWN = own_config(MAC)


def with_config(text: str) -> Contents:
    members = tuple(replace(FILE, path=f"python/{path}") for path in ("PYTHON.json", CONFIG, MODULE_CONFIG, MODULE))
    shipped = OWN[OWN.index("[fips_sect]") :]
    found = contents(members=members, texts={CONFIG: text, MODULE_CONFIG: shipped})
    return replace(found, macs={below_python(f"python/{MODULE}"): MAC})


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("fips.active", "[fips_sect]\nactivate = 1", "[fips_sect]\nactivate = 0"),
        ("fips.active", "[default_sect]\nactivate = 1", "[default_sect]"),
        ("fips.active", "fips = fips_sect\n", ""),
        ("fips.active", "providers = provider_sect\n", ""),
        ("fips.active", "fips=yes", "?fips=yes"),
        ("fips.relocatable", "[fips_sect]\n", "[fips_sect]\nmodule = fips.so\n"),
        ("fips.relocatable", "[fips_sect]\n", "[fips_sect]\nname = $ENV::X\n"),
        ("fips.module-mac", "[default_sect]\n", f"[default_sect]\nmodule-mac = {MAC}\n"),
        ("fips.module-mac", f"module-mac = {MAC}\n", ""),
        ("fips.no-install-status", "[fips_sect]\n", "[fips_sect]\ninstall-mac = AA\n"),
    ],
)
def test_a_configuration_with_one_fault_breaks_the_rule_for_it(rule: str, old: str, new: str) -> None:
    assert old in OWN
    assert rule in broken_by(with_config(OWN), with_config(OWN.replace(old, new)))


def test_a_check_counts_in_the_modules_own_section_alone() -> None:
    def knowing(text: str) -> Contents:
        return replace(with_config(text), checks={MODULE: frozenset({"hmac-key-check"})})

    elsewhere = OWN.replace("[default_sect]\n", "[default_sect]\nhmac-key-check = 1\n")
    findings = {
        finding.file
        for result in judge(make_case(knowing(elsewhere), load_policy("pymint")))
        for finding in result.findings
        if result.id == "fips.not-weakened"
    }
    assert findings == {CONFIG, MODULE_CONFIG}
