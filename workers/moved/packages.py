"""What a moved tree brings beside its interpreter: Tcl and Tk, pip and the packages that it knows of."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.fips.running import run
from workers.fips.tampering import NotHere
from workers.fips.tree import Tree
from workers.moved.places import interpreter
from workers.reports.checks import Check

# Tcl's own scripts are read at its start, a module of it by `package require`; Tk's are where Tk will look for them.
_TCL = """
import json, tkinter
tcl = tkinter.Tcl()
library = tcl.eval("info library")
print(json.dumps({
    "library": library,
    "http": tcl.eval("package require http"),
    "tk": tcl.eval("file join [file dirname [info library]] tk[info tclversion] tk.tcl"),
    "patchlevel": tcl.eval("info patchlevel"),
}))
"""
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True)
class Package:
    """id: of the check. what: has to be so. wrong: tells what is not, given a tree and a fresh folder."""

    id: str
    what: str
    wrong: Callable[[Tree, Path], Iterator[str]]


def _tcl(tree: Tree, scratch: Path) -> Iterator[str]:
    if not any(tree.root.glob("lib/python3*/lib-dynload/_tkinter.*")):
        raise NotHere("the archive has no _tkinter")
    ran = run(_venv(tree, scratch, "--without-pip"), ["-c", _TCL], _ENVIRONMENT)
    if ran.code != 0:
        yield f"exit code {ran.code}: {ran.last}"
        return
    yield from wrong_tcl(json.loads(ran.out), tree.root)


def wrong_tcl(answer: Mapping[str, str], root: Path) -> Iterator[str]:
    """The scripts that are missing or not below `root`. answer: `library` and `tk`, paths of Tcl's and of Tk's."""
    for name in ("library", "tk"):
        path = Path(answer[name])
        if not (path.exists() and path.resolve().is_relative_to(root.resolve())):
            yield f"{name} is {path}"


def _pip(tree: Tree, scratch: Path) -> Iterator[str]:
    script = tree.root / "bin" / "pip3"
    if not script.is_file():
        raise NotHere("the archive has no pip")
    link = scratch / "pip of a link"
    link.symlink_to(script)
    for program, arguments in ((link, ["--version"]), (interpreter(tree), ["-m", "pip", "--version"])):
        yield from _is_below(program, arguments, tree.root)


def _pip_of_venv(tree: Tree, scratch: Path) -> Iterator[str]:
    python = _venv(tree, scratch)
    yield from _is_below(python.with_name("pip"), ["--version"], python.parent.parent)


def _is_below(program: Path, arguments: list[str], root: Path) -> Iterator[str]:
    """pip's own answer is `pip 26.2.1 from /path/of/its/package (python 3.13)`."""
    ran = run(program, arguments, _ENVIRONMENT)
    place = Path(ran.out.partition(" from ")[2].rpartition(" (python")[0])
    if ran.code != 0 or not place.resolve().is_relative_to(root.resolve()):
        yield f"{program.name}: exit code {ran.code}: {ran.last}"


def _venv(tree: Tree, scratch: Path, *how: str) -> Path:
    """The interpreter of a new venv. Raises NotHere when there can't be one."""
    venv = scratch / "a venv"
    made = run(interpreter(tree), ["-m", "venv", "--symlinks", *how, str(venv)], _ENVIRONMENT)
    if made.code != 0:
        raise NotHere(f"no venv could be made: {made.last}")
    return venv / "bin" / "python3"


def _records(tree: Tree, scratch: Path) -> Iterator[str]:
    found = sorted(tree.root.glob("lib/python3*/site-packages/*.dist-info/RECORD"))
    if not found:
        raise NotHere("the archive has no packages")
    for record in found:
        with record.open(encoding="utf-8", newline="") as stream:
            for name, digest, _ in csv.reader(stream):
                path = record.parent.parent / name
                if not path.is_file():
                    yield f"{name} is not there"
                elif digest and digest != recorded(path):
                    yield f"{name} is not as recorded"


def recorded(path: Path) -> str:
    """A file's digest as RECORD has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")


PACKAGES: tuple[Package, ...] = (
    Package("tcl", "in a venv, Tcl finds its scripts and Tk's in the tree", _tcl),
    Package("pip", "pip of the tree runs, by a link to its script and as a module", _pip),
    Package("pip-of-venv", "a venv gets a pip of its own", _pip_of_venv),
    Package("records", "every RECORD in site-packages names files that are there and as they are", _records),
)


def try_package(tree: Tree, package: Package, scratch: Path) -> Check:
    """Tries one of them. Raises NotHere when it can't be tried on this machine, or with this archive."""
    wrong = list(package.wrong(tree, scratch))
    return Check(f"moved.{package.id}", "off", "neutral", not wrong, package.what, "; ".join(wrong[:5]) or "so it is")
