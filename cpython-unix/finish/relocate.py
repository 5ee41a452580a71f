"""Run by a fresh CPython on its own tree: takes the build's paths and tools out of its text files, so that it can move.

What names the compiler names the user's `cc` instead of ours; what names the prefix finds it from where the file lies;
what named the build's directories is gone. Ends with 1 and the names of files in which a path of the build is left.
Needs nothing but the standard library of CPython 3.10 and newer.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import runpy
import sys
from pathlib import Path

PREFIX = "/install"
_TOOLS = {"clang": "cc", "clang++": "c++", "llvm-ar": "ar", "llvm-ranlib": "ranlib", "llvm-readelf": "readelf"}
_NAMES = "|".join(re.escape(name) for name in sorted(_TOOLS, reverse=True))
_TOOL = re.compile(rf"(?<![\w./-])(?:{_NAMES})(?![\w+.-])")

# The prefix where it stands as a path of its own or begins one.
_PREFIX = re.compile(r"(?<![\w.])/install(?![\w-])")

# A shell reads the lines up to exec's arguments and ends there; Python reads them as a string. Links are followed one
# by one: realpath and readlink -f came to macOS with 13 and 12.3. In $( ), no variable goes on to Python.
_SHEBANG = """#!/bin/sh
'''exec' "$(
  file=$0
  while [ -L "$file" ]; do
    to=$(readlink "$file")
    case $to in (/*) file=$to ;; (*) file=$(dirname -- "$file")/$to ;; esac
  done
  dirname -- "$file"
)/{python}" "$0" "$@"
' '''
"""

# Where the Makefile lies, without the three directories that lead to it. GNU make takes a path with spaces for several;
# there is no way to build with such a Makefile anyhow.
_MAKEFILE_PREFIX = "$(abspath $(dir $(realpath $(lastword $(MAKEFILE_LIST))))/../../..)"

# What a build writes, in which the prefix can stand; other files speak of other people's /install.
_GENERATED = ("lib/python3*/*.json", "lib/python3*/_sysconfig*", "lib/python3*/config-*/*", "lib/pkgconfig/*", "bin/*")

# What makes sysconfig tell the truth after a move.
_SYSCONFIG_TAIL = """

def _found_again(value):
    import os
    import re
    import sys

    try:
        here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    except NameError:
        here = sys.base_prefix
    return re.sub(r"(?<![\\w.])/install(?![\\w-])", lambda match: here, value)


build_time_vars = {
    name: _found_again(value) if isinstance(value, str) and "/install" in value else value
    for name, value in build_time_vars.items()
}
"""


def without_build(text: str, build: str) -> str:
    """`text` without the build's directories (`build` is above them all) and with the usual names of tools.

    configure's arguments are left without those that name them, and without its prefix: uv takes the relocation out of
    `_sysconfigdata_*.py`, and would leave `/install` in CONFIG_ARGS.
    """
    text = re.sub(rf" ?'(?:--with-openssl|PKG_CONFIG_PATH|PKG_CONFIG_LIBDIR)={re.escape(build)}/[^']*'", "", text)
    text = re.sub(rf" ?'--prefix={PREFIX}'", "", text)
    text = re.sub(rf" ?-Wl,(?:-load_hidden,|--symbol-ordering-file=){re.escape(build)}/deps/[\w./-]*", "", text)
    text = re.sub(rf" ?-(?:I|L|isystem ?){re.escape(build)}/deps(?:/[\w./-]*)?", "", text)
    text = re.sub(rf"{re.escape(build)}/toolchain/bin/", "", text)
    text = re.sub(rf"{re.escape(build)}/build/source(?![\w-])", ".", text)
    text = text.replace(f"{build}/deps", PREFIX)
    return _TOOL.sub(lambda match: _TOOLS[match[0]], text)


def sysconfig_data(variables: dict[str, object]) -> str:
    """The text of `_sysconfigdata_*.py`: a literal that JSON readers understand too, and then its own relocation."""
    literal = json.dumps(variables, indent=4, sort_keys=True, ensure_ascii=True)
    head = "# system configuration generated and used by the sysconfig module"
    return f"{head}\nbuild_time_vars = {literal}\n{_SYSCONFIG_TAIL}"


def sysconfig_variables(text: str, build: str) -> str:
    """`_sysconfig_vars_*.json` (3.14 on) can compute nothing: its prefix stands as in sysconfig's own schemes.

    The user's own directory, which was the build's home, stands as sysconfig has it before it asks for the home.
    """
    text = text.replace(f"{build}/build/.local", "~/.local")
    cleaned = {k: without_build(v, build) if isinstance(v, str) else v for k, v in json.loads(text).items()}
    moved = {k: _PREFIX.sub("{installed_base}", v) if isinstance(v, str) else v for k, v in cleaned.items()}
    return json.dumps(moved, indent=2, sort_keys=True) + "\n"


def relocatable_details(text: str, directory: Path, install: Path) -> str:
    """build-details.json with relative paths: base_prefix from the file's directory, all others from base_prefix.

    PEP 739, from 3.14 on.
    """

    def moved(value: object) -> object:
        if isinstance(value, dict):
            return {key: moved(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [moved(entry) for entry in value]
        if isinstance(value, str) and (value == PREFIX or value.startswith(PREFIX + "/")):
            return "." + value[len(PREFIX) :]
        return value

    details = {key: moved(value) for key, value in json.loads(text).items()}
    details["base_prefix"] = os.path.relpath(install, directory)
    return json.dumps(details, indent=2) + "\n"


def relocatable_makefile(text: str) -> str:
    """The Makefile, whose `prefix` is found when it is read, and whose other lines name the prefix by that."""
    return _PREFIX.sub("$(prefix)", re.sub(r"(?m)^prefix=\s*/install$", f"prefix=\t{_MAKEFILE_PREFIX}", text))


def write(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    if not os.access(path, os.W_OK):
        path.chmod(path.stat().st_mode | 0o200)
    path.write_bytes(data)


def rewrite_configuration(install: Path, build: str) -> None:
    """sysconfig's data, the Makefile and scripts beside it, pkg-config files."""
    for path in install.glob("lib/python3*/_sysconfigdata_*.py"):
        variables = runpy.run_path(str(path))["build_time_vars"]
        cleaned = {k: without_build(v, build) if isinstance(v, str) else v for k, v in variables.items()}
        write(path, sysconfig_data(cleaned))
    for path in install.glob("lib/python3*/_sysconfig_vars_*.json"):
        write(path, sysconfig_variables(path.read_text(encoding="utf-8"), build))
    texts = [
        path
        for pattern in ("lib/python3*/config-*/*", "bin/python3*-config", "lib/pkgconfig/*.pc")
        for path in install.glob(pattern)
        if path.is_file() and not path.is_symlink() and path.suffix not in (".a", ".o")
    ]
    for path in texts:
        text = path.read_bytes().decode("utf-8")
        cleaned_text = without_build(text, build)
        if path.suffix == ".pc":
            cleaned_text = re.sub(r"(?m)^prefix=/install$", "prefix=${pcfiledir}/../..", cleaned_text)
        if path.name == "Makefile":
            cleaned_text = relocatable_makefile(cleaned_text)
        if cleaned_text != text:
            write(path, cleaned_text)
    for path in install.glob("lib/python3*/build-details.json"):
        write(path, relocatable_details(path.read_text(encoding="utf-8"), path.parent, install))


def rewrite_shebangs(install: Path) -> None:
    """Scripts that start this installation's interpreter find it from where they lie."""
    for path in sorted((*install.glob("bin/*"), *install.glob("lib/python3*/config-*/*.py"))):
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        match = re.match(rb"#!\s*/install/bin/(python[\w.]+)\s*\n", data)
        if match:
            python = os.path.relpath(install / "bin" / match[1].decode(), path.parent)
            write_bytes(path, _SHEBANG.format(python=python).encode() + data[match.end() :])


# Files that name the prefix on purpose: the literal in them is for installers that rewrite it, and corrects itself.
_CORRECT_THEMSELVES = ("_sysconfigdata_",)


def left_behind(install: Path, build: str) -> list[str]:
    """Text files in which a path of the build is left, and those of a build in which the prefix is."""
    problems = []
    generated = {path for pattern in _GENERATED for path in install.glob(pattern)}
    for path in sorted(install.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        name = str(path.relative_to(install))
        if data.startswith((b"#!/install", b"#!" + build.encode())):
            problems.append(f"{name}: starts with {data.splitlines()[0].decode(errors='replace')}")
        if b"\0" in data[:4096]:
            continue
        written = path in generated and not path.name.startswith(_CORRECT_THEMSELVES)
        for line in data.decode("utf-8", "replace").splitlines():
            if build in line or (written and _PREFIX.search(line)):
                problems.append(f"{name}: {line.strip()[:200]}")
                break
    return problems


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("install", type=Path)
    parser.add_argument("--build", required=True, help="The directory above all directories of the build.")
    options = parser.parse_args()
    rewrite_configuration(options.install, options.build)
    rewrite_shebangs(options.install)
    problems = left_behind(options.install, options.build)
    if problems:
        sys.exit("relocate: paths of the build are left in\n  " + "\n  ".join(problems))
    print("no path of the build is left in the installation's text files")


if __name__ == "__main__":
    main()
