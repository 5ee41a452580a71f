"""Ways to come to an interpreter that has been moved: what each prepares, and that it knows where it is in each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers.fips.embedding import host_and_library
from workers.fips.running import run
from workers.fips.tampering import NotHere
from workers.fips.tree import Tree
from workers.moved.judging import Facts, read_facts, wrong_compiler, wrong_place, wrong_sysconfig
from workers.reports.checks import Check

FACTS = Path(__file__).with_name("facts.py").resolve()

# libpython loaded by another program, which tells it nothing of where it is. See workers/fips/switch.py.
_EMBED = """
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW | os.RTLD_DEEPBIND)
library.Py_InitializeEx(0)
os._exit(1 if library.PyRun_SimpleString(open(sys.argv[2], "rb").read() + b"\\nsys.stdout.flush()") else 0)
"""

_READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && ! touch "$1/bin/x" 2>/dev/null && shift && exec "$@"
"""


@dataclass(frozen=True)
class Way:
    """What to start, below a fresh folder. before: arguments that stand before the script's name.

    knows_itself: sys.executable has to lead to the interpreter, as where argv[0] is known to be odd.
    """

    program: Path
    before: tuple[str, ...] = ()
    cwd: Path | str = "/"
    argv0: str | None = None
    script: tuple[str, ...] = ("-B", str(FACTS))
    knows_itself: bool = True
    path: str = ""


@dataclass(frozen=True)
class Place:
    """id: of the check. what: in words. prepare: makes what is needed. since: CPython before it does not manage."""

    id: str
    what: str
    prepare: Callable[[Tree, Path], Way]
    since: tuple[int, int] = (3, 10)


def interpreter(tree: Tree) -> Path:
    if tree.python is None:
        raise NotHere("the archive has no interpreter")
    return tree.python


def version(tree: Tree) -> tuple[int, int]:
    """(3, 13) of bin/python3.13."""
    major, _, minor = interpreter(tree).name.removeprefix("python").partition(".")
    return int(major), int(minor.rstrip("td"))


def _plain(tree: Tree, scratch: Path) -> Way:
    return Way(interpreter(tree))


def _link(tree: Tree, scratch: Path) -> Way:
    (scratch / "usr" / "bin").mkdir(parents=True)
    link = scratch / "usr" / "bin" / "python3"
    link.symlink_to(interpreter(tree))
    return Way(link)


def _link_beside_another(tree: Tree, scratch: Path) -> Way:
    """A link into a prefix that has the library of another CPython of the same version, as /usr/local/bin can be."""
    way = _link(tree, scratch)
    _other_library(tree, scratch / "usr")
    return way


def _linked_tree(tree: Tree, scratch: Path) -> Way:
    link = scratch / "linked tree"
    link.symlink_to(tree.root)
    return Way(link / "bin" / interpreter(tree).name)


def _relative(tree: Tree, scratch: Path) -> Way:
    return Way(interpreter(tree), cwd=tree.root / "bin", argv0=f"./{interpreter(tree).name}")


def _by_path(tree: Tree, scratch: Path) -> Way:
    return Way(interpreter(tree), argv0=interpreter(tree).name, path=f"/usr/bin:{tree.root / 'bin'}")


def _named(argv0: str) -> Callable[[Tree, Path], Way]:
    return lambda tree, scratch: Way(interpreter(tree), argv0=argv0, path="/usr/bin:/bin")


def _venv(*how: str) -> Callable[[Tree, Path], Way]:
    return lambda tree, scratch: _venv_by(interpreter(tree), scratch, *how)


def _venv_of_link(tree: Tree, scratch: Path) -> Way:
    return _venv_by(_link(tree, scratch).program, scratch, "--symlinks")


def _venv_of_link_beside_another(tree: Tree, scratch: Path) -> Way:
    return _venv_by(_link_beside_another(tree, scratch).program, scratch, "--symlinks")


def _venv_of_linked_tree(tree: Tree, scratch: Path) -> Way:
    return _venv_by(_linked_tree(tree, scratch).program, scratch, "--symlinks")


def read_only(tree: Tree, scratch: Path) -> Way:
    """A file system that nobody can write to, made in a namespace of its own: to root, file modes say nothing."""
    unshare = shutil.which("unshare")
    if unshare is None:
        raise NotHere("needs unshare (util-linux)")
    before = ("-r", "-m", "/bin/sh", "-c", _READ_ONLY, "sh", str(tree.root), str(interpreter(tree)))
    way = Way(Path(unshare), before, path="/usr/sbin:/usr/bin:/sbin:/bin")
    tried = run(way.program, [*way.before[:-1], "/bin/true"], {"PATH": way.path})
    if tried.code != 0:
        raise NotHere(f"no read-only mount can be made here: {tried.last}")
    return way


def _embedded(tree: Tree, scratch: Path) -> Way:
    host, library = host_and_library(tree, scratch)
    return Way(host, script=("-I", "-c", _EMBED, str(library), str(FACTS)), knows_itself=False)


def _venv_by(program: Path, scratch: Path, *how: str) -> Way:
    venv = scratch / "a venv"
    made = run(program, ["-m", "venv", "--without-pip", *how, str(venv)])
    if made.code != 0:
        raise NotHere(f"no venv could be made: {made.last}")
    return Way(venv / "bin" / "python3", knows_itself="--copies" not in how)


def _other_library(tree: Tree, prefix: Path) -> None:
    library = prefix / "lib" / next(path.name for path in (tree.root / "lib").glob("python3.*") if path.is_dir())
    (library / "lib-dynload").mkdir(parents=True)
    (library / "os.py").write_text("raise RuntimeError('the library of another CPython')\n")


# 3.10 finds its library in C code that no edit reaches.
BY_CODE = (3, 11)

PLACES: tuple[Place, ...] = (
    Place("plain", "by its own path", _plain),
    Place("link", "by a symbolic link to it", _link),
    Place("link-beside-another", "by a link beside the library of another CPython", _link_beside_another),
    Place("linked-tree", "by a symbolic link to its tree", _linked_tree),
    Place("relative", "by a relative path", _relative),
    Place("by-path", "by its name alone, found by PATH", _by_path),
    Place("argv0-nothing", "with an argv[0] that leads nowhere", _named("/nothing/is here"), BY_CODE),
    Place("argv0-device", "with /dev/null as argv[0]", _named("/dev/null"), BY_CODE),
    Place("argv0-other", "with the name of another program as argv[0]", _named("sh"), BY_CODE),
    Place("argv0-empty", "with an empty argv[0]", _named(""), BY_CODE),
    Place("venv", "in a venv", _venv("--symlinks")),
    Place("venv-copies", "in a venv of copies", _venv("--copies")),
    Place("venv-of-link", "in a venv made through a symbolic link", _venv_of_link, BY_CODE),
    Place(
        "venv-of-link-beside-another",
        "in a venv made through a link beside the library of another CPython",
        _venv_of_link_beside_another,
        BY_CODE,
    ),
    Place("venv-of-linked-tree", "in a venv made through a link to the tree", _venv_of_linked_tree),
    Place("read-only", "on a read-only file system", read_only),
    Place("embedded", "as libpython in another program", _embedded, BY_CODE),
)


def try_place(tree: Tree, place: Place, scratch: Path) -> Check:
    """Starts the interpreter in one way. Raises NotHere when it can't be tried on this machine."""
    if version(tree) < place.since:
        raise NotHere(f"CPython before {place.since[0]}.{place.since[1]} finds its library by argv[0] and PATH alone")
    way = place.prepare(tree, scratch)
    ran = run(way.program, [*way.before, *way.script], {"PATH": way.path}, cwd=way.cwd, argv0=way.argv0)
    facts = read_facts(ran.out)
    if ran.code != 0 or facts is None:
        found, ok = f"exit code {ran.code}: {ran.last}", False
    else:
        wrong = _wrong(facts, tree, way)
        found, ok = "; ".join(wrong) or "so it is", not wrong
    wanted = f"{place.what}: finds its own tree, and sysconfig names nothing else"
    return Check(f"moved.{place.id}", "off", "neutral", ok, wanted, found)


def _wrong(facts: Facts, tree: Tree, way: Way) -> list[str]:
    program = interpreter(tree) if way.knows_itself else None
    return [*wrong_place(facts, tree.root, program=program), *wrong_sysconfig(facts, tree.root)]


def try_compiler(tree: Tree) -> Check:
    """Whether extension modules are built with the user's compiler, by options that every compiler knows."""
    ran = run(interpreter(tree), ["-B", str(FACTS)])
    facts = read_facts(ran.out)
    wrong = [f"exit code {ran.code}: {ran.last}"] if facts is None else list(wrong_compiler(facts.variables))
    wanted = "sysconfig names cc, c++ and ar, and no option that only the build's compiler knows"
    return Check("moved.compiler", "off", "neutral", not wrong, wanted, "; ".join(wrong) or "so it is")
