"""The tree of an unpacked archive: where its interpreter and its FIPS files are, and copies to tamper with."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from workers.derive.layout import FIPS_DOCUMENT
from workers.package.beside import FipsDocument

SSL = "share/ssl"
MARKER = f"{SSL}/fips-enabled"
CONFIG = f"{SSL}/openssl-fips.cnf"
MODULE_CONFIG = f"{SSL}/fipsmodule.cnf"
MODULES = f"{SSL}/ossl-modules"
_MODULE_NAMES = ("fips.so", "fips.dylib")
_INTERPRETER = re.compile(r"python3\.\d+t?d?")


@dataclass(frozen=True)
class Tree:
    """root: what holds bin, lib and share. python: the interpreter, None when there is none."""

    root: Path
    python: Path | None

    @property
    def module(self) -> Path | None:
        """The FIPS module, None when there is none."""
        return next((path for name in _MODULE_NAMES if (path := self.root / MODULES / name).is_file()), None)

    @property
    def marker(self) -> Path:
        return self.root / MARKER

    @property
    def config(self) -> Path:
        return self.root / CONFIG

    @property
    def module_config(self) -> Path:
        return self.root / MODULE_CONFIG


def tree_at(root: Path) -> Tree:
    """The tree whose bin, lib and share are below `root`."""
    candidates = sorted((root / "bin").glob("python3.*")) if (root / "bin").is_dir() else []
    found = [path for path in candidates if _INTERPRETER.fullmatch(path.name) and path.is_file()]
    return Tree(root, min(found, key=lambda path: len(path.name)) if found else None)


def find_tree(unpacked: Path) -> Tree:
    """The tree of an unpacked archive: `python/install` (full), `python` (install_only), else the top."""
    for name in ("python/install", "python", "."):
        if (unpacked / name / "bin").is_dir():
            return tree_at(unpacked / name)
    return Tree(unpacked, None)


def read_document(unpacked: Path) -> FipsDocument | None:
    """What the archive's own FIPS.json says; None when it has none, or one that is not of our kind."""
    for name in ("FIPS.json", FIPS_DOCUMENT):
        try:
            return msgspec.json.decode((unpacked / "python" / name).read_bytes(), type=FipsDocument)
        except (OSError, ValueError, RecursionError):  # msgspec's own, bytes that are no UTF-8, endless nesting
            continue
    return None


def link_tree(tree: Tree, where: Path) -> Tree:
    """A second tree beside the first, whose `share/ssl` is its own and whose other files are links.

    Hard links where code is loaded from, since FIPS mode finds its tree by the code's own path; symbolic links for the
    rest, which is most of it.
    """
    _link_files(tree.root / "bin", where / "bin")
    _link_files(tree.root / "lib", where / "lib")
    if (tree.root / "lib").is_dir():
        for directory in (path for path in (tree.root / "lib").iterdir() if path.is_dir() and not path.is_symlink()):
            _link_directory(directory, where / "lib" / directory.name)
    (where / "share").mkdir(parents=True, exist_ok=True)
    if (tree.root / SSL).is_dir():
        shutil.copytree(tree.root / SSL, where / SSL, symlinks=True)
    return tree_at(where)


def _link_directory(source: Path, target: Path) -> None:
    if not (source / "lib-dynload").is_dir():
        target.symlink_to(source)
        return
    target.mkdir()
    for path in source.iterdir():
        if path.name != "lib-dynload":
            (target / path.name).symlink_to(path)
    _link_files(source / "lib-dynload", target / "lib-dynload")


def _link_files(source: Path, target: Path) -> None:
    """Hard links to the files of one directory, and its symbolic links as they are."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir() if source.is_dir() else ():
        if path.is_symlink():
            (target / path.name).symlink_to(path.readlink())
        elif path.is_file():
            (target / path.name).hardlink_to(path)
