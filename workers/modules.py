"""CPython's extension modules as `cpython-unix/modules.toml` has them: built in, shared or left out, by version."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from workers.errors import Failure
from workers.model import DATA, Target, Version


@dataclass(frozen=True)
class Module:
    """A table of modules.toml; what its fields mean stands at the head of that file."""

    shared: bool = False
    off: str | None = None
    since: str | None = None
    until: str | None = None
    os: Literal["linux", "macos"] | None = None
    setup: str | dict[str, str] | None = None

    def exists_for(self, version: Version) -> bool:
        since, until = _number(self.since or version.minor), _number(self.until or version.minor)
        return since <= version.number <= until

    def setup_for(self, version: Version, target: Target) -> str | None:
        """What follows the module's name in Modules/Setup.local."""
        if not isinstance(self.setup, dict):
            return self.setup
        return self.setup.get(version.minor, self.setup.get(target.os))


# What stands otherwise in Setup.local for macOS, which has ncurses under its narrow name (with wide characters) and
# UUIDs in libSystem. libffi's closures are allocated by a file of their own, as CPython's setup.py has it.
_ON_MACOS = {
    "-lncursesw": "-lncurses",
    "-lpanelw": "-lpanel",
    "-luuid": "",
    "_ctypes/cfield.c": "_ctypes/cfield.c _ctypes/malloc_closure.c -DUSING_MALLOC_CLOSURE_DOT_C -DMACOSX",
}


def _number(minor: str) -> tuple[int, int]:
    major, rest = minor.split(".")
    return int(major), int(rest)


@dataclass(frozen=True)
class Modules:
    """The modules of one version on one target, each list sorted. lines: name → its line for Setup.local."""

    builtin: tuple[str, ...]
    shared: tuple[str, ...]
    off: Mapping[str, str]
    lines: Mapping[str, str] = field(default_factory=dict)


def load_modules(path: Path = DATA / "modules.toml") -> dict[str, Module]:
    """All tables of modules.toml. Raises Failure when it can't be read or a table has a wrong field."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), dict[str, Module])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Failure("modules", f"{path.name} can't be read", found=str(error), todo=f"Mend {path}.") from error


def modules_of(version: Version, target: Target, modules: Mapping[str, Module]) -> Modules:
    """Which modules a build of this version for this target has. A module of another system counts as left out."""
    here = {name: module for name, module in sorted(modules.items()) if module.exists_for(version)}
    off = {name: module.off for name, module in here.items() if module.off is not None}
    off |= {
        name: f"Only {module.os} has it."
        for name, module in here.items()
        if module.off is None and module.os not in (None, target.os)
    }
    wanted = {name: module for name, module in here.items() if name not in off}
    lines = {name: module.setup_for(version, target) for name, module in wanted.items()}
    return Modules(
        builtin=tuple(name for name, module in wanted.items() if not module.shared),
        shared=tuple(name for name, module in wanted.items() if module.shared),
        off=dict(sorted(off.items())),
        lines={name: f"{name} {_here(line, target)}" for name, line in lines.items() if line is not None},
    )


def _here(line: str, target: Target) -> str:
    """A line of Setup.local as this target has it."""
    if target.os != "macos":
        return line
    return " ".join(word for word in (_ON_MACOS.get(word, word) for word in line.split()) if word)


def setup_local(version: Version, modules: Modules) -> str:
    """The text of Modules/Setup.local, as far as it can be known without the source.

    From 3.12 on CPython's own Setup.stdlib says how modules are built; the file then only switches modules off, and the
    recipe moves the shared ones, whose lines differ between patch releases. Before, it is all said here: what 3.11's
    setup.py would find out for itself, it would find out about the building machine.
    """
    disabled = "".join(f"{name}\n" for name in modules.off)
    if version.number >= (3, 12):
        return f"*disabled*\n{disabled}"
    static = "".join(f"{modules.lines[name]}\n" for name in modules.builtin if name in modules.lines)
    shared = "".join(f"{modules.lines[name]}\n" for name in modules.shared)
    return f"*static*\n{static}\n*shared*\n{shared}\n*disabled*\n{disabled}"
