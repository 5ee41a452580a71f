"""fips_setup, which ships in the archive: does it do what it says, and take back what did not work?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workers.errors import Failure
from workers.fips.config import module_mac, parse_fipsmodule, self_contained
from workers.fips.running import Ran, run
from workers.fips.switch import ASK, judge_start
from workers.fips.tampering import NotHere, flip
from workers.fips.tree import MODULE_CONFIG, Tree
from workers.reports.checks import Check

# A module that can't be loaded, and short: with FIPS mode broken, its MAC is computed in pure Python.
_CUT = 100_000


@dataclass(frozen=True)
class Use:
    """One use of fips_setup on a tree of its own. `attempt` says what was wrong (None: nothing) and what was found."""

    id: str
    wanted: str
    attempt: Callable[[Tree], tuple[str | None, str]]
    kind: Literal["positive", "negative"] = "positive"


def try_use(tree: Tree, use: Use) -> Check:
    """Raises NotHere for a tree that is not laid out as ours, so that nobody expects a fips_setup in it."""
    if tree.python is None or tree.module is None or not tree.config.exists():
        raise NotHere("fips_setup is for archives with openssl-fips.cnf and a FIPS module")
    try:
        problem, found = use.attempt(tree)
    except (OSError, ValueError, KeyError, Failure) as error:
        problem = found = f"{type(error).__name__}: {error}"
    return Check(f"setup.{use.id}", "on", use.kind, problem is None, use.wanted, problem or found)


def _call(tree: Tree, *arguments: str, environment: Mapping[str, str] | None = None) -> Ran:
    return run(_interpreter(tree), ["-B", "-m", "fips_setup", *arguments], environment)


def _interpreter(tree: Tree) -> Path:
    if tree.python is None:
        raise NotHere("the archive has no interpreter")
    return tree.python


def _status(tree: Tree, environment: Mapping[str, str] | None = None) -> tuple[dict[str, object], Ran]:
    ran = _call(tree, "status", "--json", environment=environment)
    if not ran.out:
        raise ValueError(f"exit code {ran.code}: {ran.last}")
    return dict(json.loads(ran.out)), ran


def _start(tree: Tree, *, on: bool, variable: bool = False) -> str | None:
    """What is wrong with a fresh start of the tree's interpreter; None when FIPS mode is as it should be."""
    ran = run(_interpreter(tree), ["-c", ASK], {"PYTHON_FIPS": "1"} if variable else {})
    ok, found = judge_start(ran, tree, on=on)
    return None if ok else found


def _tells_off(tree: Tree) -> tuple[str | None, str]:
    said, ran = _status(tree)
    own = [library for library in _libcryptos(said) if library["governed"]]
    right = (ran.code, said["fips"], said["mac"], said["config"], len(own)) == (0, "off", "right", "right", 1)
    found = f"exit code {ran.code}, FIPS mode {said['fips']}, MAC {said['mac']}, {said['libcryptos']}"
    return (None if right else found), found


def _tells_on(tree: Tree) -> tuple[str | None, str]:
    said, ran = _status(tree, {"PYTHON_FIPS": "1"})
    provider = said["provider"]
    found = f"exit code {ran.code}, FIPS mode {said['fips']}, {provider}, asked for by {said['asked_by']}"
    here = isinstance(provider, list) and tree.module is not None and Path(provider[3]).samefile(tree.module)
    return (None if ran.code == 0 and said["fips"] == "on" and here else found), found


def _libcryptos(said: Mapping[str, object]) -> list[dict[str, object]]:
    found = said["libcryptos"]
    return [dict(library) for library in found] if isinstance(found, list) else []


def _switches(tree: Tree) -> tuple[str | None, str]:
    for command, on in (("enable", True), ("disable", False)):
        ran = _call(tree, command)
        problem = f"exit code {ran.code}: {ran.last}" if ran.code != 0 else _start(tree, on=on)
        if problem is not None:
            return f"{command}: {problem}", ""
    return None, "on after enable, off after disable"


def _enables_nothing_damaged(tree: Tree) -> tuple[str | None, str]:
    _change(tree, flip)
    ran = _call(tree, "enable")
    if _refused(ran) and not tree.marker.is_symlink() and not tree.marker.exists():
        return None, ran.err.splitlines()[0]
    return f"exit code {ran.code}, marker {'there' if tree.marker.exists() else 'not there'}: {ran.last}", ""


def _tells_broken(tree: Tree) -> tuple[str | None, str]:
    """With the marker there and no module that loads, no hash works: the MAC is computed all the same."""
    _change(tree, lambda data: data[:_CUT])
    tree.marker.touch()
    said, ran = _status(tree, {"PYTHON_FIPS": "0"})
    mac = module_mac(tree.module.read_bytes()) if tree.module else ""
    right = ran.code == 1 and said["fips"] == "broken" and mac in str(said["mac"])
    found = f"exit code {ran.code}, FIPS mode {said['fips']}, {said['mac']}"
    return (None if right else found), found


def _installs(tree: Tree) -> tuple[str | None, str]:
    """As after a signature: other bytes, the module as good as before."""
    before = parse_fipsmodule(tree.module_config.read_text())
    _change(tree, lambda data: data + b"\0")
    ran = _call(tree, "install")
    if ran.code != 0:
        return f"exit code {ran.code}: {ran.last}", ""
    text = tree.module_config.read_text()
    after = parse_fipsmodule(text)
    if {**before, "module-mac": after["module-mac"]} != after:
        return f"{MODULE_CONFIG} has other settings than before: {after}", ""
    if tree.module is None or after["module-mac"] != module_mac(tree.module.read_bytes()):
        return f"module-mac = {after['module-mac']}, which is not the module's", ""
    if tree.config.read_text() != self_contained(text):
        return f"{tree.config.name} is not that of {MODULE_CONFIG}", ""
    return _start(tree, on=True, variable=True), "a changed module serves with its new MAC, all checks as before"


def _installs_nothing_damaged(tree: Tree) -> tuple[str | None, str]:
    before = (tree.module_config.read_bytes(), tree.config.read_bytes())
    _change(tree, lambda data: data[:_CUT])
    ran = _call(tree, "install")
    same = before == (tree.module_config.read_bytes(), tree.config.read_bytes())
    if _refused(ran) and same:
        return None, ran.err.splitlines()[0]
    return f"exit code {ran.code}, files {'as before' if same else 'changed'}: {ran.last}", ""


def _refused(ran: Ran) -> bool:
    """Whether it was fips_setup that refused, and not Python that has no such module."""
    return ran.code == 1 and ran.err.startswith("fips_setup: ")


def _change(tree: Tree, change: Callable[[bytes], bytes]) -> None:
    if tree.module is None:
        raise NotHere("the archive has no FIPS module")
    tree.module.write_bytes(change(tree.module.read_bytes()))


USES: tuple[Use, ...] = (
    Use("status-off", "status: off, MAC and configuration right, one libcrypto of its own", _tells_off),
    Use("status-on", "status with PYTHON_FIPS=1: on, by the module of this tree", _tells_on),
    Use("status-broken", "status with a cut module and the marker: broken, the MAC told", _tells_broken, "negative"),
    Use("enable-disable", "enable turns FIPS mode on, disable off, as a fresh start says", _switches),
    Use(
        "enable-damaged", "enable with a damaged module: refused, no marker left", _enables_nothing_damaged, "negative"
    ),
    Use("install", "install after the module's bytes changed: its new MAC, all else as before", _installs),
    Use(
        "install-damaged", "install with a cut module: refused, files as before", _installs_nothing_damaged, "negative"
    ),
)
