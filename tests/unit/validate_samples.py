"""A small archive that every rule of the `pymint` policy accepts, made of real binaries, to be broken one way each."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.sbom_samples import chosen, node
from workers.fips.config import module_mac
from workers.package.beside import BuildDocument, FipsDocument, Ingredient, statement
from workers.package.python_json import TEST_PACKAGES
from workers.package.tree import INSTALL, licence_name
from workers.reports.base import encode
from workers.reports.build import CellName, ChosenPin, Plan, ProviderFacts
from workers.sbom.bill import Materials, Part, bill
from workers.sbom.documents import documents
from workers.tarball import Entry, write_tar
from workers.validate.policy import load_policy

TRIPLE = "x86_64-unknown-linux-gnu"
VERSION = "3.13"
NAME = f"cpython-3.13.5-{TRIPLE}-noopt-20261123T2000.tar"
LOADER = "/lib64/ld-linux-x86-64.so.2"
HARD = ("-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack", "-Wl,--build-id=sha1")

MODULES, SHARED = load_policy("pymint").modules_for(VERSION, TRIPLE) or (frozenset(), frozenset())
BUILT_IN = sorted(MODULES - SHARED)

_LIBC = (
    "void __stack_chk_fail(void){} void *__memcpy_chk(void){return 0;} void new_thing(void){} void old_thing(void){}"
)
_LIBC_VERSIONS = (
    "GLIBC_2.17 { global: __stack_chk_fail; __memcpy_chk; old_thing; };\nGLIBC_2.35 { global: new_thing; };\n"
)
MAIN = """
extern void __stack_chk_fail(void); extern void *__memcpy_chk(void); extern void old_thing(void);
void _start(void) { old_thing(); __memcpy_chk(); __stack_chk_fail(); }
"""
LIBPYTHON = "\n".join(
    f"void {name}(void){{}}"
    for name in ("Py_Initialize", "PyList_New", "Py_CompileString", *(f"PyInit_{module}" for module in BUILT_IN))
)
PROVIDER = "extern void old_thing(void); void OSSL_provider_init(void) { old_thing(); }"


class Compiler:
    """Makes small ELF files, each once. Needs no libc of this machine: it links against a stub of its own."""

    def __init__(self, directory: Path, command: str) -> None:
        self._directory = directory
        self._command = command
        self._made: dict[tuple[str, ...], bytes] = {}
        (directory / "libc.map").write_text(_LIBC_VERSIONS)
        self._stub("libc.so.6", _LIBC, "-Wl,--version-script=libc.map")
        self._stub("libfoo.so.1", "void foo(void){}")
        self._stub("libm.so.6", "void m(void){}")
        self._stub("librt.so.1", "void rt(void){}")
        self._stub("libgcc_s.so.1", "void unwind(void){}")

    def _stub(self, soname: str, source: str, *flags: str) -> None:
        self._run(source, soname, "-shared", f"-Wl,-soname,{soname}", *flags)

    def _run(self, source: str, out: str, *flags: str) -> bytes:
        (self._directory / "source.c").write_text(source)
        command = [
            self._command,
            "-w",
            "-O0",
            "-fPIC",
            "-nostdlib",
            "-fno-stack-protector",
            "source.c",
            "-o",
            out,
            *flags,
        ]
        subprocess.run(command, cwd=self._directory, check=True, capture_output=True)
        return (self._directory / out).read_bytes()

    def elf(self, source: str, *flags: str) -> bytes:
        key = (source, *flags)
        if key not in self._made:
            self._made[key] = self._run(source, "out", *flags)
        return self._made[key]

    def shared(self, source: str, *flags: str, hard: tuple[str, ...] = HARD) -> bytes:
        return self.elf(source, "-shared", *hard, "-Wl,--no-as-needed", "./libc.so.6", *flags)

    def program(
        self, source: str, *flags: str, loader: str = LOADER, name: str = "-Wl,-soname,libpython3.13.so.1.0"
    ) -> bytes:
        return self.elf(
            source,
            "-no-pie",
            "-fno-pic",
            *HARD,
            name,
            f"-Wl,--dynamic-linker={loader}",
            "-Wl,--no-as-needed",
            "./libc.so.6",
            *flags,
        )

    def object(self, source: str) -> bytes:
        return self.elf(source, "-c")


def find_compiler(directory: Path) -> Compiler:
    """Skips, saying why, where there is none: the rules for ELF files are then not tested on this machine."""
    command = next((path for name in ("cc", "gcc", "clang", "clang-22") if (path := shutil.which(name))), None)
    if command is None:
        pytest.skip("no C compiler (cc, gcc, clang): the binaries that the rules are tried on can't be made")
    return Compiler(directory, command)


def static_library(members: dict[str, bytes]) -> bytes:
    """A static library in the GNU form."""
    out = b"!<arch>\n"
    for name, data in members.items():
        out += (
            f"{name + '/':16}{'0':12}{'0':6}{'0':6}{'644':8}{len(data):<10}`\n".encode()
            + data
            + b"\n" * (len(data) % 2)
        )
    return out


def document() -> dict[str, Any]:
    """A PYTHON.json that fits the sample."""
    extension = {"in_core": False, "links": [], "objs": [], "required": False, "variant": "default"}
    extensions: dict[str, Any] = {n: [{**extension, "init_fn": f"PyInit_{n}"}] for n in BUILT_IN}
    extensions["zlib"][0] |= {
        "links": [{"name": "z", "path_static": "build/lib/libz.a"}],
        "licenses": ["Zlib"],
        "license_paths": ["licenses/LICENSE.zlib.txt"],
        "objs": ["build/Modules/zlibmodule.o"],
    }
    for name in sorted(SHARED):
        path = f"install/lib/python3.13/lib-dynload/{name}.cpython-313-x86_64-linux-gnu.so"
        extensions[name] = [{**extension, "init_fn": f"PyInit_{name}", "shared_lib": path}]
    return {
        "version": "8",
        "target_triple": TRIPLE,
        "build_options": "noopt",
        "optimizations": "noopt",
        "python_tag": "cp313",
        "python_abi_tag": "",
        "python_platform_tag": "linux-x86_64",
        "python_implementation_cache_tag": "cpython-313",
        "python_implementation_hex_version": 0x030D05F0,
        "python_implementation_name": "cpython",
        "python_implementation_version": ["3", "13", "5", "final", "0"],
        "python_version": "3.13.5",
        "python_major_minor_version": "3.13",
        "python_paths": {"stdlib": "install/lib/python3.13", "scripts": "install/bin"},
        "python_paths_abstract": {"stdlib": "{installed_base}/lib/python3.13"},
        "python_config_vars": {"abiflags": "", "prefix": "/install"},
        "python_exe": "install/bin/python3.13",
        "python_stdlib_platform_config": "install/lib/python3.13/config-3.13-x86_64-linux-gnu",
        "python_stdlib_test_packages": TEST_PACKAGES,
        "python_suffixes": {
            "bytecode": [".pyc"],
            "debug_bytecode": [".pyc"],
            "extension": [".so"],
            "optimized_bytecode": [".pyc"],
            "source": [".py"],
        },
        "python_bytecode_magic_number": "f30d0d0a",
        "libpython_link_mode": "shared",
        "python_symbol_visibility": "global-default",
        "python_extension_module_loading": ["builtin", "shared-library"],
        "crt_features": ["glibc-dynamic", "glibc-max-symbol-version:2.17"],
        "run_tests": "build/run_tests.py",
        "licenses": ["Python-2.0", "CNRI-Python"],
        "license_path": "licenses/LICENSE.cpython.txt",
        "tcl_library_path": None,
        "tcl_library_paths": None,
        "build_info": {
            "core": {
                "objs": ["build/Objects/object.o"],
                "links": [],
                "shared_lib": "install/lib/libpython3.13.so.1.0",
            },
            "extensions": extensions,
            "inittab_object": "build/Modules/config.o",
            "inittab_source": "build/Modules/config.c",
            "inittab_cflags": ["-std=c99"],
            "object_file_format": "elf",
        },
    }


def module_config(mac: str) -> str:
    return f"[fips_sect]\nactivate = 1\ninstall-version = 1\nsecurity-checks = 1\nmodule-mac = {mac}\n"


def own_config(mac: str) -> str:
    return (
        "config_diagnostics = 1\nopenssl_conf = openssl_init\n"
        "[openssl_init]\nproviders = provider_sect\nalg_section = algorithm_sect\n"
        "[provider_sect]\nfips = fips_sect\ndefault = default_sect\n"
        "[default_sect]\nactivate = 1\n[algorithm_sect]\ndefault_properties = fips=yes\n" + module_config(mac)
    )


PROVIDER_FACTS = ProviderFacts("3.5.7", "toolchain", None, "2.17")
SOURCES = {"zlib": "zlib", "fips-provider": "openssl-fips", "cpython-3.13": "cpython-3.13"}
BUILD = BuildDocument(
    schema="pymint/build/1",
    cell=CellName(VERSION, TRIPLE, "noopt"),
    python_version="3.13.5",
    commit="c" * 40,
    dirty=False,
    epoch=1700000000,
    archive_key="a" * 64,
    toolchain={},
    pins=[
        ChosenPin(source, chosen(source)[0].version, chosen(source)[1].sha256, chosen(source)[0].version)
        for source in SOURCES.values()
    ],
    nodes=[Ingredient(name, "b" * 64, "d" * 64, [licence_name(source)]) for name, source in SOURCES.items()],
)
PLAN = Plan(
    schema="pymint/plan/2",
    cell=BUILD.cell,
    commit=BUILD.commit,
    dirty=False,
    epoch=BUILD.epoch,
    python_version=BUILD.python_version,
    archive_name=f"{NAME}.zst",
    archive_key=BUILD.archive_key,
    archive_stored=False,
    toolchain={},
    provider=PROVIDER_FACTS,
    pins=BUILD.pins,
    nodes=[node(name, [source], []) for name, source in SOURCES.items()],
)


def fips_document(module: bytes, facts: ProviderFacts = PROVIDER_FACTS) -> bytes:
    ssl = "install/share/ssl"
    return encode(
        FipsDocument(
            "pymint/fips/1",
            facts,
            hashlib.sha256(module).hexdigest(),
            f"{ssl}/ossl-modules/fips.so",
            f"{ssl}/fipsmodule.cnf",
            f"{ssl}/openssl-fips.cnf",
            statement(facts),
        )
    )


@dataclass
class Sample:
    """An archive to be. files: by path below `python/`; document is PYTHON.json, which is not among them.

    The bills of materials are made when it is written. bills: the ending of one, with what is to be changed in it.
    """

    compiler: Compiler
    document: dict[str, Any]
    files: dict[str, Entry]
    name: str = NAME
    first: str = "python/PYTHON.json"
    bills: list[tuple[str, Callable[[Any], Any]]] = field(default_factory=list)
    after: list[Callable[[bytes], bytes]] = field(default_factory=list)

    def put(self, path: str, data: bytes | str, *, executable: bool = False) -> None:
        content = data.encode() if isinstance(data, str) else data
        self.files[path] = Entry(f"python/{path}", data=content, executable=executable)

    def link(self, path: str, target: str) -> None:
        self.files[path] = Entry(f"python/{path}", link=target)

    def drop(self, path: str) -> None:
        del self.files[path]

    def data(self, path: str) -> bytes:
        return self.files[path].data or b""

    def change(self, path: str, change: Callable[[bytes], bytes]) -> None:
        self.files[path] = replace(self.files[path], data=change(self.data(path)))

    def bills_of_materials(self) -> list[Entry]:
        """Of what FIPS.json and the module say, as far as they can be read."""
        try:
            fips = msgspec.json.decode(self.data("FIPS.json"), type=FipsDocument)
        except (KeyError, msgspec.DecodeError):
            fips = msgspec.json.decode(fips_document(b""), type=FipsDocument)
        mac = module_mac(self.data(MODULE)) if MODULE in self.files else ""
        parts = [Part(one, "d" * 64, "static" if one.name == "zlib" else "") for one in PLAN.nodes]
        pins = {source: chosen(source) for source in SOURCES.values()}
        entries = documents(bill(Materials(PLAN, pins, parts, [], {}, [], fips, mac))).entries("cpython-3.13", INSTALL)
        changed = []
        for entry in entries:
            found = json.loads(entry.data or b"")
            for ending, change in self.bills:
                if entry.path.endswith(ending):
                    found = change(found)
            if found is not None:
                changed.append(replace(entry, data=json.dumps(found, indent=1).encode()))
        return changed

    def write(self, directory: Path) -> Path:
        entries = [
            *self.files.values(),
            *self.bills_of_materials(),
            Entry("python/PYTHON.json", data=json.dumps(self.document).encode()),
        ]
        path = directory / self.name
        write_tar(path, entries, epoch=1700000000, first=self.first)
        data = path.read_bytes()
        for change in self.after:
            data = change(data)
        path.write_bytes(data)
        return path


INTERPRETER = "install/bin/python3.13"
LIBRARY = "install/lib/libpython3.13.so.1.0"
MODULE = "install/share/ssl/ossl-modules/fips.so"
MODULE_CONFIG = "install/share/ssl/fipsmodule.cnf"
CONFIG = "install/share/ssl/openssl-fips.cnf"
SYSCONFIG_DATA = "install/lib/python3.13/_sysconfigdata__linux_x86_64-linux-gnu.py"
MAKEFILE = "install/lib/python3.13/config-3.13-x86_64-linux-gnu/Makefile"
HEADER = "install/include/python3.13/pyconfig.h"
PKG_CONFIG = "install/lib/pkgconfig/python-3.13.pc"
CONFIG_SCRIPT = "install/bin/python3.13-config"
TOOLS = "CC=\t\tcc -pthread\nCXX=\tc++ -pthread\nAR=\tar\nLDSHARED=\t$(CC) -shared\nCFLAGS=\t-O3\n"
SYSCONFIG_TEXT = """\
build_time_vars = {"LIBDIR": "/install/lib", "CC": "cc", "CXX": "c++", "AR": "ar", "LDSHARED": "cc -shared", "N": 1}
build_time_vars = {name: value for name, value in build_time_vars.items()}
"""


def good(compiler: Compiler) -> Sample:
    """The archive that nothing is wrong with."""
    sample = Sample(compiler, document(), {})
    sample.put(INTERPRETER, compiler.program(MAIN), executable=True)
    sample.link("install/bin/python3", "python3.13")
    sample.link("install/bin/python", "python3.13")
    sample.put(CONFIG_SCRIPT, "#!/bin/sh\nprefix=$prefix_real\nCFLAGS='-O3'\n", executable=True)
    sample.put(LIBRARY, compiler.shared(LIBPYTHON, "-Wl,-soname,libpython3.13.so.1.0"), executable=True)
    for name in SHARED:
        path = f"install/lib/python3.13/lib-dynload/{name}.cpython-313-x86_64-linux-gnu.so"
        sample.put(path, compiler.shared("void PyInit_it(void){}"), executable=True)
    sample.put("install/lib/python3.13/os.py", "# speaks of /tmp/ and /home/someone/ as texts do\n")
    sample.put(SYSCONFIG_DATA, SYSCONFIG_TEXT)
    sample.put(MAKEFILE, "prefix=\t$(abspath $(dir $(MAKEFILE_LIST)))\n" + TOOLS)
    sample.put(HEADER, "#define HAVE_UNISTD_H 1\n")
    sample.put(PKG_CONFIG, "prefix=${pcfiledir}/../..\nlibdir=${prefix}/lib\nCflags: -I${prefix}/include\n")
    sample.put("build/Objects/object.o", compiler.object("int object;"))
    sample.put("build/Modules/zlibmodule.o", compiler.object("int zlib;"))
    sample.put("build/Modules/config.o", compiler.object("int config;"))
    sample.put("build/Modules/config.c", "int config;\n")
    sample.put("build/run_tests.py", "pass\n")
    sample.put("build/lib/libz.a", static_library({"adler32.o": compiler.object("int adler32;")}))
    sample.put("licenses/LICENSE.cpython.txt", "PSF\n")
    sample.put("licenses/LICENSE.zlib.txt", "zlib\n")
    sample.put("licenses/LICENSE.openssl-fips.txt", "Apache\n")
    sample.put("BUILD.json", encode(BUILD))
    provider(sample, compiler.shared(PROVIDER))
    return sample


def provider(sample: Sample, module: bytes, facts: ProviderFacts = PROVIDER_FACTS) -> None:
    """Puts in a FIPS module with the configs and facts that fit it."""
    mac = module_mac(module)
    sample.put(MODULE, module, executable=True)
    sample.put(MODULE_CONFIG, module_config(mac))
    sample.put(CONFIG, own_config(mac))
    sample.put("FIPS.json", fips_document(module, facts))


def program_header_flags(data: bytes, kind: int, wanted: int, flags: int) -> bytes:
    """Sets the flags of the program headers of a kind (PT_…) whose flags include `wanted`."""
    out = bytearray(data)
    offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    for start in range(offset, offset + size * count, size):
        found, old = struct.unpack_from("<II", data, start)
        if found == kind and old & wanted:
            struct.pack_into("<I", out, start + 4, flags)
    return bytes(out)
