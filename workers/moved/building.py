"""What people build against a tree that has been moved, with the compiler of their machine: does it build, and run?"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers.fips.running import Ran, run
from workers.fips.tampering import NotHere
from workers.fips.tree import Tree, tree_at
from workers.machine import machine_of, native_target
from workers.model import load_matrix
from workers.moved.judging import read_facts, wrong_place, wrong_sysconfig
from workers.moved.places import BY_CODE, FACTS, interpreter, version
from workers.reports.checks import Check

_EXTENSION = Path(__file__).with_name("build_extension.py").resolve()
_HOST = Path(__file__).with_name("embedding.c").resolve()
_ANSWER = "42"
# A compiler starts others, and writes to a temporary folder.
_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Building:
    """id: of the check. what: in words. needs: programs of the machine. build: its finding, None when all is well."""

    id: str
    what: str
    needs: tuple[str, ...]
    build: Callable[[Tree, Path], str | None]
    since: tuple[int, int] = (3, 10)


def try_building(tree: Tree, building: Building, scratch: Path) -> Check:
    """Builds something against the tree. Raises NotHere where the machine has no compiler for it."""
    if version(tree) < building.since:
        raise NotHere(f"CPython before {building.since[0]}.{building.since[1]} can't be embedded in a moved tree")
    missing = [name for name in building.needs if shutil.which(name, path=_PATH) is None]
    if missing:
        raise NotHere(f"needs {' and '.join(missing)}")
    _require_own_machine(tree)
    found = building.build(tree, scratch)
    return Check(f"moved.{building.id}", "off", "neutral", found is None, building.what, found or "so it is")


def _require_own_machine(tree: Tree) -> None:
    """The machine's compiler makes what this machine runs itself."""
    machine, native = machine_of(interpreter(tree)), native_target()
    if machine is not None and (native is None or load_matrix().targets[native].arch != machine):
        raise NotHere(f"this machine's compiler makes nothing for {machine}")


def _extension(language: str) -> Callable[[Tree, Path], str | None]:
    def build(tree: Tree, scratch: Path) -> str | None:
        ran = _run(interpreter(tree), ["-B", str(_EXTENSION), str(scratch), language], scratch)
        return None if ran.code == 0 and ran.out.strip() == _ANSWER else f"exit code {ran.code}: {ran.last}"

    return build


def _linked_extension(tree: Tree, scratch: Path) -> str | None:
    """Linked to libpython, and another libpython comes first where the loader looks."""
    if not list((tree.root / "lib").glob("libpython3.*.so")):
        raise NotHere("the archive has no libpython as an ELF shared object")
    other = scratch / "another libpython"
    other.mkdir(parents=True, exist_ok=True)  # before the start: the loader remembers folders that are not there
    arguments = ["-B", str(_EXTENSION), str(scratch), "c", str(other)]
    ran = _run(interpreter(tree), arguments, scratch, {"LD_LIBRARY_PATH": str(other)})
    return None if ran.code == 0 and ran.out.strip() == _ANSWER else f"exit code {ran.code}: {ran.last}"


def _by_config(tree: Tree) -> tuple[Path, list[str]]:
    """Through a link to `bin`: what lies above the link is no part of the tree."""
    link = tree.root.with_name("link-to-bin")
    link.symlink_to(tree.root / "bin")
    return link / f"{interpreter(tree).name}-config", ["--cflags", "--ldflags", "--embed"]


def _by_pkg_config(tree: Tree) -> tuple[Path, list[str]]:
    program = shutil.which("pkg-config", path=_PATH) or "pkg-config"
    name = interpreter(tree).name.removeprefix("python")
    return Path(program), ["--cflags", "--libs", f"python-{name}-embed"]


def _embedding(flags: Callable[[Tree], tuple[Path, list[str]]]) -> Callable[[Tree, Path], str | None]:
    """Compiled against a second place, and run when the tree is at a third, which the program is told nothing of."""

    def build(tree: Tree, scratch: Path) -> str | None:
        # A compiler takes a path with a space in it for two, and so do those who put it on a command line.
        place = scratch.with_name(scratch.name.replace(" ", "-") + "-embedding")
        if " " in str(place):
            raise NotHere("the working folder's path has a space in it, which no compiler's option may have")
        place.mkdir()
        try:
            return _embed(copied(tree, place / "second"), flags, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    return build


def _embed(tree: Tree, flags: Callable[[Tree], tuple[Path, list[str]]], place: Path) -> str | None:
    program, arguments = flags(tree)
    asked = _run(program, arguments, place, {"PKG_CONFIG_PATH": str(tree.root / "lib" / "pkgconfig")})
    if asked.code != 0:
        return f"{program.name}: exit code {asked.code}: {asked.last}"
    host = place / "host"
    compiler = Path(shutil.which("cc", path=_PATH) or "cc")
    compiled = _run(compiler, [str(_HOST), *shlex.split(asked.out), "-o", str(host)], place)
    if compiled.code != 0:
        return f"cc: exit code {compiled.code}: {compiled.last}"
    moved = tree_at(tree.root.rename(place / "a third pläce"))
    library = str(moved.root / "lib")
    # Python embedded leaves the locale alone, and the plain one's paths are ASCII.
    utf8 = {"LC_ALL": "C.UTF-8"}
    ran = _run(host, [str(FACTS)], place, {"LD_LIBRARY_PATH": library, "DYLD_LIBRARY_PATH": library, **utf8})
    facts = read_facts(ran.out)
    if ran.code != 0 or facts is None:
        return f"exit code {ran.code}: {ran.last}"
    return "; ".join([*wrong_place(facts, moved.root, program=None), *wrong_sysconfig(facts, moved.root)]) or None


def copied(tree: Tree, where: Path) -> Tree:
    """The whole tree at another place, its files by hard links."""
    # An interpreter that runs meanwhile writes bytecode, each file under a temporary name first.
    being_written = shutil.ignore_patterns("*.pyc.*")
    shutil.copytree(tree.root, where, symlinks=True, copy_function=os.link, ignore=being_written)
    return tree_at(where)


def _run(program: Path, arguments: list[str], where: Path, more: dict[str, str] | None = None) -> Ran:
    return run(program, arguments, {"PATH": _PATH, "TMPDIR": str(where), **(more or {})}, cwd=where)


BUILDINGS: tuple[Building, ...] = (
    Building(
        "extension-c",
        "a C extension module, built by this machine's cc as sysconfig says",
        ("cc",),
        _extension("c"),
    ),
    Building("extension-c++", "the same in C++", ("cc", "c++"), _extension("c++")),
    Building(
        "extension-linked",
        "one in C that was wrongly linked to libpython gets the interpreter itself, whatever LD_LIBRARY_PATH names",
        ("cc",),
        _linked_extension,
    ),
    Building(
        "embedded-by-config",
        "a program that embeds Python, built by what python3-config says, finds the tree after a second move",
        ("cc",),
        _embedding(_by_config),
        BY_CODE,
    ),
    Building(
        "embedded-by-pkg-config",
        "the same by what the pkg-config files say",
        ("cc", "pkg-config"),
        _embedding(_by_pkg_config),
        BY_CODE,
    ),
)
