"""One fault each in what a build writes of its place and its tools, with the rules that it breaks."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.unit.validate_faults import trips
from tests.unit.validate_samples import (
    CONFIG_SCRIPT,
    HEADER,
    MAKEFILE,
    PKG_CONFIG,
    SYSCONFIG_DATA,
    SYSCONFIG_TEXT,
    TOOLS,
    Sample,
)

SYSCONFIG_JSON = "install/lib/python3.14/_sysconfig_vars__linux_x86_64-linux-gnu.json"
DETAILS = "install/lib/python3.14/build-details.json"
VARIABLES = {"CC": "cc", "CXX": "c++", "AR": "ar", "LDSHARED": "cc -shared", "LIBDIR": "{installed_base}/lib"}


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        assert old.encode() in data
        return data.replace(old.encode(), new.encode())

    return change


@trips("relocation.files")
def sysconfigs_data_is_missing(sample: Sample) -> None:
    sample.drop(SYSCONFIG_DATA)


@trips("relocation.files")
def pyconfig_h_is_missing(sample: Sample) -> None:
    sample.drop(HEADER)


@trips("relocation.prefix")
def the_makefile_has_the_prefix(sample: Sample) -> None:
    sample.put(MAKEFILE, "prefix=\t/install\n" + TOOLS)


@trips("relocation.prefix")
def python_config_has_the_prefix(sample: Sample) -> None:
    sample.put(CONFIG_SCRIPT, '#!/bin/sh\nLIBPL="/install/lib/python3.13/config"\n', executable=True)


@trips("relocation.prefix")
def pyconfig_h_has_the_prefix(sample: Sample) -> None:
    sample.put(HEADER, '#define VPATH "/install/lib"\n')


@trips("relocation.prefix")
def the_json_of_sysconfig_has_the_prefix(sample: Sample) -> None:
    sample.put(SYSCONFIG_JSON, json.dumps({**VARIABLES, "LIBDIR": "/install/lib"}))


@trips("relocation.sysconfig")
def sysconfigs_data_is_as_it_was_built(sample: Sample) -> None:
    sample.put(SYSCONFIG_DATA, SYSCONFIG_TEXT.splitlines()[0] + "\n")


@trips("relocation.sysconfig")
def sysconfigs_data_has_a_directory_of_the_build(sample: Sample) -> None:
    sample.change(SYSCONFIG_DATA, replaced('"N": 1', '"VPATH": "/tools/deps/lib"'))


@trips("relocation.sysconfig", "relocation.compiler")
def sysconfigs_data_is_cut_off(sample: Sample) -> None:
    sample.put(SYSCONFIG_DATA, SYSCONFIG_TEXT[:40])


@trips("relocation.compiler")
def extension_modules_are_built_with_clang(sample: Sample) -> None:
    sample.change(SYSCONFIG_DATA, replaced('"CC": "cc"', '"CC": "clang -pthread"'))


@trips("relocation.compiler")
def the_makefile_compiles_by_an_option_of_clang(sample: Sample) -> None:
    sample.put(MAKEFILE, TOOLS.replace("-O3", "-O3 -fdebug-default-version=4"))


@trips("relocation.compiler")
def extension_modules_are_linked_by_an_option_of_lld(sample: Sample) -> None:
    sample.change(SYSCONFIG_DATA, replaced("cc -shared", "cc -shared -Wl,--icf=all"))


@trips("relocation.compiler")
def extension_modules_are_optimised_at_link_time(sample: Sample) -> None:
    sample.change(SYSCONFIG_DATA, replaced('"N": 1', '"CFLAGS": "-O3 -flto=full"'))


@trips("relocation.compiler")
def static_libraries_are_made_by_llvm_ar(sample: Sample) -> None:
    sample.put(SYSCONFIG_JSON, json.dumps({**VARIABLES, "AR": "/usr/lib/llvm-22/bin/llvm-ar"}))


@trips("relocation.compiler")
def the_json_of_sysconfig_is_cut_off(sample: Sample) -> None:
    sample.put(SYSCONFIG_JSON, json.dumps(VARIABLES)[:-1])


@trips("relocation.options")
def python_config_passes_an_option_of_clang(sample: Sample) -> None:
    sample.put(CONFIG_SCRIPT, '#!/bin/sh\nCFLAGS="-O3 -fprofile-instr-use=code"\n', executable=True)


@trips("relocation.options")
def a_pc_file_passes_an_option_of_lld(sample: Sample) -> None:
    sample.change(PKG_CONFIG, lambda data: data + b"Libs: -fuse-ld=lld\n")


@trips("relocation.prefix", "relocation.build-details")
def build_details_have_the_prefix(sample: Sample) -> None:
    sample.put(DETAILS, json.dumps({"base_prefix": "../..", "c_api": {"headers": "/install/include/python3.14"}}))


@trips("relocation.build-details")
def build_details_have_an_absolute_path(sample: Sample) -> None:
    sample.put(DETAILS, json.dumps({"base_prefix": "../..", "arguments": ["./bin/python3.14", "/usr/bin/env"]}))


@trips("relocation.build-details")
def build_details_do_not_say_where_they_are(sample: Sample) -> None:
    sample.put(DETAILS, json.dumps({"c_api": {}}))
