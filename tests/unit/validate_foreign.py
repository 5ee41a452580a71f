"""The good sample as others pack theirs: python-build-standalone and Verkada's fork, of either generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.unit.macho_samples import MachoMaker, stub
from tests.unit.test_validate_macho import PYTHON_FUNCTIONS
from tests.unit.validate_samples import CONFIG, INTERPRETER, LIBRARY, MODULE, MODULE_CONFIG, VERSION, Sample
from workers.validate.policy import Policy, load_policy

DYNLOAD = "install/lib/python3.13/lib-dynload"
DARWIN = "aarch64-apple-darwin"


def foreign(sample: Sample, policy_name: str, name: str, triple: str = "x86_64-unknown-linux-gnu") -> Sample:
    """The sample with this policy's modules and files, under a name of theirs."""
    policy = load_policy(policy_name)
    sample.name = name
    sample.document |= {"target_triple": triple, "build_options": "pgo+lto", "optimizations": "pgo+lto"}
    sample.document["build_info"]["extensions"] = _extensions(sample, policy, triple)
    for path in [path for path in sample.files if path.startswith(DYNLOAD)]:
        sample.drop(path)
    for ways in sample.document["build_info"]["extensions"].values():
        if "shared_lib" in ways[0]:
            sample.put(ways[0]["shared_lib"], sample.compiler.shared("void PyInit_it(void){}"))
    for path in ("FIPS.json", "BUILD.json", CONFIG):
        sample.drop(path)
    if policy.fips == "off":
        sample.drop(MODULE)
        sample.drop(MODULE_CONFIG)
    generation = "9.0" if "libtcl9.0.so" in policy.module_needs["_tkinter"] else "8.6"
    sample.put(f"install/lib/tcl{generation}/init.tcl", "# Tcl\n")
    return sample


def _extensions(sample: Sample, policy: Policy, triple: str) -> dict[str, Any]:
    sets = policy.modules_for(VERSION, triple)
    assert sets is not None
    template = sample.document["build_info"]["extensions"]["_ssl"][0]
    made: dict[str, Any] = {name: [{**template, "init_fn": "NULL"}] for name in sets[0] - sets[1]}
    ending = "cpython-313-darwin.so" if triple == DARWIN else "cpython-313-x86_64-linux-gnu.so"
    for name in sets[1]:
        made[name] = [{**template, "init_fn": f"PyInit_{name}", "shared_lib": f"{DYNLOAD}/{name}.{ending}"}]
    return made


def for_macos(sample: Sample, maker: MachoMaker, policy_name: str, name: str) -> Sample:
    """The same for Apple silicon: every binary of the archive is a Mach-O file."""
    sample = foreign(sample, policy_name, name, DARWIN)
    policy = load_policy(policy_name)
    stubs = [_stub_of(maker, library, policy.dylibs[library]) for library in sorted(policy.required_dylibs)]
    program = "void _start(void){} int main(void){return 0;}"
    python = "\n".join(f"void {name.removeprefix('_')}(void){{}}" for name in sorted(PYTHON_FUNCTIONS))
    library = maker.library(python, "libpython3.13.dylib", libraries=stubs)
    sample.put(INTERPRETER, maker.link(program, "-execute", "-e", "_main"), executable=True)
    sample.drop(LIBRARY)
    sample.put("install/lib/libpython3.13.dylib", library, executable=True)
    for path in [path for path in sample.files if path.startswith(DYNLOAD)]:
        sample.put(path, maker.link("void PyInit_it(void){}", "-bundle"))
    for path in ("build/Objects/object.o", "build/Modules/zlibmodule.o", "build/Modules/config.o"):
        sample.put(path, maker.compile("int one;", "piece").read_bytes())
    sample.drop("build/lib/libz.a")
    if policy.fips != "off":
        sample.drop(MODULE)
    sample.document |= {
        "python_platform_tag": "macosx-11.0-arm64",
        "crt_features": ["libSystem"],
        "apple_sdk_canonical_name": "macosx14.2",
        "apple_sdk_platform": "macosx",
        "apple_sdk_version": "14.2",
        "apple_sdk_deployment_target": "11.0",
    }
    core = sample.document["build_info"]["core"]
    core |= {"shared_lib": "install/lib/libpython3.13.dylib"}
    return sample


def _stub_of(maker: MachoMaker, library: str, compatibility: str) -> str:
    path = maker.directory / f"{library.rpartition('/')[2]}.tbd"
    symbols: Sequence[str] = ["_" + "".join(letter for letter in library if letter.isalnum())]
    path.write_text(stub(library, symbols, compatibility.removesuffix(".0.0")))
    return path.name
