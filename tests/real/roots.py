"""Other systems, as far as an interpreter sees them: a root directory with a C library, a tree, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workers.fips.running import Ran, run
from workers.fips.tree import Tree
from workers.moved.building import copied

# /dev and /proc are this machine's: what a container gets as well.
_ENTER = 'for name in dev proc; do mount --rbind "/$name" "$1/$name" || exit 99; done; exec chroot "$@"'
_SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"
TREE = "opt/a pläce"


@dataclass(frozen=True)
class Root:
    """A root directory. environment: what its processes get."""

    path: Path
    tree: Tree
    environment: Mapping[str, str] = field(default_factory=dict)

    def put(self, name: str, content: str | bytes = "") -> None:
        """A file below the root, with the directories that lead to it."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def link(self, name: str, target: str) -> None:
        """A symbolic link below the root."""
        link = self.path / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def command(self, *arguments: str) -> list[str]:
        """What enters the root and runs the tree's interpreter there."""
        assert self.tree.python is not None
        inside = f"/{self.tree.python.relative_to(self.path)}"
        return ["unshare", "-r", "-m", "/bin/sh", "-c", _ENTER, "sh", str(self.path), inside, *arguments]

    def run(self, *arguments: str, **environment: str) -> Ran:
        """Runs the tree's interpreter in the root."""
        program, *rest = self.command(*arguments)
        given = {"PATH": _SYSTEM, "HOME": "/", **self.environment, **environment}
        return run(Path(shutil.which(program, path=_SYSTEM) or program), rest, given)


def no_roots() -> str | None:
    """Why this machine can't enter another root; None when it can."""
    command = ["unshare", "-r", "-m", "/bin/sh", "-c", "mount --rbind /dev /mnt && chroot / /bin/true"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "needs unshare (util-linux)"
    return None if tried.returncode == 0 else f"no root can be entered here: {tried.stderr.strip()}"


def make_root(path: Path, tree: Tree, libraries: Mapping[str, Path]) -> Root:
    """A root directory with these libraries (place below the root → file) and the tree, its files by hard links."""
    for name in ("dev", "proc", "etc", "tmp"):
        (path / name).mkdir(parents=True)
    for name, library in libraries.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(os.path.realpath(library), place)
        place.chmod(0o755)
    (path / TREE).parent.mkdir()
    return Root(path, copied(tree, path / TREE))


def needed_libraries(programs: Sequence[Path]) -> dict[str, Path]:
    """What the loader of this machine loads for programs, the loader itself included."""
    found: dict[str, Path] = {}
    for program in programs:
        listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
        for path in re.findall(r"(/\S+) \(0x", listed):
            found[path.removeprefix("/")] = Path(path)
    return found
