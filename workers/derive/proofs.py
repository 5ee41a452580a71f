"""What the smaller flavours promise besides FIPS mode, tried: bytecode that is used, symbols that a debugger finds."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from workers.derive.layout import TOP
from workers.fips.running import run
from workers.fips.tree import find_tree
from workers.model import Flavour
from workers.reports.checks import Check
from workers.tarball import extract
from workers.validate.elf import function_addresses
from workers.validate.macho import MACHO_MAGICS, macho_function_addresses

FRESH = "a fresh pläce"
# A module that no start imports, in a package.
_MODULE = "json.decoder"
_SOURCE = "json/decoder.py"
_ASK = (
    f"import {_MODULE} as m, os, sys; print(m.__spec__.cached); print(m.JSONDecoder.decode.__code__.co_filename); "
    "print(os.path.realpath(m.__file__))"
)
# A function in the interpreter and in libpython, and the file that it is written in.
FUNCTION, FILE = "Py_RunMain", "main.c"


def bytecode_is_used(archive: Path, flavour: Flavour, scratch: Path) -> list[Check]:
    """Whether the interpreter, moved, loads the archive's bytecode, writes none itself, and names its true place."""
    unpacked = scratch / FRESH
    extract(archive, unpacked, wanted=lambda member: not member.startswith(f"{TOP}share/terminfo"))
    tree = find_tree(unpacked)
    ids = [f"{flavour}.bytecode-used", f"{flavour}.true-file-names"]
    if tree.python is None:
        return [Check(name, "off", "positive", False, "an interpreter", "none in bin") for name in ids]
    before = set(unpacked.rglob("*.pyc"))
    ran = run(tree.python, ["-I", "-v", "-c", _ASK])
    said = ran.out.splitlines()
    if ran.code != 0 or len(said) != 3:
        return [Check(name, "off", "positive", False, f"{_MODULE} imported", ran.last) for name in ids]
    # What -v says when code came from a compiled file; "could not" or "wrote" otherwise.
    loaded = re.search(rf"^# code object from '?({re.escape(said[0])})'?$", ran.err, re.MULTILINE)
    wrote = sorted(str(path.relative_to(unpacked)) for path in set(unpacked.rglob("*.pyc")) - before)
    found = "read from __pycache__" if loaded else "compiled anew"
    found += f"; wrote {', '.join(wrote[:3])}" if wrote else "; wrote none"
    return [
        Check(ids[0], "off", "positive", bool(loaded) and not wrote, "read from __pycache__; wrote none", found),
        Check(ids[1], "off", "positive", said[1] == said[2], f"…/{_SOURCE} where it was unpacked", said[1]),
    ]


def symbols_are_found(symbolizer: Path, stripped: Path, symbols: Path, scratch: Path) -> list[Check]:
    """Whether a stripped binary's functions have lines with the debug symbols beside it, and none without."""
    extract(stripped, scratch / "stripped", wanted=lambda name: name.startswith((f"{TOP}bin/", f"{TOP}lib/libpython")))
    extract(symbols, scratch / "symbols")
    checks = []
    for path in sorted((scratch / "stripped").rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        of_macos = data[:4] in MACHO_MAGICS
        address = (macho_function_addresses if of_macos else function_addresses)(data).get(FUNCTION)
        if address is None:  # libpython3.so only passes on
            continue
        beside = scratch / "symbols" / f"{path.relative_to(scratch / 'stripped')}.dSYM"
        apart = scratch / "symbols" / TOP / "lib/debug"
        found = f"--dsym-hint={beside}" if of_macos else f"--debug-file-directory={apart}"
        for where, wanted in ((found, True), (f"--debug-file-directory={scratch / 'nothing'}", False)):
            line = _line_of(symbolizer, path, address, where)
            ok = (f"/{FILE}:" in line) == wanted
            checks.append(
                Check(
                    f"debug_symbols.{'found' if wanted else 'apart'}.{path.name}",
                    "off",
                    "positive" if wanted else "negative",
                    ok,
                    f"{FUNCTION} in {FILE}" if wanted else "no file and line",
                    line,
                )
            )
    if not checks:
        checks = [Check("debug_symbols.found", "off", "positive", False, f"a binary with {FUNCTION}", "none")]
    return checks


def _line_of(symbolizer: Path, binary: Path, address: int, where: str) -> str:
    """`Python/main.c:12` as LLVM's symbolizer finds it, which looks debug information up as gdb and lldb do."""
    command = [str(symbolizer), f"--obj={binary}", where, "--no-inlines", hex(address)]
    environment: Mapping[str, str] = {"PATH": "/usr/bin:/bin", "DEBUGINFOD_URLS": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else done.stderr.strip() or "no answer"
