"""Asks a fresh interpreter of the tree what its FIPS mode is: the only witness that was not there before the change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .places import Tree

_ASK = """
import json
try:
    import _hashlib, hashlib, ssl
    try:
        md5 = hashlib.md5(b"abc").hexdigest() == "900150983cd24fb0d6963f7d28e17f72"
    except ValueError:
        md5 = False
    sha256 = hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf8f01cfea")
    said = {"provider": _hashlib.fips_provider, "mode": _hashlib.get_fips_mode(), "md5": md5, "sha256": sha256}
except Exception as error:
    said = {"error": type(error).__name__ + ": " + str(error)}
print(json.dumps(said))
"""
# What could lead the interpreter, or OpenSSL, somewhere else than a plain start of it goes.
_LEFT_OUT = ("PYTHON_FIPS", "PYTHONHOME", "PYTHONPATH", "OPENSSL_CONF", "OPENSSL_MODULES")
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Answer:
    """provider: name, version, build info, path of the module; None when off. error: why nothing else could be told."""

    provider: list[str] | None = None
    mode: int = 0
    md5: bool = False
    sha256: bool = False
    error: str | None = None


def ask(tree: Tree, *, variable: bool = False) -> Answer:
    """The FIPS mode of a fresh interpreter of the tree, started with PYTHON_FIPS=1 or without that variable."""
    environment = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
    if variable:
        environment["PYTHON_FIPS"] = "1"
    command = [str(tree.python), "-I", "-B", "-c", _ASK]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, cwd="/"
        )
        # The last line: what is installed may print when an interpreter starts (.pth files, sitecustomize).
        return Answer(**json.loads(done.stdout.strip().rpartition("\n")[2]))
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(error=f"{tree.python} can't be run: {error}")
    except (ValueError, TypeError):
        last = done.stderr.strip().rpartition("\n")[2]
        return Answer(error=f"exit code {done.returncode} of {tree.python}: {last or 'it said nothing'}")


def why_no_hashes() -> str | None:
    """Why a process like this one can't use hashlib; None when it can.

    Found out by another one: a module that was cut off ends the process that loads it by SIGBUS.
    """
    if sys.modules.get("_hashlib") is not None:
        return None
    command = [sys.executable, "-B", "-c", "import hashlib, ssl; hashlib.sha256()"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return None
    return done.stderr.strip().rpartition("\n")[2] or f"loading the module ended a process with {done.returncode}"


def problem_on(answer: Answer, tree: Tree) -> str | None:
    """Why an answer is not that of an interpreter with this tree's FIPS mode on; None when it is."""
    if answer.error is not None:
        return answer.error
    if answer.provider is None:
        return "no FIPS provider serves"
    if answer.mode != 1 or answer.md5 or not answer.sha256:
        md5, sha256 = "works" if answer.md5 else "refused", "works" if answer.sha256 else "wrong"
        return f"mode {answer.mode}, MD5 {md5}, SHA-256 {sha256}"
    module = Path(answer.provider[3])
    if not module.exists() or not module.samefile(tree.module):
        return f"the module that serves is {module}, not {tree.module}"
    return None


def problem_off(answer: Answer) -> str | None:
    """Why an answer is not that of an interpreter with FIPS mode off; None when it is."""
    if answer.error is not None:
        return answer.error
    if answer.provider is not None or answer.mode != 0:
        return "FIPS mode is on all the same"
    return None if answer.md5 and answer.sha256 else "OpenSSL does not serve MD5 and SHA-256"
