"""The rules for Mach-O files, each on facts with one fault."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from tests.unit.validate_samples import document
from workers.package.beside import FipsDocument
from workers.package.python_json import PythonJson, decode
from workers.reports.base import encode
from workers.reports.build import ProviderFacts
from workers.tarball import Member
from workers.validate.contents import Contents
from workers.validate.judge import judge
from workers.validate.macho import Dylib, MachO, Taken
from workers.validate.policy import load_policy
from workers.validate.rule import Case
from workers.validate.signature import Signature
from workers.validate.tbd import Sdk

LIBSYSTEM = "/usr/lib/libSystem.B.dylib"
PYTHON_FUNCTIONS = frozenset({"_Py_Initialize", "_PyList_New", "_Py_CompileString"})
SYSTEM = tuple(Dylib(name, (1, 0, 0)) for name in sorted(load_policy("pymint").required_dylibs))

GOOD = MachO(
    path="install/lib/libpython3.13.dylib",
    machine="arm64",
    kind="library",
    slices=1,
    two_level=True,
    dylibs=SYSTEM,
    own_name="@rpath/libpython3.13.dylib",
    exported=PYTHON_FUNCTIONS,
    wanted=frozenset({"_malloc"}),
    minos=(11, 0, 0),
    sdk=(14, 2, 0),
    padding=40,
    taken=(Taken("_malloc", LIBSYSTEM), Taken("_newer", LIBSYSTEM, weak=True)),
    signature=Signature(adhoc=True, broken=None),
)
LIBPYTHON = Dylib("@rpath/libpython3.13.dylib", (3, 13, 0))
PROGRAM = replace(
    GOOD,
    path="install/bin/python3.13",
    kind="executable",
    own_name="",
    dylibs=(*SYSTEM, LIBPYTHON),
    rpaths=("@executable_path/../lib",),
)

MACHO_CHANGES = {
    "macho.machine": replace(GOOD, machine="x86_64"),
    "macho.two-level": replace(GOOD, two_level=False),
    "macho.own-name": replace(GOOD, own_name="/install/lib/libpython3.13.dylib"),
    "macho.dylibs": replace(GOOD, dylibs=(*SYSTEM, Dylib("/opt/homebrew/lib/libz.1.dylib", (1, 0, 0)))),
    "macho.compatibility": replace(GOOD, dylibs=(*SYSTEM, Dylib(LIBSYSTEM, (1, 0, 1)))),
    "macho.required-dylibs": replace(GOOD, dylibs=SYSTEM[1:]),
    "macho.search-path": replace(PROGRAM, rpaths=("/elsewhere/lib",)),
    "macho.deployment-target": replace(GOOD, minos=(14, 0, 0)),
    "macho.sdk": replace(GOOD, sdk=(26, 0, 0)),
    "macho.signature": replace(GOOD, signature=None),
    "macho.dependency-symbols": replace(GOOD, exported=PYTHON_FUNCTIONS | {"_SSL_read"}),
    "macho.libpython-exports": replace(GOOD, exported=PYTHON_FUNCTIONS - {"_PyList_New"}),
    "macho.header-padding": replace(GOOD, padding=-1),
    "macho.sdk-symbols": replace(GOOD, taken=(Taken("_newer", LIBSYSTEM),)),
}


def broken_rules(*machos: MachO, policy: str = "pymint") -> set[str]:
    contents = Contents("a.tar", "", (), (), machos, 0, {}, {}, {}, 0, {}, {}, {})
    old = Sdk(Path(), "MacOSX11.3.sdk", (11, 3), {LIBSYSTEM: frozenset({"_malloc"})})
    case = Case(
        contents, load_policy(policy), apple_document(), triple="aarch64-apple-darwin", version="3.13", sdks=(old,)
    )
    return {result.id for result in judge(case) if result.id.startswith("macho.") and result.findings}


def apple_document() -> PythonJson:
    made = {
        **document(),
        "target_triple": "aarch64-apple-darwin",
        "apple_sdk_deployment_target": "11.0",
        "apple_sdk_version": "14.2",
    }
    return decode(json.dumps(made).encode())


@pytest.mark.parametrize("good", [GOOD, PROGRAM])
def test_a_good_file_breaks_no_rule(good: MachO) -> None:
    assert broken_rules(good) == set()


@pytest.mark.parametrize("rule", MACHO_CHANGES)
def test_a_file_with_one_fault_breaks_the_rule_for_it_and_no_other(rule: str) -> None:
    assert broken_rules(MACHO_CHANGES[rule]) == {rule}


def test_only_apples_own_library_may_be_for_several_processors() -> None:
    fat = replace(GOOD, slices=2, machine="x86_64")
    assert broken_rules(fat) == {"macho.machine"}
    inside = replace(fat, path="build/lib/libclang_rt.osx.a:os_version_check.o", kind="object")
    assert "macho.machine" not in broken_rules(inside)


def test_where_nothing_is_said_the_policy_says_for_which_macos_it_is() -> None:
    """The smaller flavours have no PYTHON.json."""
    for minos, broken in (((11, 0, 0), False), ((12, 0, 0), True)):
        contents = Contents("a.tar", "", (), (), (replace(GOOD, minos=minos),), 0, {}, {}, {}, 0, {}, {}, {})
        case = Case(contents, load_policy("pymint"), triple="aarch64-apple-darwin", version="3.13")
        found = next(result for result in judge(case) if result.id == "macho.deployment-target").findings
        assert bool(found) == broken


def test_only_a_signature_makes_up_for_no_room_in_the_header() -> None:
    assert broken_rules(replace(GOOD, padding=0)) == set()
    assert broken_rules(replace(GOOD, padding=0, signature=None)) == {"macho.header-padding", "macho.signature"}


def test_a_symbol_of_apples_linker_is_looked_for_by_its_own_name() -> None:
    assert broken_rules(replace(GOOD, taken=(Taken("R8289209$_malloc", LIBSYSTEM),))) == set()


def test_an_object_says_its_macos_or_nothing() -> None:
    compiled = replace(GOOD, path="build/Objects/object.o", kind="object", two_level=False, own_name="", dylibs=())
    assert broken_rules(GOOD, replace(compiled, minos=(), sdk=())) == set()
    assert broken_rules(GOOD, replace(compiled, minos=(14, 0, 0))) == {"macho.deployment-target"}


def test_a_library_without_a_name_of_its_own_can_be_loaded_by_nobody() -> None:
    assert broken_rules(replace(GOOD, own_name="")) == {"macho.own-name"}
    assert broken_rules(GOOD, replace(GOOD, path="install/lib/x.so", kind="bundle", own_name="")) == set()


def test_a_program_that_loads_by_rpath_needs_one() -> None:
    assert broken_rules(replace(PROGRAM, rpaths=())) == {"macho.search-path"}


def test_only_tkinter_loads_tcl_and_tk_up_to_their_versions() -> None:
    path = "install/lib/python3.13/lib-dynload/_tkinter.cpython-313-darwin.so"
    tkinter = replace(
        PROGRAM,
        path=path,
        kind="bundle",
        rpaths=("@loader_path/../..",),
        dylibs=(Dylib(LIBSYSTEM, (1, 0, 0)), Dylib("@rpath/libtcl9.0.dylib", (9, 0, 0))),
    )
    assert broken_rules(GOOD, tkinter) == set()
    assert broken_rules(GOOD, replace(tkinter, path=path.replace("_tkinter", "_ssl"))) == {"macho.dylibs"}
    newer = replace(tkinter, dylibs=(Dylib("@rpath/libtcl9.0.dylib", (9, 1, 0)),))
    assert broken_rules(GOOD, newer) == {"macho.compatibility"}


def test_a_later_libpython_is_not_this_archives() -> None:
    assert broken_rules(replace(PROGRAM, dylibs=(*SYSTEM, Dylib("@rpath/libpython3.13.dylib", (3, 14, 0))))) == {
        "macho.compatibility"
    }


def test_a_signature_that_does_not_fit_is_as_bad_as_none() -> None:
    assert broken_rules(replace(GOOD, signature=Signature(True, "the page at byte 0 was changed"))) == {
        "macho.signature"
    }


def test_a_library_that_an_older_macos_lacks_is_found_by_its_sdk() -> None:
    sdk = Sdk(Path(), "MacOSX11.3.sdk", (11, 3), {LIBSYSTEM: frozenset({"_malloc"}), "/usr/lib/libnew.dylib": None})
    newer = replace(GOOD, taken=(Taken("_x", "/usr/lib/libnew.dylib"),))
    contents = Contents("a.tar", "", (), (), (newer,), 0, {}, {}, {}, 0, {}, {}, {})
    case = Case(
        contents, load_policy("pymint"), apple_document(), triple="aarch64-apple-darwin", version="3.13", sdks=(sdk,)
    )
    found = next(result for result in judge(case) if result.id == "macho.sdk-symbols").findings
    assert [finding.found for finding in found] == ["loads /usr/lib/libnew.dylib"]


def test_without_an_sdk_no_symbol_is_held_against_one() -> None:
    contents = Contents("a.tar", "", (), (), (GOOD,), 0, {}, {}, {}, 0, {}, {}, {})
    case = Case(contents, load_policy("pymint"), apple_document(), triple="aarch64-apple-darwin", version="3.13")
    assert next(result for result in judge(case) if result.id == "macho.sdk-symbols").looked_at == 0


# --- the FIPS module ---

PROVIDER = replace(
    GOOD,
    path="install/share/ssl/ossl-modules/fips.dylib",
    kind="bundle",
    own_name="",
    dylibs=(Dylib(LIBSYSTEM, (1, 0, 0)),),
    exported=frozenset({"_OSSL_provider_init"}),
)


def fips_findings(module: MachO, procedure: Literal["toolchain", "policy"] = "toolchain") -> set[str]:
    facts = encode(
        FipsDocument(
            schema="pymint/fips/1",
            provider=ProviderFacts("3.5.7", procedure, None, ""),
            provider_sha256="0" * 64,
            module=module.path,
            module_config="",
            config="",
            statement="",
        )
    ).decode()
    members = (Member(f"python/{module.path}", "file", 0o644, 1, 0, 0, 0, "root", "root", "", ()),)
    contents = Contents("a.tar", "", members, (), (GOOD, module), 0, {}, {"FIPS.json": facts}, {}, 0, {}, {}, {})
    case = Case(contents, load_policy("pymint"), apple_document(), triple="aarch64-apple-darwin", version="3.13")
    return {
        result.id
        for result in judge(case)
        if result.id in ("fips.exports", "fips.needed", "macho.dependency-symbols") and result.findings
    }


def test_the_module_for_macos_exports_one_function_and_needs_libsystem() -> None:
    assert fips_findings(PROVIDER) == set()
    loud = replace(PROVIDER, exported=frozenset({"_OSSL_provider_init", "_EVP_MD_fetch"}))
    assert fips_findings(loud) == {"fips.exports"}
    assert fips_findings(replace(PROVIDER, dylibs=(Dylib("/usr/lib/libz.1.dylib", (1, 0, 0)),))) == {"fips.needed"}


def test_the_policys_own_build_for_macos_hides_nothing_and_may() -> None:
    loud = replace(PROVIDER, exported=frozenset({"_OSSL_provider_init", "_EVP_MD_fetch"}))
    assert fips_findings(loud, procedure="policy") == set()
    silent = replace(PROVIDER, exported=frozenset({"_EVP_MD_fetch"}))
    assert fips_findings(silent, procedure="policy") == {"fips.exports"}
