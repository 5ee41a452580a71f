"""What FIPS mode is in this very process, and whether the files that it needs are as they should be."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .child import why_no_hashes
from .config import checks_off, difference, settings_of
from .mac import module_mac
from .places import Tree, in_venv
from .process import Libcrypto, libcryptos

SCHEMA = "fips_setup/status/1"


@dataclass(frozen=True)
class Status:
    """fips: on, off or broken (asked for, and hashlib or ssl can't be imported). asked_by: the variable, the marker.

    provider: name, version, build info and path of the module that serves. mac, config: "right", or what is wrong.
    problems: what keeps FIPS mode from working; notes: what could not be looked at.
    """

    fips: str
    asked_by: list[str]
    tree: str
    venv: str | None
    interpreter: str
    provider: list[str] | None
    error: str | None
    module: str
    mac: str
    config: str
    libcryptos: list[Libcrypto]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    schema: str = SCHEMA


def status(tree: Tree, imports: list[str], *, installed: bool = False) -> Status:
    """The status of this process, after importing `imports`: the packages that may bring a libcrypto of their own.

    installed: look at all installed packages for that, without importing them.
    """
    asked_by = _asked_by(tree)
    provider, error = _provider()
    notes = [text for name in imports if (text := _import(name)) is not None]
    found = libcryptos(tree, installed=installed)
    mac, config = check_mac(tree), check_config(tree)
    fips = "broken" if error is not None else "on" if provider is not None else "off"
    problems = [error] if error is not None else []
    problems += [said for said in (mac, config) if said != "right"]
    if provider is None and asked_by and error is None:
        problems.append("FIPS mode is asked for, and yet no provider serves")
    if not found:
        notes.append("which files this process has mapped can't be told here")
    return Status(
        fips, asked_by, str(tree.root), in_venv(), sys.executable, provider, error, str(tree.module), mac, config,
        found, problems, notes,
    )  # fmt: skip


def _asked_by(tree: Tree) -> list[str]:
    variable = os.environ.get("PYTHON_FIPS", "")
    asked = [f"PYTHON_FIPS={variable} in the environment"] if variable not in ("", "0") else []
    return asked + ([str(tree.marker)] if tree.marked() else [])


def _provider() -> tuple[list[str] | None, str | None]:
    """What serves hashlib and ssl of this process; or why they can't be imported."""
    broken = why_no_hashes()
    if broken is not None:
        return None, broken
    try:
        facts = [importlib.import_module(name).fips_provider for name in ("_hashlib", "_ssl")]
    except (RuntimeError, ImportError) as error:
        return None, f"{type(error).__name__}: {error}"
    except AttributeError:
        return None, "this interpreter has no FIPS switch: it is not one of pymint's"
    if facts[0] != facts[1]:
        return None, f"hashlib is served by {facts[0]}, ssl by {facts[1]}"
    return (None if facts[0] is None else [str(fact) for fact in facts[0]]), None


def _import(name: str) -> str | None:
    """Imports a package for what it maps; a text when it can't be imported."""
    try:
        importlib.import_module(name)
    except Exception as error:
        return f"import {name} failed: {type(error).__name__}: {error}"
    return None


def check_mac(tree: Tree) -> str:
    """ "right", or what is wrong with the module's MAC."""
    try:
        found = module_mac(tree.module.read_bytes())
        noted = settings_of(_text(tree.module_config)).get("module-mac")
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    if noted is None:
        return f"{tree.module_config.name} has no module-mac"
    if noted.replace(":", "").upper() != found.replace(":", ""):
        return (
            f"{tree.module.name} is not the module that {tree.module_config.name} was written for: its MAC is {found}"
        )
    return "right"


def check_config(tree: Tree) -> str:
    """ "right", or how openssl-fips.cnf differs from what fipsmodule.cnf makes it, or which checks both leave out."""
    try:
        settings = settings_of(_text(tree.module_config))
        differs = difference(_text(tree.config), settings)
        off = checks_off(tree.module.read_bytes(), settings)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    if differs is not None:
        return f"{tree.config.name}: {differs}"
    return f"{tree.module_config.name}: the module knows checks that are not on: {', '.join(off)}" if off else "right"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
