"""What turns FIPS mode on, and that nothing in the environment turns it off again: each start in its own process."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workers.fips.embedding import host_and_library
from workers.fips.running import Ran, run
from workers.fips.tampering import MD5_OF_ABC, NotHere
from workers.fips.tree import MODULES, Tree
from workers.machine import file_of, machine_of
from workers.reports.checks import Check

ASK = """
import json
import _hashlib, hashlib, ssl
try:
    md5 = hashlib.md5(b"abc").hexdigest()
except ValueError as error:
    md5 = "refused"
print(json.dumps({"mode": _hashlib.get_fips_mode(), "provider": getattr(_hashlib, "fips_provider", None), "md5": md5}))
"""

_LATE = """
import hashlib, os
hashlib.md5(b"abc")
os.environ["PYTHON_FIPS"] = "1"
import ssl
print("ssl works without FIPS though it was asked for")
"""

# libpython loaded by another program. RTLD_DEEPBIND: that program has the same symbols.
_EMBED = """
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW | os.RTLD_DEEPBIND)
library.Py_SetPythonHome.argtypes = [ctypes.c_wchar_p]
library.Py_SetPythonHome(sys.argv[2])
library.Py_InitializeEx(0)
os._exit(1 if library.PyRun_SimpleString(sys.argv[3].encode() + b"\\nimport sys; sys.stdout.flush()") else 0)
"""


@dataclass(frozen=True)
class Start:
    """One way to start the interpreter. marked: with `share/ssl/fips-enabled`; on: whether FIPS mode has to be on.

    prepare: makes what the start needs below a fresh folder, and says what to run there; None: the interpreter itself.
    """

    id: str
    what: str
    on: bool = True
    marked: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    prepare: Callable[[Tree, Path], Prepared] | None = None


@dataclass(frozen=True)
class Prepared:
    """What to start instead of the interpreter; `environment` and `before` (arguments) are added to the start's own."""

    program: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()
    cwd: Path | str = "/"
    argv0: str | None = None
    script: Sequence[str] = ("-c", ASK)


def _interpreter(tree: Tree) -> Path:
    if tree.python is None:
        raise NotHere("the archive has no interpreter")
    return tree.python


def _other_home(tree: Tree, scratch: Path) -> Prepared:
    home = scratch / "another home"
    home.mkdir()
    (home / "lib").symlink_to(tree.root / "lib")
    return Prepared(_interpreter(tree), {"PYTHONHOME": str(home)})


def _other_config(tree: Tree, scratch: Path) -> Prepared:
    config = scratch / "openssl.cnf"
    config.write_text(
        "openssl_conf = init\n[init]\nproviders = p\n[p]\ndefault = d\n[d]\nactivate = 1\n", encoding="utf-8"
    )
    return Prepared(_interpreter(tree), {"OPENSSL_CONF": str(config)})


def _garbage_config(tree: Tree, scratch: Path) -> Prepared:
    config = scratch / "openssl.cnf"
    config.write_text("[ this is\n no config =\n", encoding="utf-8")
    return Prepared(_interpreter(tree), {"OPENSSL_CONF": str(config)})


def _link(tree: Tree, scratch: Path) -> Prepared:
    link = scratch / "linked python"
    link.symlink_to(_interpreter(tree))
    return Prepared(link)


def _linked_tree(tree: Tree, scratch: Path) -> Prepared:
    link = scratch / "linked tree"
    link.symlink_to(tree.root)
    return Prepared(link / "bin" / _interpreter(tree).name)


def _relative(tree: Tree, scratch: Path) -> Prepared:
    name = _interpreter(tree).name
    code = f"import os; os.chdir({str(scratch)!r})\n{ASK}"
    return Prepared(tree.root / "bin" / name, cwd=tree.root / "bin", argv0=f"./{name}", script=("-c", code))


def _odd_name(tree: Tree, scratch: Path) -> Prepared:
    name = str(scratch / "bin" / "nothing is here")
    return Prepared(_interpreter(tree), {"PYTHONHOME": str(tree.root)}, argv0=name)


def _venv(*how: str) -> Callable[[Tree, Path], Prepared]:
    def prepare(tree: Tree, scratch: Path) -> Prepared:
        venv = scratch / "a venv"
        made = run(_interpreter(tree), ["-m", "venv", "--without-pip", *how, str(venv)])
        if made.code != 0:
            raise NotHere(f"no venv could be made: {made.last}")
        return Prepared(venv / "bin" / "python3")

    return prepare


def _loader(tree: Tree, scratch: Path) -> Prepared:
    """The program that the interpreter names as its loader, which stands in its first page."""
    with _interpreter(tree).open("rb") as stream:
        named = _LOADER.search(stream.read(4096))
    loader = file_of(machine_of(_interpreter(tree)), Path(named[0].decode())) if named else None
    if loader is None:
        raise NotHere("this interpreter names no loader, or one that this machine hasn't got")
    return Prepared(loader, before=[str(_interpreter(tree))])


def _read_only(tree: Tree, scratch: Path) -> Prepared:
    if os.geteuid() == 0:
        raise NotHere("run as root, to whom no tree is read-only")
    for directory, _, _ in os.walk(tree.root):
        Path(directory).chmod(0o555)
    return Prepared(_interpreter(tree))


def _embedded(tree: Tree, scratch: Path) -> Prepared:
    host, library = host_and_library(tree, scratch)
    return Prepared(host, script=("-I", "-c", _EMBED, str(library), str(tree.root), ASK))


_LOADER = re.compile(rb"/[\w./-]*/ld-linux[\w.-]*\.so\.\d")
_NOTHING = {"OPENSSL_CONF": "/dev/null", "OPENSSL_MODULES": "/nonexistent"}

STARTS: tuple[Start, ...] = (
    Start("nothing", "neither variable nor marker", on=False),
    Start("variable-zero", "PYTHON_FIPS=0", on=False, environment={"PYTHON_FIPS": "0"}),
    Start("variable-empty", "PYTHON_FIPS empty", on=False, environment={"PYTHON_FIPS": ""}),
    Start("variable", "PYTHON_FIPS=1", environment={"PYTHON_FIPS": "1"}),
    Start("variable-yes", "PYTHON_FIPS=yes", environment={"PYTHON_FIPS": "yes"}),
    Start("variable-isolated", "PYTHON_FIPS=1 with -I -S", environment={"PYTHON_FIPS": "1"}, options=["-I", "-S"]),
    Start("variable-E", "PYTHON_FIPS=1 with -E", environment={"PYTHON_FIPS": "1"}, options=["-E"]),
    Start("variable-openssl", "PYTHON_FIPS=1 and OPENSSL_*", environment={"PYTHON_FIPS": "1", **_NOTHING}),
    Start("variable-venv", "PYTHON_FIPS=1 in a venv", environment={"PYTHON_FIPS": "1"}, prepare=_venv("--symlinks")),
    Start("marker", "the marker", marked=True),
    Start("marker-zero", "the marker, PYTHON_FIPS=0", marked=True, environment={"PYTHON_FIPS": "0"}),
    Start("marker-empty", "the marker, PYTHON_FIPS empty", marked=True, environment={"PYTHON_FIPS": ""}),
    Start("marker-I", "the marker, -I", marked=True, options=["-I"]),
    Start("marker-E", "the marker, -E", marked=True, options=["-E"]),
    Start("marker-isolated", "the marker, -I -S", marked=True, options=["-I", "-S"]),
    Start("marker-home", "the marker, PYTHONHOME elsewhere", marked=True, prepare=_other_home),
    Start("marker-no-config", "the marker, OPENSSL_CONF=/dev/null", marked=True, environment=_NOTHING),
    Start(
        "marker-other-config", "the marker, OPENSSL_CONF for the default provider", marked=True, prepare=_other_config
    ),
    Start("marker-garbage-config", "the marker, OPENSSL_CONF garbage", marked=True, prepare=_garbage_config),
    Start(
        "marker-everything",
        "the marker, all of these at once",
        marked=True,
        environment={"PYTHON_FIPS": "0", **_NOTHING},
        prepare=_other_home,
    ),
    Start("marker-link", "the marker, a symbolic link to the interpreter", marked=True, prepare=_link),
    Start("marker-linked-tree", "the marker, a symbolic link to the tree", marked=True, prepare=_linked_tree),
    Start("marker-relative", "the marker, a relative path and a change of directory", marked=True, prepare=_relative),
    Start("marker-odd-name", "the marker, an argv[0] of something else", marked=True, prepare=_odd_name),
    Start("marker-loader", "the marker, started by the loader", marked=True, prepare=_loader),
    Start("marker-venv", "the marker, a venv of links", marked=True, prepare=_venv("--symlinks")),
    Start("marker-venv-copies", "the marker, a venv of copies", marked=True, prepare=_venv("--copies")),
    Start("marker-read-only", "the marker, a read-only tree", marked=True, prepare=_read_only),
    Start("marker-embedded", "the marker, libpython in another program", marked=True, prepare=_embedded),
)


def try_start(tree: Tree, start: Start, scratch: Path) -> Check:
    """Starts the interpreter of a tree of its own in one way. Raises NotHere when it can't be tried on this machine."""
    if start.marked:
        tree.marker.parent.mkdir(parents=True, exist_ok=True)
        tree.marker.touch()
    prepared = start.prepare(tree, scratch) if start.prepare else Prepared(_interpreter(tree))
    ran = run(
        prepared.program,
        [*prepared.before, *start.options, *prepared.script],
        {**start.environment, **prepared.environment},
        cwd=prepared.cwd,
        argv0=prepared.argv0,
    )
    ok, found = judge_start(ran, tree, on=start.on)
    wanted = "FIPS mode on, from this tree, MD5 refused" if start.on else "FIPS mode off, MD5 works"
    return Check(f"start.{start.id}", "on" if start.on else "off", "neutral", ok, f"{start.what}: {wanted}", found)


def judge_start(ran: Ran, tree: Tree, *, on: bool) -> tuple[bool, str]:
    """Whether what `ASK` said is right for FIPS mode on, or off, and what it said."""
    try:
        said = json.loads(ran.out)
        mode, provider, md5 = said["mode"], said["provider"], said["md5"]
    except (ValueError, KeyError):
        return False, f"exit code {ran.code}: {ran.last}"
    if not on:
        found = f"mode {mode}, provider {provider}, MD5 {'works' if md5 == MD5_OF_ABC else md5}"
        return (mode, provider, md5) == (0, None, MD5_OF_ABC), found
    if provider is None:
        return False, f"mode {mode}, no provider of this tree, MD5 {'works' if md5 == MD5_OF_ABC else md5}"
    path = Path(str(provider[3]))
    here = path.parent == tree.root.resolve() / MODULES
    found = f"mode {mode}, {provider[0]} {provider[1]}, MD5 {'works' if md5 == MD5_OF_ABC else md5}"
    return mode == 1 and md5 == "refused" and here, found if here else f"{found}, module {path}"


def try_late(tree: Tree) -> Check:
    """PYTHON_FIPS set when OpenSSL is already in use: an error, never half a FIPS mode."""
    ran = run(_interpreter(tree), ["-c", _LATE])
    refused = ran.code == 1 and "RuntimeError: " in ran.err
    return Check(
        "start.too-late",
        "on",
        "negative",
        refused,
        "PYTHON_FIPS set after hashlib was imported: import ssl ends in RuntimeError",
        ran.last if refused else f"exit code {ran.code}: {ran.last}",
    )
