"""What an archive is judged by: data in `policies/`, a file a kind of archive, with what they share in common.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from workers.derive.layout import DEBUG, is_dsym_file
from workers.errors import Failure, unknown_name
from workers.model import load_matrix
from workers.modules import load_modules, modules_of

POLICIES = Path(__file__).with_name("policies")
_COMMON = "common"


@dataclass(frozen=True)
class TargetRules:
    """A target's facts. glibc: the newest symbol version allowed; None and no loader where there is no glibc.

    deployment_target: the oldest macOS, where PYTHON.json does not say it.
    """

    machine: str
    platform_tag: str
    needed: frozenset[str]
    glibc: str | None = None
    loader: str | None = None
    deployment_target: str | None = None


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
    """A kind of archive's rules. The fields are explained in policies/common.toml and pymint.toml.

    maker, since, marks: whose archives it is for, from which day on (YYYYMMDD; None where the day says nothing), and
    files that only archives of this generation have; of each maker one has none, and is taken when nothing else is.
    dylibs: install name → highest compatibility version.
    """

    name: str
    title: str
    maker: Literal["pymint", "astral", "verkada"]
    fips: Literal["off", "module", "strict"]
    deterministic: bool
    beside: bool
    hardened: bool
    interpreter_name: bool
    licences: bool
    flavours: bool
    sbom: bool
    relocatable: bool
    modules: Literal["listed", "modules.toml"]
    targets: Mapping[str, TargetRules]
    module_needs: Mapping[str, frozenset[str]]
    module_dylibs: Mapping[str, Mapping[str, str]]
    dylibs: Mapping[str, str]
    required_dylibs: frozenset[str]
    symbols: Symbols
    wanted: Wanted
    since: int | None = None
    marks: frozenset[str] = frozenset()
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
    try:
        return msgspec.convert({**_with_its_base(name), "name": name}, Policy)
    except msgspec.ValidationError as error:
        raise Failure("validate", f"{name}.toml can't be read", found=str(error), todo=f"Mend {POLICIES}.") from error


def _with_its_base(name: str) -> dict[str, Any]:
    own = _read(name)
    base = own.pop("based_on", None)
    own = {"since": None, "marks": [], **own}  # of its own generation, whatever it is based on
    return _over(_with_its_base(base), own) if base else own


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `own` says in its place; tables are merged, all else is replaced."""
    merged = {**base, **own}
    for key in base.keys() & own.keys():
        if isinstance(base[key], dict) and isinstance(own[key], dict):
            merged[key] = _over(base[key], own[key])
    return merged


def _read(name: str) -> dict[str, Any]:
    try:
        return tomllib.loads((POLICIES / f"{name}.toml").read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Failure("validate", f"{name}.toml can't be read", found=str(error), todo=f"Mend {POLICIES}.") from error


def policy_for(paths: frozenset[str], name: str = "") -> str:
    """Which policy an archive is judged by when nobody says: its maker's of its generation.

    The maker is known from what is in it (paths below `python/`), the generation from the day in its name where that
    says something, else from files that only one generation has.
    """
    maker, day = _maker_of(paths), _day_in(name)
    newest_first = sorted(
        (policy for policy in map(load_policy, names()) if policy.maker == maker),
        key=lambda policy: policy.name,
        reverse=True,
    )
    for policy in newest_first:
        if day is not None and policy.since is not None and policy.since <= day:
            return policy.name
    for policy in newest_first:
        if policy.marks and all(any(path.endswith(mark) for path in paths) for mark in policy.marks):
            return policy.name
    return next(policy.name for policy in newest_first if not policy.marks)


def _maker_of(paths: frozenset[str]) -> str:
    """pymint's archives have FIPS.json, or in the smaller flavours openssl-fips.cnf, or are debug symbols.

    Nobody else has any of these. Verkada's have a FIPS module.
    """
    if "FIPS.json" in paths or any(
        path.endswith("share/ssl/openssl-fips.cnf") or path.startswith(DEBUG) or is_dsym_file(path) for path in paths
    ):
        return "pymint"
    module = ("share/ssl/fipsmodule.cnf", "/ossl-modules/fips.so", "/ossl-modules/fips.dylib")
    return "verkada" if any(path.endswith(module) for path in paths) else "astral"


def _day_in(name: str) -> int | None:
    """20260105 of `cpython-3.14.2+20260105-…` and of `…-20260105T1234.tar.zst`."""
    match = re.search(r"\+(\d{8})-|-(\d{8})T\d{4}\.tar", name)
    return int(match[1] or match[2]) if match else None
