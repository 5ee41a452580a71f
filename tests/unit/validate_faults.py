"""One fault each: changes to a good archive, with the rules that they break. Archive, PYTHON.json, texts."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace

from tests.unit.validate_samples import BUILD, BUILT_IN, LIBRARY, PKG_CONFIG, SHARED, SYSCONFIG_DATA, Sample
from workers.package.beside import Ingredient
from workers.reports.base import encode
from workers.tarball import Entry

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
    sample.document["python_paths"]["include"] = "install/include/python3.12"


@trips("archive.static-is-static", "archive.libpython", "archive.name")
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


@trips("archive.beside")
def build_json_is_of_no_schema(sample: Sample) -> None:
    sample.put("BUILD.json", "{}")


@trips("archive.licences")
def a_node_went_in_without_its_licence(sample: Sample) -> None:
    nodes = [*BUILD.nodes, Ingredient("openssl", "e" * 64, "f" * 64, ["licenses/LICENSE.openssl.txt"])]
    sample.put("BUILD.json", encode(replace(BUILD, nodes=nodes)))


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
    sample.name = sample.name.replace("-noopt-", "-debug-")


@trips("archive.name")
def the_name_is_another_releases(sample: Sample) -> None:
    sample.name = sample.name.replace("3.13.5", "3.13.6")


@trips("archive.name")
def the_name_is_another_variants(sample: Sample) -> None:
    sample.name = sample.name.replace("-noopt-", "-freethreaded+pgo+lto-")


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
    sample.put("build/Modules/Makefile", "CC=/mnt/pymint/toolchain/bin/clang\n")


@trips("text.build-paths")
def the_checkout_stands_in_a_text(sample: Sample) -> None:
    sample.put("install/lib/python3.13/os.py", "# made by /srv/farm/checkout/recipes/x.sh\n")


@trips("text.build-paths")
def a_home_directory_stands_in_a_generated_file(sample: Sample) -> None:
    sample.change(SYSCONFIG_DATA, lambda data: data + b"X = '/home/builder/python'\n")


@trips("text.shebangs")
def a_script_names_its_builders_interpreter(sample: Sample) -> None:
    sample.put("install/lib/python3.13/tool.py", "#!/install/bin/python3.13\n")


@trips("text.shebangs")
def a_zipped_program_names_its_builders_interpreter(sample: Sample) -> None:
    sample.put("install/lib/python3.13/tool.pyz", b"#!/install/bin/python3.13\nPK\x03\x04\0\0")


@trips("text.shebangs")
def a_command_names_no_systems_interpreter(sample: Sample) -> None:
    sample.put("install/bin/pip3", "#!/usr/local/bin/python3\n", executable=True)


@trips("text.pkg-config", "relocation.prefix")
def a_pc_file_is_absolute(sample: Sample) -> None:
    sample.put(PKG_CONFIG, "prefix=/install\nlibdir=${prefix}/lib\n")
