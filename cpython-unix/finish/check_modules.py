"""Run by a fresh CPython itself: has it exactly the extension modules that modules.toml says, and does each import?

`make` goes on when an extension module does not build, and ends with 0; so this is what notices.
Needs nothing but the standard library of CPython 3.10 and newer.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path


def shared_modules() -> set[str]:
    """The modules that are files in this interpreter's own lib-dynload."""
    directory = Path(sys.base_prefix, "lib", Path(sysconfig.get_paths()["platstdlib"]).name, "lib-dynload")
    found = set()
    for path in directory.iterdir():
        for suffix in EXTENSION_SUFFIXES:
            if path.name.endswith(suffix):
                found.add(path.name[: -len(suffix)])
                break
    return found


def differences(kind: str, wanted: set[str], found: set[str]) -> list[str]:
    return [
        *(f"{name}: wanted {kind}, not there" for name in sorted(wanted - found)),
        *(f"{name}: {kind}, but modules.toml does not say so" for name in sorted(found - wanted)),
    ]


def failed_imports(names: set[str]) -> list[str]:
    problems = []
    for name in sorted(names):
        try:
            importlib.import_module(name)
        except Exception as error:
            problems.append(f"{name}: can't be imported: {type(error).__name__}: {error}")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--builtin", required=True, type=lambda names: set(names.split()))
    parser.add_argument("--shared", type=lambda names: set(names.split()))
    options = parser.parse_args()
    problems = differences("built in", options.builtin, set(sys.builtin_module_names))
    names = set(options.builtin)
    if options.shared is not None:
        problems += differences("shared", options.shared, shared_modules())
        names |= options.shared
    problems += failed_imports(names & (set(sys.builtin_module_names) | (options.shared or set())))
    if problems:
        sys.exit("\n  ".join(["modules: this CPython does not have the modules that modules.toml says", *problems]))
    print(f"{len(names)} extension modules are as modules.toml says and import")


if __name__ == "__main__":
    main()
