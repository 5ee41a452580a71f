"""Where the files of FIPS mode are: in the tree that the running interpreter was loaded from, never in a venv."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path


class Refused(Exception):
    """Something that was asked for can't be done. Its text says what is wrong; `todo`, what to do."""

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.todo = todo


@dataclass(frozen=True)
class Tree:
    """root: what holds bin, lib and share."""

    root: Path

    @property
    def ssl(self) -> Path:
        return self.root / "share" / "ssl"

    @property
    def marker(self) -> Path:
        return self.ssl / "fips-enabled"

    @property
    def config(self) -> Path:
        return self.ssl / "openssl-fips.cnf"

    @property
    def module_config(self) -> Path:
        return self.ssl / "fipsmodule.cnf"

    @property
    def module(self) -> Path:
        """The FIPS module's place, whether there is one or not."""
        return self.ssl / "ossl-modules" / ("fips.dylib" if sys.platform == "darwin" else "fips.so")

    @property
    def python(self) -> Path:
        """The tree's own interpreter of this version."""
        name = f"python{sys.version_info.major}.{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
        path = self.root / "bin" / name
        return path if path.exists() else Path(os.path.realpath(sys.executable))

    def marked(self) -> bool:
        """Whether the marker is there; a link counts even when what it leads to is not."""
        return os.path.lexists(self.marker)


def code_file() -> Path:
    """The file that runs, symbolic links resolved; by the kernel's word where it gives one."""
    kernels = Path("/proc/self/exe")
    return Path(os.path.realpath(kernels if kernels.exists() else sys.executable))


def tree_of(code: Path) -> Tree:
    """The tree of an interpreter: as fips_switch.h finds it, venvs of copies included. Raises Refused for none."""
    root = code.parent.parent
    for _ in range(8):
        tree = Tree(root)
        if code.parent.name == "bin" and (tree.marked() or os.path.lexists(tree.config)):
            return tree
        home = _home_of_venv(root)
        if home is None:
            break
        root = home.parent
    base = Tree(Path(os.path.realpath(sys.base_prefix)))
    if base.ssl.is_dir() and (base.marked() or os.path.lexists(base.config) or base.module.exists()):
        return base
    raise Refused(
        f"no share/ssl/openssl-fips.cnf, so no FIPS mode: neither in {code.parent.parent} nor in {base.root}",
        "Unpack the whole archive, share/ssl included, and call its own bin/python3.",
    )


def _home_of_venv(venv: Path) -> Path | None:
    """The directory that pyvenv.cfg calls home: where the interpreter was that the venv was made with."""
    try:
        lines = (venv / "pyvenv.cfg").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and name.strip() == "home":
            return Path(os.path.realpath(value.strip()))
    return None


def in_venv() -> str | None:
    """The venv that this runs in, or None."""
    return sys.prefix if sys.prefix != sys.base_prefix else None
