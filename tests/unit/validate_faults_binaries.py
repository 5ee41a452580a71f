"""One fault each, as in validate_faults: ELF files and the FIPS module."""

from __future__ import annotations

import re
import struct
from dataclasses import replace

from tests.unit.validate_faults import trips
from tests.unit.validate_samples import (
    BUILD,
    CONFIG,
    INTERPRETER,
    LIBPYTHON,
    LIBRARY,
    MAIN,
    MODULE,
    MODULE_CONFIG,
    PROVIDER,
    PROVIDER_FACTS,
    Sample,
    program_header_flags,
    provider,
    static_library,
)
from workers.reports.base import encode

PT_LOAD, PF_X, RWX = 1, 1, 7


@trips("elf.machine")
def an_object_is_for_another_processor(sample: Sample) -> None:
    foreign = sample.data("build/Objects/object.o")
    sample.put("build/Objects/object.o", foreign[:18] + struct.pack("<H", 183) + foreign[20:])


@trips("elf.needed")
def a_library_is_needed_that_not_every_system_has(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON, "./libfoo.so.1"))


@trips("elf.needed")
def a_library_of_old_systems_is_opened_at_each_start(sample: Sample) -> None:
    sample.put(INTERPRETER, sample.compiler.program(MAIN, "./librt.so.1"), executable=True)


@trips("elf.needed-declared")
def a_needed_library_is_not_declared(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON, "./libm.so.6"))


@trips("elf.glibc-floor", "python-json.glibc")
def a_newer_glibc_is_wanted(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON + "\nextern void new_thing(void); void x(void){new_thing();}"))


@trips("elf.banned-symbols")
def a_static_librarys_member_wants_a_banned_function(sample: Sample) -> None:
    bad = sample.compiler.object("extern void pthread_yield(void); void x(void){pthread_yield();}")
    sample.put("build/lib/libz.a", static_library({"a.o": sample.compiler.object("int a;"), "b.o": bad}))


@trips("elf.dependency-symbols")
def libpython_exports_openssl(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON + "\nvoid SSL_read(void){}"))


@trips("elf.dependency-symbols")
def libpython_exports_any_other_function_of_openssl(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON + "\nvoid EVP_Q_digest(void){}"))


@trips("elf.libpython-exports")
def libpython_does_not_export_python(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON.replace("void PyList_New", "static void PyList_New")))


@trips("archive.libpython", "elf.libpython-exports")
def libpython_exports_nothing(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared("static void nothing(void){}"))


@trips("elf.stack")
def the_stack_is_executable(sample: Sample) -> None:
    hard = ("-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,execstack")
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON, hard=hard))


@trips("elf.relro")
def there_is_no_relro(sample: Sample) -> None:
    hard = ("-Wl,-z,norelro", "-Wl,-z,now", "-Wl,-z,noexecstack")
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON, hard=hard))


@trips("elf.bind-now")
def the_fips_module_binds_lazily(sample: Sample) -> None:
    hard = ("-Wl,-z,relro", "-Wl,-z,lazy", "-Wl,-z,noexecstack")
    provider(sample, sample.compiler.shared(PROVIDER, hard=hard))


@trips("elf.writable-code")
def code_is_writable(sample: Sample) -> None:
    sample.change(LIBRARY, lambda data: program_header_flags(data, PT_LOAD, PF_X, RWX))


@trips("elf.text-relocations")
def code_is_relocated(sample: Sample) -> None:
    source = LIBPYTHON + '\n__asm__(".text\\n.quad Py_Initialize\\n");'
    sample.put(LIBRARY, sample.compiler.shared(source, "-Wl,-z,notext"))


@trips("elf.stack-protector")
def the_interpreter_has_no_stack_protector(sample: Sample) -> None:
    sample.put(INTERPRETER, sample.compiler.program(MAIN.replace(" __stack_chk_fail(); }", " }")), executable=True)


@trips("elf.fortify")
def the_interpreter_is_not_fortified(sample: Sample) -> None:
    sample.put(INTERPRETER, sample.compiler.program(MAIN.replace(" __memcpy_chk();", "")), executable=True)


@trips("elf.search-path")
def a_library_path_is_absolute(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON, "-Wl,-rpath,/elsewhere/lib"))


@trips("elf.interpreter-name")
def the_interpreter_has_no_name(sample: Sample) -> None:
    sample.put(INTERPRETER, sample.compiler.program(MAIN, name="-Wl,-z,now"), executable=True)


@trips("elf.interpreter-name")
def the_interpreter_goes_by_another_variants_name(sample: Sample) -> None:
    name = "-Wl,-soname,libpython3.13t.so.1.0"
    sample.put(INTERPRETER, sample.compiler.program(MAIN, name=name), executable=True)


@trips("elf.interpreter-name")
def the_interpreter_looks_for_libraries_beside_itself(sample: Sample) -> None:
    sample.put(INTERPRETER, sample.compiler.program(MAIN, "-Wl,-rpath,$ORIGIN/../lib"), executable=True)


@trips("elf.loader")
def the_loader_is_the_builders(sample: Sample) -> None:
    sample.put(INTERPRETER, sample.compiler.program(MAIN, loader="/nix/ld.so"), executable=True)


@trips("fips.present")
def the_self_contained_config_is_missing(sample: Sample) -> None:
    sample.drop(CONFIG)


@trips("fips.present", "sbom.complete")
def the_module_is_missing(sample: Sample) -> None:
    sample.drop(MODULE)


@trips("fips.off-by-default")
def fips_is_on_in_the_archive(sample: Sample) -> None:
    sample.put("install/share/ssl/fips-enabled", "")


@trips("fips.module-mac", "fips.facts")
def the_module_was_changed_after_its_mac(sample: Sample) -> None:
    sample.change(MODULE, lambda data: data + b"\0")


@trips("fips.configs-agree")
def the_configs_differ(sample: Sample) -> None:
    sample.change(MODULE_CONFIG, lambda data: data + b"hmac-key-check = 1\n")


@trips("fips.relocatable")
def the_config_names_a_place(sample: Sample) -> None:
    sample.change(CONFIG, lambda data: data + b".include /etc/ssl/fipsmodule.cnf\n")


@trips("fips.active")
def the_config_turns_nothing_on(sample: Sample) -> None:
    sample.change(CONFIG, lambda data: data.replace(b"openssl_conf = openssl_init\n", b""))


@trips("fips.active")
def the_config_lets_other_algorithms_through(sample: Sample) -> None:
    sample.change(CONFIG, lambda data: data.replace(b"fips=yes", b"fips=no"))


@trips("fips.not-weakened")
def a_check_is_off(sample: Sample) -> None:
    for path in (CONFIG, MODULE_CONFIG):
        sample.change(path, lambda data: data.replace(b"security-checks = 1", b"security-checks = 0"))


@trips("fips.not-weakened")
def a_check_is_left_out(sample: Sample) -> None:
    """In both configs, which so agree; the module takes it for off."""
    knows = '\nstatic const char check[] __attribute__((used)) = "hmac-key-check";'
    provider(sample, sample.compiler.shared(PROVIDER + knows))


@trips("fips.no-install-status")
def the_self_tests_are_said_to_have_run(sample: Sample) -> None:
    for path in (CONFIG, MODULE_CONFIG):
        sample.change(path, lambda data: data + b"install-status = INSTALL_SELF_TEST_KATS_RUN\n")


@trips("fips.exports")
def the_module_exports_more(sample: Sample) -> None:
    provider(sample, sample.compiler.shared(PROVIDER + "\nvoid AES_encrypt(void){}"))


@trips("fips.needed")
def the_module_needs_more_than_libc(sample: Sample) -> None:
    provider(sample, sample.compiler.shared(PROVIDER, "./libm.so.6"))


@trips("fips.glibc-floor")
def the_modules_floor_is_higher_than_said(sample: Sample) -> None:
    source = PROVIDER.replace("old_thing", "new_thing")
    provider(sample, sample.compiler.shared(source))


@trips("fips.facts")
def the_facts_are_another_modules(sample: Sample) -> None:
    sample.change("FIPS.json", lambda data: re.sub(rb'"[0-9a-f]{64}"', b'"' + b"0" * 64 + b'"', data))


@trips("fips.claims")
def a_certificate_is_claimed_for_another_release(sample: Sample) -> None:
    provider(sample, sample.data(MODULE), replace(PROVIDER_FACTS, certificate="4985"))


@trips("fips.old-standard")
def the_old_standard_is_named(sample: Sample) -> None:
    sample.put("BUILD.json", encode(replace(BUILD, toolchain={"note": "FIPS 140-2"})))
