"""What an archive is judged by: data in `policies/`, a file a kind of archive, with what they share in common.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from workers.derive.layout import DEBUG
from workers.errors import Failure, unknown_name
from workers.model import load_matrix
from workers.modules import load_modules, modules_of

POLICIES = Path(__file__).with_name("policies")
_COMMON = "common"


@dataclass(frozen=True)
class TargetRules:
    """A target's facts. glibc: the newest symbol version allowed; None and no loader where there is no glibc."""

    machine: str
    platform_tag: str
    needed: frozenset[str]
    glibc: str | None = None
    loader: str | None = None


@dataclass(frozen=True)
class Symbols:
    """dependency (and _prefixes): must not be exported. banned: must not be wanted. python: libpython exports them."""

    dependency: frozenset[str]
    dependency_prefixes: tuple[str, ...]
    banned: frozenset[str]
    python: frozenset[str]

    def of_dependencies(self, exported: Iterable[str]) -> list[str]:
        """Those of the exported symbols that belong to a bundled library."""
        return sorted(name for name in exported if name in self.dependency or name.startswith(self.dependency_prefixes))


@dataclass(frozen=True)
class Wanted:
    """Extension modules of python-build-standalone's kind: all, by system, and by version."""

    base: frozenset[str]
    macos: frozenset[str]
    linux_old: frozenset[str]
    versions: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Policy:
    """A kind of archive's rules. The fields are explained in policies/common.toml and pymint.toml."""

    name: str
    title: str
    fips: Literal["off", "module", "strict"]
    deterministic: bool
    beside: bool
    hardened: bool
    licences: bool
    flavours: bool
    modules: Literal["listed", "modules.toml"]
    targets: Mapping[str, TargetRules]
    module_needs: Mapping[str, frozenset[str]]
    symbols: Symbols
    wanted: Wanted
    build_paths: tuple[str, ...] = ()
    machine_paths: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()
    more: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def modules_for(self, version: str, triple: str) -> tuple[frozenset[str], frozenset[str]] | None:
        """The modules of a version on a target that have to be there, all and the shared ones; None when not known."""
        if self.modules == "modules.toml":
            matrix = load_matrix()
            if version not in matrix.versions or triple not in matrix.targets:
                return None
            found = modules_of(matrix.versions[version], matrix.targets[triple], load_modules())
            return frozenset((*found.builtin, *found.shared)), frozenset(found.shared)
        if version not in self.wanted.versions:
            return None
        wanted = self.wanted.base | self.wanted.versions[version]
        wanted |= self.more.get("all", frozenset()) | self.more.get(version, frozenset())
        if "apple" in triple:
            wanted |= self.wanted.macos
        elif version in ("3.10", "3.11", "3.12"):
            wanted |= self.wanted.linux_old
        return wanted, self.shared & wanted


def names() -> list[str]:
    """The policies there are."""
    return sorted(path.stem for path in POLICIES.glob("*.toml") if path.stem != _COMMON)


def load_policy(name: str) -> Policy:
    """A policy. Raises Failure with the names that exist, or for a file that can't be read."""
    if name not in names():
        raise unknown_name("validate", "policy", name, names())
    own = _read(name)
    base = own.pop("based_on", None)
    fields = {**(_read(base) if base else {}), **own, "name": name}
    try:
        return msgspec.convert(fields, Policy)
    except msgspec.ValidationError as error:
        raise Failure("validate", f"{name}.toml can't be read", found=str(error), todo=f"Mend {POLICIES}.") from error


def _read(name: str) -> dict[str, Any]:
    try:
        return tomllib.loads((POLICIES / f"{name}.toml").read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Failure("validate", f"{name}.toml can't be read", found=str(error), todo=f"Mend {POLICIES}.") from error


def policy_for(paths: frozenset[str]) -> str:
    """Which policy an archive is judged by when nobody says: known from what is in it (paths below `python/`).

    pymint's archives have FIPS.json, or in the smaller flavours openssl-fips.cnf, or are debug symbols, which nobody
    else has; Verkada's have a FIPS module.
    """
    if "FIPS.json" in paths or any(
        path.endswith("share/ssl/openssl-fips.cnf") or path.startswith(DEBUG) for path in paths
    ):
        return "pymint"
    if any(
        path.endswith(("share/ssl/fipsmodule.cnf", "/ossl-modules/fips.so", "/ossl-modules/fips.dylib"))
        for path in paths
    ):
        return "verkada-2026-01"
    return "astral-2026-08"
