"""Ways to damage FIPS mode, each on a copy of the tree; every one has to end in an error, none in a working MD5."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers.fips.running import Ran, run
from workers.fips.tree import Tree, link_tree
from workers.reports.checks import Check

MD5_OF_ABC = "900150983cd24fb0d6963f7d28e17f72"

# What an unsuspecting program does.
_PLAIN = "import hashlib; print(hashlib.md5(b'abc').hexdigest())"

# What a program does that takes an error for something to be worked around.
_STUBBORN = """
import json, sys
got, said = [], ""
def attempt(what, way):
    global said
    try:
        way()
    except BaseException as error:
        said = type(error).__name__ + ": " + str(error)
    else:
        got.append(what)
for _ in range(2):
    for name in ("ssl", "hashlib", "_hashlib", "_ssl", "hmac", "_md5"):
        attempt("import " + name, lambda: __import__(name))
    attempt("hashlib.md5", lambda: __import__("hashlib").md5(b"abc"))
    attempt("hashlib.sha256", lambda: __import__("hashlib").sha256(b"abc"))
    attempt("_hashlib.openssl_md5", lambda: __import__("_hashlib").openssl_md5(b"abc"))
    attempt("ssl.create_default_context", lambda: __import__("ssl").create_default_context())
print(json.dumps({"got": sorted(set(got)), "said": said}))
sys.exit(0 if got else 1)
"""


class NotHere(Exception):
    """A tampering that can't be done on this machine or to this archive; says why."""


@dataclass(frozen=True)
class Tampering:
    """id: its name in the report; what: what is done, in words; apply: does it to a tree of its own."""

    id: str
    what: str
    apply: Callable[[Tree], None]


def _module(tree: Tree) -> Path:
    if tree.module is None:
        raise NotHere("the archive has no FIPS module")
    return tree.module


def _change_module(change: Callable[[bytes], bytes]) -> Callable[[Tree], None]:
    def apply(tree: Tree) -> None:
        path = _module(tree)
        path.write_bytes(change(path.read_bytes()))

    return apply


def _change_config(change: Callable[[str], str]) -> Callable[[Tree], None]:
    def apply(tree: Tree) -> None:
        before = tree.config.read_text()
        after = change(before)
        if after == before:
            raise NotHere("the config has no such line")
        tree.config.write_text(after)

    return apply


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _strip(tree: Tree) -> None:
    path = _module(tree)
    tool = next((found for name in ("llvm-strip", "llvm-strip-22", "strip") if (found := shutil.which(name))), None)
    if tool is None:
        raise NotHere("this machine has no strip")
    before = path.read_bytes()
    done = subprocess.run([tool, "--strip-debug", str(path)], capture_output=True, check=False)
    if done.returncode != 0 or path.read_bytes() == before:
        done = subprocess.run([tool, str(path)], capture_output=True, check=False)
    if done.returncode != 0 or path.read_bytes() == before:
        raise NotHere(f"{tool} leaves this module as it is")


def _another_library(tree: Tree) -> None:
    path = _module(tree)
    others = sorted((tree.root / "lib").glob("*/lib-dynload/*.so"))
    if not others:
        raise NotHere("the archive has no other shared object")
    shutil.copyfile(others[0], path)


def _provider_section(text: str, old: str, new: str) -> str:
    """Changes a line of the FIPS provider's own section only."""
    before, section, rest = text.partition("[fips_sect]")
    return before + section + re.sub(old, new, rest, count=1, flags=re.MULTILINE)


def _no_marker_target(tree: Tree) -> None:
    tree.marker.unlink(missing_ok=True)
    tree.marker.symlink_to("no-such-file")
    tree.config.unlink()


def _lines_away(pattern: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern + r".*\n", "", text, flags=re.MULTILINE)


TAMPERINGS: tuple[Tampering, ...] = (
    Tampering("module.flipped-byte", "one bit in the middle of the module flipped", _change_module(flip)),
    Tampering("module.appended-byte", "one byte appended to the module", _change_module(lambda data: data + b"\0")),
    Tampering("module.cut", "the module's last byte cut off", _change_module(lambda data: data[:-1])),
    Tampering("module.stripped", "the module stripped", _strip),
    Tampering("module.empty", "the module emptied", _change_module(lambda data: b"")),
    Tampering("module.missing", "the module deleted", lambda tree: _module(tree).unlink()),
    Tampering("module.another", "another shared object in its place", _another_library),
    Tampering("config.missing", "the config deleted", lambda tree: tree.config.unlink()),
    Tampering("config.empty", "the config emptied", _change_config(lambda text: "")),
    Tampering("config.garbage", "garbage for a config", _change_config(lambda text: "[openssl_init\n\0\n" + text)),
    Tampering(
        "config.not-referred-to",
        "no `openssl_conf` line, so that OpenSSL ignores all that follows",
        _change_config(_lines_away("^openssl_conf")),
    ),
    Tampering(
        "config.wrong-mac",
        "a wrong module-mac",
        _change_config(lambda text: _provider_section(text, "^(module-mac = ..)", r"\g<1>:00")),
    ),
    Tampering(
        "config.no-mac",
        "no module-mac",
        _change_config(lambda text: _provider_section(text, "^module-mac.*\n", "")),
    ),
    Tampering(
        "config.not-activated",
        "activate = 0 for the provider",
        _change_config(lambda text: _provider_section(text, "^activate = 1", "activate = 0")),
    ),
    Tampering("config.no-properties", "no default properties", _change_config(_lines_away("^default_properties"))),
    Tampering(
        "config.preferred-only",
        "FIPS algorithms preferred, not required",
        _change_config(lambda text: text.replace("fips=yes", "?fips=yes")),
    ),
    Tampering(
        "config.default-only",
        "the default provider alone",
        _change_config(lambda text: re.sub(r"^fips = .*\n", "", text, flags=re.MULTILINE).replace("fips=yes", "")),
    ),
    Tampering("marker.without-target", "the marker a dangling link, the config deleted", _no_marker_target),
)


def tamper(tree: Tree, tampering: Tampering, where: Path) -> Check:
    """Damages a copy at `where` and tries to get MD5 out of it, by PYTHON_FIPS and by the marker.

    Raises NotHere when the damage can't be done.
    """
    copy = link_tree(tree, where)
    try:
        tampering.apply(copy)
    except FileNotFoundError as error:
        raise NotHere(f"the archive has no {Path(error.filename).name}") from error
    if copy.python is None:
        raise NotHere("the archive has no interpreter")
    plain = run(copy.python, ["-c", _PLAIN], {"PYTHON_FIPS": "1"})
    if not copy.marker.is_symlink():
        copy.marker.touch()
    stubborn = run(copy.python, ["-c", _STUBBORN], {"PYTHON_FIPS": "0"})
    problem = _problem(plain, stubborn)
    return Check(
        id=f"tamper.{tampering.id}",
        mode="tamper",
        kind="tamper",
        ok=problem is None,
        wanted=f"{tampering.what}: hashlib and ssl refused with RuntimeError, exit code not 0",
        found=problem or plain.last,
    )


def _problem(plain: Ran, stubborn: Ran) -> str | None:
    if MD5_OF_ABC in plain.out:
        return "PYTHON_FIPS=1: MD5 works"
    if plain.code == 0 or plain.code is None:
        return f"PYTHON_FIPS=1: exit code {plain.code}, {plain.last}"
    if "RuntimeError: " not in plain.err:
        return f"PYTHON_FIPS=1: not refused with RuntimeError, but: {plain.last}"
    try:
        got = json.loads(stubborn.out)["got"]
    except (ValueError, KeyError):
        return f"marker: exit code {stubborn.code}, {stubborn.last}"
    if got:
        return f"marker: works all the same: {', '.join(got)}"
    return None if stubborn.code == 1 else f"marker: exit code {stubborn.code}"
