"""Rules for compiled files in the smaller flavours: there, right, and the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator

from workers.derive.layout import is_compiled
from workers.reports.checks import Finding
from workers.validate.bytecode import Bytecode, source_of
from workers.validate.contents import Contents
from workers.validate.rule import Case, rule
from workers.validate.rules.flavour import ours

_UNCHECKED = 1
_KINDS = {0: "checked by the time of its source", 3: "checked by the hash of its source at each import"}


def compiled(case: Case) -> Iterator[tuple[str, Bytecode]]:
    for contents in ours(case):
        yield from sorted(contents.bytecode.items())


@rule(
    "bytecode.present",
    of=ours,
    why="Where a tree is read-only, every start compiles anew what was not compiled before.",
)
def present(contents: Contents, case: Case) -> Iterator[Finding]:
    have = {source_of(path) for path in contents.bytecode}
    for path in sorted(contents.paths):
        if is_compiled(path) and path not in have:
            yield Finding(path, "not compiled", "a file in __pycache__")


@rule(
    "bytecode.unchecked",
    of=compiled,
    why="Times change when a tree is copied, and a check of the source at each import is what bytecode is to save.",
)
def unchecked(file: tuple[str, Bytecode], case: Case) -> Iterator[Finding]:
    path, found = file
    if found.flags != _UNCHECKED:
        yield Finding(path, _KINDS.get(found.flags, f"flags {found.flags}"), "unchecked-hash (PEP 552)")


@rule(
    "bytecode.fresh",
    of=compiled,
    why="Nothing looks at the source again: bytecode of another one would run in its place, unseen.",
)
def fresh(file: tuple[str, Bytecode], case: Case) -> Iterator[Finding]:
    path, found = file
    source = source_of(path)
    if source is None or source not in case.contents.sources:
        yield Finding(path, "no source beside it", "a module of the archive")
    elif not is_compiled(source):
        yield Finding(path, "bytecode of a file that installers rewrite", "none: it would hide what they wrote")
    elif found.hash != case.contents.sources[source]:
        yield Finding(path, f"made from a source of hash {found.hash.hex()}", case.contents.sources[source].hex())


@rule(
    "bytecode.places",
    of=compiled,
    why="Code objects name their file: a name of the building machine would be in every traceback and profile.",
)
def places(file: tuple[str, Bytecode], case: Case) -> Iterator[Finding]:
    path, found = file
    if found.place is not None:
        yield Finding(path, f"names {found.place}", "no place of the machine that built it")
    elif not found.named:
        yield Finding(path, "does not name its source", f"{source_of(path)}, relative to the tree")
