"""What is taken out of an installation's text files so that it can move."""

from __future__ import annotations

import importlib.util
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from workers.model import DATA


@pytest.fixture(scope="module")
def relocate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("relocate", DATA / "finish" / "relocate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_builds_compiler_becomes_the_users(relocate: ModuleType) -> None:
    text = "CC=clang -pthread\nCXX=clang++ -pthread\nAR=/mnt/pymint/toolchain/bin/llvm-ar\nX=code.profclangd clang-tidy"

    assert relocate.without_build(text, "/mnt/pymint") == (
        "CC=cc -pthread\nCXX=c++ -pthread\nAR=ar\nX=code.profclangd clang-tidy"
    )


def test_the_builds_directories_are_gone(relocate: ModuleType) -> None:
    text = (
        "CFLAGS=-O3 -I/mnt/pymint/deps/include -I/mnt/pymint/deps/include/ncursesw -g -L/mnt/pymint/deps/lib "
        "'--with-openssl=/mnt/pymint/deps' abs_srcdir=/mnt/pymint/build/source"
    )

    assert relocate.without_build(text, "/mnt/pymint") == "CFLAGS=-O3 -g abs_srcdir=."


def test_configures_arguments_name_no_place_of_the_build(relocate: ModuleType) -> None:
    text = (
        "'--host=x' '--prefix=/install' '--enable-shared' '--with-openssl=/mnt/pymint/deps' "
        "'PKG_CONFIG_PATH=/mnt/pymint/deps/lib/pkgconfig' 'PKG_CONFIG_LIBDIR=/mnt/pymint/deps/lib/pkgconfig' 'CC=clang'"
    )
    assert relocate.without_build(text, "/mnt/pymint") == "'--host=x' '--enable-shared' 'CC=cc'"


def test_what_only_the_build_linked_with_is_gone(relocate: ModuleType) -> None:
    hidden = "-Wl,-load_hidden,/opt/pymint/deps/lib/libssl.a -Wl,-load_hidden,/opt/pymint/deps/lib/libcrypto.a"
    hidden += " -Wl,--symbol-ordering-file=/opt/pymint/deps/profile/starts.order"
    text = f"LDFLAGS_NODIST=-Wl,-headerpad,40 {hidden}"

    assert relocate.without_build(text, "/opt/pymint") == "LDFLAGS_NODIST=-Wl,-headerpad,40"


def test_sysconfig_names_the_place_where_it_lies(relocate: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "über all" / "lib" / "python3.13" / "_sysconfigdata__linux_.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        relocate.sysconfig_data({"LIBDIR": "/install/lib", "A": "--prefix=/install", "N": 1, "B": "/installed"})
    )

    found = runpy.run_path(str(path))["build_time_vars"]

    root = tmp_path / "über all"
    assert found == {"LIBDIR": f"{root}/lib", "A": f"--prefix={root}", "N": 1, "B": "/installed"}


def test_sysconfig_stays_a_literal_for_installers_that_rewrite_it(relocate: ModuleType) -> None:
    text = relocate.sysconfig_data({"LIBDIR": "/install/lib", "N": 1})

    literal = text.split("build_time_vars = ", 1)[1]
    assert json.JSONDecoder().raw_decode(literal)[0] == {"LIBDIR": "/install/lib", "N": 1}


def test_pkg_config_files_and_scripts_find_their_own_tree(relocate: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "lib" / "pkgconfig").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    pc = tmp_path / "lib" / "pkgconfig" / "python-3.13.pc"
    pc.write_text("prefix=/install\nlibdir=${prefix}/lib\n")
    script = tmp_path / "bin" / "pydoc3.13"
    script.write_text("#!/install/bin/python3.13\nimport pydoc\n")

    relocate.rewrite_configuration(tmp_path, "/mnt/pymint")
    relocate.rewrite_shebangs(tmp_path)

    assert pc.read_text().startswith("prefix=${pcfiledir}/../..\n")
    compile(script.read_text(), "pydoc3.13", "exec")


@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"], ["busybox", "sh"]], ids=lambda shell: shell[0])
def test_a_script_finds_its_interpreter_through_links(relocate: ModuleType, tmp_path: Path, shell: list[str]) -> None:
    program = shutil.which(shell[0])
    if program is None:
        pytest.skip(f"no {shell[0]} here")
    tree = tmp_path / "a tree über $HOME"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "python3.13").symlink_to(sys.executable)
    script = tree / "bin" / "pydoc3.13"
    script.write_text("#!/install/bin/python3.13\nimport os, sys\nprint(sys.argv[1:], os.environ.get('file'))\n")
    script.chmod(0o755)
    relocate.rewrite_shebangs(tree)
    (tree / "bin" / "pydoc3").symlink_to("pydoc3.13")
    (tmp_path / "to bin").symlink_to(tree / "bin")
    (tmp_path / "tool").symlink_to("to bin/pydoc3")
    # All that there was before macOS 12.3: readlink without options.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "readlink").write_text('#!/bin/sh\ncase $1 in -*) exit 1 ;; esac\nexec /usr/bin/readlink "$1"\n')
    (tools / "readlink").chmod(0o755)
    (tools / "dirname").symlink_to("/usr/bin/dirname")

    for path in (script, tree / "bin" / "pydoc3", tmp_path / "to bin" / "pydoc3", tmp_path / "tool"):
        ran = subprocess.run(
            [program, *shell[1:], str(path), "a b", "*"],
            env={"PATH": str(tools), "file": "kept"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.stdout, ran.stderr) == ("['a b', '*'] kept\n", ""), path


def test_a_path_of_the_build_that_is_left_is_named(relocate: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("print()\n")
    (tmp_path / "bad.py").write_text("# made in /mnt/pymint/build\n")
    (tmp_path / "object.o").write_bytes(b"\x7fELF\0/mnt/pymint/build")

    assert relocate.left_behind(tmp_path, "/mnt/pymint") == ["bad.py: # made in /mnt/pymint/build"]


def test_build_details_name_paths_from_where_they_lie(relocate: ModuleType) -> None:
    text = json.dumps(
        {"base_prefix": "/install", "libpython": {"dynamic": "/install/lib/libpython3.14.so.1.0"}, "n": 1}
    )

    moved = json.loads(relocate.relocatable_details(text, Path("/x/lib/python3.14"), Path("/x")))

    # PEP 739: the others are relative to base_prefix.
    assert moved == {"base_prefix": "../..", "libpython": {"dynamic": "./lib/libpython3.14.so.1.0"}, "n": 1}


def test_the_makefile_names_the_prefix_from_where_it_lies(relocate: ModuleType, tmp_path: Path) -> None:
    text = "prefix=\t\t/install\nLIBDIR=$(prefix)/lib\nCONFIG_ARGS= '--prefix=/install'\n"

    moved = relocate.relocatable_makefile(text)

    assert "/install" not in moved
    assert "CONFIG_ARGS= '--prefix=$(prefix)'" in moved


def test_the_json_of_sysconfig_names_the_prefix_as_schemes_do(relocate: ModuleType) -> None:
    text = json.dumps({"LIBDIR": "/install/lib", "CC": "clang", "N": 1, "userbase": "/mnt/pymint/build/.local"})

    assert json.loads(relocate.sysconfig_variables(text, "/mnt/pymint")) == {
        "LIBDIR": "{installed_base}/lib",
        "CC": "cc",
        "N": 1,
        "userbase": "~/.local",
    }


def test_the_prefix_that_is_left_in_a_generated_file_is_named(relocate: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").write_text("#!/bin/sh\nprefix=/install\n")

    assert relocate.left_behind(tmp_path, "/mnt/pymint") == ["bin/tool: prefix=/install"]
