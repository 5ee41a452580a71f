"""Which program a tree's libpython is loaded by, to see it in a process that is not its own interpreter."""

from __future__ import annotations

import os
from pathlib import Path

from workers.fips.tampering import NotHere
from workers.fips.tree import Tree, link_tree
from workers.machine import machine_of


def host_and_library(tree: Tree, scratch: Path) -> tuple[Path, Path]:
    """The Python that loads it, and the tree's libpython. Raises NotHere where that is not possible.

    The worker's own Python; for another processor the interpreter of a second tree, below `scratch`.
    """
    libraries = sorted((tree.root / "lib").glob("libpython3.*.so*"))
    if not libraries:
        raise NotHere("the archive has no libpython as a shared object")
    host = Path("/proc/self/exe").resolve() if Path("/proc/self/exe").exists() else None
    if host is None or not hasattr(os, "RTLD_DEEPBIND"):
        raise NotHere("only where a second libpython can be loaded apart from the first (glibc)")
    if machine_of(host) != machine_of(libraries[0]):
        host = link_tree(tree, scratch / "another tree").python
        if host is None:
            raise NotHere("the archive has no interpreter, and this machine's is for another processor")
    return host, libraries[0]
