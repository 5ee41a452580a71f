"""One fault each for the rules of the smaller flavours: facts of an archive that is good but for one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from workers.tarball import Member
from workers.validate.bytecode import Bytecode
from workers.validate.contents import Contents
from workers.validate.elf import DebugFile, Elf
from workers.validate.macho import MachO
from workers.validate.rule import Family
from workers.validate.signature import Signature

STRIPPED = "cpython-3.13.5-x86_64-unknown-linux-gnu-noopt-install_only_stripped-20261123T2000.tar.gz"
SYMBOLS = "cpython-3.13.5-x86_64-unknown-linux-gnu-noopt-debug_symbols-20261123T2000.tar.zst"
SOURCE, COMPILED = "lib/python3.13/os.py", "lib/python3.13/__pycache__/os.cpython-313.pyc"
MODULE = "share/ssl/ossl-modules/fips.so"
MACOS = STRIPPED.replace("x86_64-unknown-linux-gnu", "aarch64-apple-darwin")
MACOS_SYMBOLS = SYMBOLS.replace("x86_64-unknown-linux-gnu", "aarch64-apple-darwin")
FAMILY = Family("d" * 64, frozenset({"LICENSE.cpython.txt"}), {"abcdef": "bin/python3.13"})
Change = Callable[[Contents], Contents]
CHANGES: dict[str, tuple[Contents, Change]] = {}


def member(path: str) -> Member:
    return Member(f"python/{path}", "file", 0o644, 1, 0, 0, 0, "root", "root", "", ())


def facts(name: str, *paths: str) -> Contents:
    return Contents(name, "0" * 64, tuple(member(path) for path in paths), (), (), 0, {}, {}, {}, 0, {}, {}, {})


GOOD = replace(
    facts(STRIPPED, SOURCE, COMPILED, MODULE, "share/licenses/LICENSE.cpython.txt", "bin/python3.13"),
    elves=(Elf("bin/python3.13", "x86_64", "executable", build_id="abcdef"),),
    digests={MODULE: "d" * 64},
    bytecode={COMPILED: Bytecode(1, b"12345678", True, None)},
    sources={SOURCE: b"12345678"},
)
DEBUG_FILE = DebugFile("lib/debug/.build-id/ab/cdef.debug", "x86_64", "abcdef", True)
GOOD_SYMBOLS = replace(facts(SYMBOLS, DEBUG_FILE.path), debug_files=(DEBUG_FILE,))
MACHO = MachO(
    "bin/python3.13", "arm64", "executable", 1, True, (), "", frozenset(), frozenset(), (11, 0, 0), (15, 0, 0), 64,
    uuid="abcdef", signature=Signature(True, None),
)  # fmt: skip
GOOD_MACOS = replace(GOOD, name=MACOS, elves=(), machos=(MACHO,))
DSYM = DebugFile("bin/python3.13.dSYM/Contents/Resources/DWARF/python3.13", "arm64", "abcdef", True)
GOOD_DSYMS = replace(facts(MACOS_SYMBOLS, DSYM.path, "bin/python3.13.dSYM/Contents/Info.plist"), debug_files=(DSYM,))
_STRAY = "bin/other.dSYM/Contents/Info.plist"


def more(contents: Contents, path: str) -> Contents:
    return replace(contents, members=(*contents.members, member(path)))


def compiled(**fields: Any) -> Change:
    def change(contents: Contents) -> Contents:
        return replace(contents, bytecode={COMPILED: replace(contents.bytecode[COMPILED], **fields)})

    return change


def debug_file(**fields: Any) -> Change:
    def change(contents: Contents) -> Contents:
        return replace(contents, debug_files=(replace(DEBUG_FILE, **fields),))

    return change


CHANGES |= {
    "flavour.left-out": (GOOD, lambda c: more(c, "lib/libpython3.13.a")),
    "flavour.licences": (GOOD, lambda c: replace(c, members=c.members[:3])),
    "flavour.same-module": (GOOD, lambda c: replace(c, digests={MODULE: "e" * 64})),
    "flavour.build-id": (GOOD, lambda c: replace(c, elves=(replace(c.elves[0], build_id=""),))),
    "flavour.stripped": (GOOD, lambda c: replace(c, elves=(replace(c.elves[0], debug=True),))),
    "bytecode.present": (GOOD, lambda c: replace(c, bytecode={})),
    "bytecode.unchecked": (GOOD, compiled(flags=3)),
    "bytecode.fresh": (GOOD, compiled(hash=b"other...")),
    "bytecode.places": (GOOD, compiled(place="/mnt/pymint")),
    "debug.only": (GOOD_SYMBOLS, lambda c: more(c, "lib/debug/.build-id/readme")),
    "debug.by-build-id": (GOOD_SYMBOLS, debug_file(path="lib/debug/.build-id/ab/other.debug")),
    "debug.units": (GOOD_SYMBOLS, debug_file(units=False)),
    "debug.machine": (GOOD_SYMBOLS, debug_file(machine="aarch64")),
    "debug.complete": (GOOD_SYMBOLS, lambda c: replace(c, debug_files=())),
    "flavour.uuid": (GOOD_MACOS, lambda c: replace(c, machos=(replace(MACHO, uuid=""),))),
    "flavour.stripped-macho": (GOOD_MACOS, lambda c: replace(c, machos=(replace(MACHO, debug=True),))),
}
# A second way to break a rule that has one above.
MORE_CHANGES: tuple[tuple[str, Contents, Change], ...] = (
    ("debug.only", GOOD_DSYMS, lambda c: more(c, _STRAY)),
    ("debug.by-build-id", GOOD_DSYMS, lambda c: replace(c, debug_files=(replace(DSYM, build_id=""),))),
    ("debug.complete", GOOD_DSYMS, lambda c: replace(c, debug_files=(replace(DSYM, build_id="other"),))),
    (
        "debug.complete",
        GOOD_DSYMS,
        lambda c: replace(c, debug_files=(replace(DSYM, path=DSYM.path.replace("bin/", "lib/")),)),
    ),
    ("debug.machine", GOOD_DSYMS, lambda c: replace(c, debug_files=(replace(DSYM, machine="x86_64"),))),
)
