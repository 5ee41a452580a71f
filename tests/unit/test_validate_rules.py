"""Every rule of the validator is tripped by an archive that is good but for one thing."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.validate_samples import (
    BUILT_IN,
    CONFIG,
    INTERPRETER,
    LIBPYTHON,
    LIBRARY,
    MAIN,
    MODULE,
    MODULE_CONFIG,
    PROVIDER,
    PROVIDER_FACTS,
    SHARED,
    Sample,
    find_compiler,
    good,
    program_header_flags,
    provider,
)
from workers.reports.checks import ValidateReport
from workers.tarball import Entry
from workers.validate.policy import load_policy
from workers.validate.rule import RULES
from workers.validate.validate import validate

PT_LOAD, PF_X, RWX = 1, 1, 7


@pytest.fixture(scope="session")
def sample_compiler(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return find_compiler(tmp_path_factory.mktemp("compiler"))


@pytest.fixture
def sample(sample_compiler: Any) -> Sample:
    return good(sample_compiler)


def judged(sample: Sample, directory: Path) -> ValidateReport:
    return validate(sample.write(directory), load_policy("pymint"), [Path("/srv/farm/checkout")])


def broken_rules(report: ValidateReport) -> set[str]:
    return {rule.id for rule in report.rules if rule.findings}


def test_the_good_sample_breaks_no_rule_and_gives_nearly_all_something_to_judge(sample: Sample, tmp_path: Path) -> None:
    report = judged(sample, tmp_path)
    assert [(rule.id, rule.findings) for rule in report.rules if rule.findings] == []
    assert report.ok
    assert report.glibc_floor == report.provider_glibc_floor == "2.17"
    idle = {rule.id for rule in report.rules if rule.looked_at == 0}
    assert idle == {name for name in RULES if name.startswith("macho.")} | {"archive.static-is-static"}


Change = Callable[[Sample], None]
CHANGES: dict[str, tuple[frozenset[str], Change]] = {}


def trips(*rules: str) -> Callable[[Change], Change]:
    """Says of a change which rules it breaks: these and no others. The test's name is the change's."""

    def register(change: Change) -> Change:
        CHANGES[change.__name__] = (frozenset(rules), change)
        return change

    return register


@trips("archive.python-json-first")
def python_json_is_not_first(sample: Sample) -> None:
    sample.first = "python/build/run_tests.py"


@trips("archive.no-twins")
def a_member_comes_twice(sample: Sample) -> None:
    end = b"\0" * 1024
    sample.after.append(
        lambda tar: tar.rstrip(b"\0") + b"\0" * (-len(tar.rstrip(b"\0")) % 512) + last_member(tar) + end
    )


def last_member(tar: bytes) -> bytes:
    """The header of a second, empty python/licenses/LICENSE.zlib.txt."""
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        info = tarfile.TarInfo("python/licenses/LICENSE.zlib.txt")
        info.mtime, info.uname, info.gname, info.mode = 1700000000, "root", "root", 0o644
        made.addfile(info)
    return out.getvalue()[:512]


@trips("archive.inside")
def a_file_lies_outside_of_python(sample: Sample) -> None:
    sample.files["outside"] = Entry("qython/outside", data=b"")


@trips("archive.deterministic")
def a_member_has_another_time(sample: Sample) -> None:
    def later(tar: bytes) -> bytes:
        start = tar.index(b"python/licenses/LICENSE.zlib.txt\0")
        header = bytearray(tar[start : start + 512])
        header[136:147] = b"%011o" % 1700000001
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        return tar[:start] + bytes(header) + tar[start + 512 :]

    sample.after.append(later)


@trips("archive.sorted")
def members_are_out_of_order(sample: Sample) -> None:
    sample.put("build/notes.txt", "")
    sample.after.append(lambda tar: tar.replace(b"python/build/notes.txt\0", b"python/zuild/notes.txt\0", 1))
    sample.after.append(with_right_checksums)


def with_right_checksums(tar: bytes) -> bytes:
    out = bytearray(tar)
    position = 0
    while position < len(out) and out[position]:
        header = out[position : position + 512]
        size = int(header[124:135], 8)
        header[148:156] = b" " * 8
        out[position + 148 : position + 156] = b"%06o\0 " % sum(header)
        position += 512 + (size + 511) // 512 * 512
    return bytes(out)


@trips("archive.no-bytecode")
def bytecode_is_left(sample: Sample) -> None:
    sample.put("install/lib/python3.13/__pycache__/os.cpython-313.pyc", b"\xf3\r\r\n\0\0")


@trips("archive.links")
def a_link_leads_nowhere(sample: Sample) -> None:
    sample.link("install/lib/libpython3.13.so", "libpython3.14.so.1.0")


@trips("archive.links")
def a_link_leads_out(sample: Sample) -> None:
    sample.link("install/lib/hosts", "/etc/hosts")


@trips("archive.python-links")
def bin_python_is_missing(sample: Sample) -> None:
    sample.drop("install/bin/python")


@trips("archive.python-links")
def the_two_python_links_differ(sample: Sample) -> None:
    sample.link("install/bin/python", "python3.13-config")


@trips("archive.python-paths")
def a_python_path_is_empty(sample: Sample) -> None:
    sample.document["python_paths"]["include"] = "install/include/python3.13"


@trips("archive.static-is-static")
def a_static_build_has_libraries(sample: Sample) -> None:
    sample.document["build_options"] = "noopt+static"


@trips("archive.objects-exist")
def an_object_is_missing(sample: Sample) -> None:
    sample.drop("build/Objects/object.o")


@trips("archive.run-tests")
def the_test_runner_is_missing(sample: Sample) -> None:
    sample.drop("build/run_tests.py")


@trips("archive.licences")
def a_licence_text_is_missing(sample: Sample) -> None:
    sample.drop("licenses/LICENSE.zlib.txt")


@trips("archive.licences")
def a_library_is_linked_without_a_licence(sample: Sample) -> None:
    extension = sample.document["build_info"]["extensions"]["zlib"][0]
    del extension["licenses"], extension["license_paths"]


@trips("archive.beside", "fips.facts")
def fips_json_is_missing(sample: Sample) -> None:
    sample.drop("FIPS.json")


@trips("archive.beside")
def build_json_is_missing(sample: Sample) -> None:
    sample.drop("BUILD.json")


@trips("archive.readable")
def a_static_library_is_cut_off(sample: Sample) -> None:
    sample.change("build/lib/libz.a", lambda data: data[:-100])


@trips("archive.readable")
def a_shared_library_is_cut_off(sample: Sample) -> None:
    sample.put("install/lib/libcut.so", sample.data(LIBRARY)[:100])


@trips("archive.name")
def the_name_is_another_targets(sample: Sample) -> None:
    sample.name = sample.name.replace("x86_64-unknown", "aarch64-unknown")


@trips("python-json.format")
def a_field_is_unknown(sample: Sample) -> None:
    sample.document["fips"] = {"provider": "3.1.2"}


@trips("python-json.format")
def a_field_is_missing(sample: Sample) -> None:
    del sample.document["python_suffixes"]["source"]


@trips("python-json.version")
def it_is_another_version(sample: Sample) -> None:
    sample.document["version"] = "9"


@trips("python-json.target", "python-json.extensions", "archive.name")
def the_target_is_unknown(sample: Sample) -> None:
    sample.document["target_triple"] = "s390x-unknown-linux-gnu"


@trips(
    "python-json.apple-sdk",
    "python-json.platform-tag",
    "python-json.extensions",
    "elf.machine",
    "archive.name",
    "elf.needed",
)
def an_apple_target_names_no_sdk(sample: Sample) -> None:
    sample.document["target_triple"] = "aarch64-apple-darwin"


@trips("python-json.platform-tag")
def the_platform_tag_is_wrong(sample: Sample) -> None:
    sample.document["python_platform_tag"] = "linux-aarch64"


@trips("python-json.abiflags")
def a_debug_build_has_no_d(sample: Sample) -> None:
    sample.document["build_options"] = "debug"


@trips("python-json.banned-extensions", "python-json.extensions")
def a_banned_module_is_built(sample: Sample) -> None:
    zlib = sample.document["build_info"]["extensions"]["zlib"]
    sample.document["build_info"]["extensions"]["nis"] = [{**zlib[0], "init_fn": "PyInit_zlib"}]


@trips("python-json.extensions")
def a_module_is_missing(sample: Sample) -> None:
    del sample.document["build_info"]["extensions"]["_ssl"]


@trips("python-json.extensions")
def md5_is_built_in(sample: Sample) -> None:
    extensions = sample.document["build_info"]["extensions"]
    extensions["_md5"] = [{**extensions["_ssl"][0]}]


@trips("python-json.shared", "python-json.init-functions")
def a_built_in_module_is_shared(sample: Sample) -> None:
    extension = sample.document["build_info"]["extensions"]["_ssl"][0]
    extension["shared_lib"] = LIBRARY


@trips("python-json.shared-exists")
def a_shared_module_is_not_there(sample: Sample) -> None:
    name = sorted(SHARED)[0]
    sample.drop(f"install/lib/python3.13/lib-dynload/{name}.cpython-313-x86_64-linux-gnu.so")


@trips("python-json.init-functions")
def an_init_function_is_not_exported(sample: Sample) -> None:
    extension = sample.document["build_info"]["extensions"][BUILT_IN[-1]][0]
    extension["init_fn"] = "PyInit_nothing"


@trips("python-json.glibc")
def the_glibc_that_is_said_is_older_than_the_one_wanted(sample: Sample) -> None:
    sample.document["crt_features"] = ["glibc-dynamic", "glibc-max-symbol-version:2.12"]


@trips("python-json.test-packages")
def the_test_package_is_not_named(sample: Sample) -> None:
    sample.document["python_stdlib_test_packages"] = ["email.test"]


@trips("text.build-paths")
def the_sandbox_stands_in_the_makefile(sample: Sample) -> None:
    sample.put("install/lib/python3.13/config-3.13-x86_64-linux-gnu/Makefile", "CC=/mnt/pymint/toolchain/bin/clang\n")


@trips("text.build-paths")
def the_checkout_stands_in_a_text(sample: Sample) -> None:
    sample.put("install/lib/python3.13/os.py", "# made by /srv/farm/checkout/recipes/x.sh\n")


@trips("text.build-paths")
def a_home_directory_stands_in_a_generated_file(sample: Sample) -> None:
    sample.put("install/lib/python3.13/_sysconfigdata__linux_x86_64-linux-gnu.py", "X = '/home/builder/python'\n")


@trips("text.shebangs")
def a_script_names_its_builders_interpreter(sample: Sample) -> None:
    sample.put("install/lib/python3.13/tool.py", "#!/install/bin/python3.13\n")


@trips("text.shebangs")
def a_command_names_no_systems_interpreter(sample: Sample) -> None:
    sample.put("install/bin/pip3", "#!/usr/local/bin/python3\n", executable=True)


@trips("text.pkg-config")
def a_pc_file_is_absolute(sample: Sample) -> None:
    sample.put("install/lib/pkgconfig/python-3.13.pc", "prefix=/install\nlibdir=${prefix}/lib\n")


@trips("elf.machine")
def an_object_is_for_another_processor(sample: Sample) -> None:
    foreign = sample.data("build/Objects/object.o")
    sample.put("build/Objects/object.o", foreign[:18] + struct.pack("<H", 183) + foreign[20:])


@trips("elf.needed")
def a_library_is_needed_that_not_every_system_has(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON, "./libfoo.so.1"))


@trips("elf.needed-declared")
def a_needed_library_is_not_declared(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON, "./libm.so.6"))


@trips("elf.glibc-floor", "python-json.glibc")
def a_newer_glibc_is_wanted(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON + "\nextern void new_thing(void); void x(void){new_thing();}"))


@trips("elf.banned-symbols")
def a_static_librarys_member_wants_a_banned_function(sample: Sample) -> None:
    from tests.unit.validate_samples import static_library

    bad = sample.compiler.object("extern void pthread_yield(void); void x(void){pthread_yield();}")
    sample.put("build/lib/libz.a", static_library({"a.o": sample.compiler.object("int a;"), "b.o": bad}))


@trips("elf.dependency-symbols")
def libpython_exports_openssl(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON + "\nvoid SSL_read(void){}"))


@trips("elf.libpython-exports")
def libpython_does_not_export_python(sample: Sample) -> None:
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON.replace("void PyList_New", "static void PyList_New")))


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
    sample.put(INTERPRETER, sample.compiler.program(MAIN, "-Wl,-rpath,/opt/build/lib"), executable=True)


@trips("elf.loader")
def the_loader_is_the_builders(sample: Sample) -> None:
    sample.put(INTERPRETER, sample.compiler.program(MAIN, loader="/nix/ld.so"), executable=True)


@trips("fips.present")
def the_self_contained_config_is_missing(sample: Sample) -> None:
    sample.drop(CONFIG)


@trips("fips.present")
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
    sample.put("BUILD.json", json.dumps({"note": "FIPS 140-2"}))


@pytest.mark.parametrize("name", CHANGES)
def test_an_archive_with_one_fault_breaks_the_rule_for_it_and_no_other(
    sample: Sample, tmp_path: Path, name: str
) -> None:
    rules, change = CHANGES[name]
    change(sample)
    report = judged(sample, tmp_path)
    assert broken_rules(report) == rules
    assert not report.ok


def test_every_rule_has_a_fault_that_breaks_it() -> None:
    from tests.unit.test_validate_macho import MACHO_CHANGES

    tried = {rule for rules, _ in CHANGES.values() for rule in rules} | set(MACHO_CHANGES)
    assert set(RULES) - tried == set()


def test_every_rule_says_why_in_a_sentence() -> None:
    for rule in RULES.values():
        assert rule.why.endswith("."), rule.id
        assert re.fullmatch(r"[a-z]+(?:-[a-z]+)*\.[a-z]+(?:-[a-z0-9]+)*", rule.id)
