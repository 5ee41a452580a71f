"""The frozen model of what the farm builds, read from `cpython-unix/matrix.toml`. No second list of cells exists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from workers.errors import Failure, unknown_name

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "cpython-unix"

# What users get: everything, what is needed to run, the same without debug information, and that information alone.
Flavour = Literal["full", "install_only", "install_only_stripped", "debug_symbols"]
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)
DERIVED = FLAVOURS[1:]
_ENDINGS: Mapping[Flavour, str] = {
    "full": ".tar.zst",
    "install_only": ".tar.gz",
    "install_only_stripped": ".tar.gz",
    "debug_symbols": ".tar.zst",
}
_NAMED = re.compile(rf"-({'|'.join(sorted(DERIVED, key=len, reverse=True))})(?=[-.])")


def flavour_named(archive: str) -> Flavour | None:
    """The flavour that an archive's name says, a build's or a release's; None for a `full` one or a foreign name."""
    found = _NAMED.search(archive)
    return next((flavour for flavour in DERIVED if found is not None and flavour == found[1]), None)


@dataclass(frozen=True)
class Target:
    """A triple that archives are built for, with the names that others have for it.

    cflags, ldflags: what everything built for it gets, hardening above all.
    """

    triple: str
    os: Literal["linux", "macos"]
    arch: str
    multiarch: str
    openssl: str
    platform_tag: str
    cflags: tuple[str, ...]
    ldflags: tuple[str, ...]
    glibc: str | None = None
    deployment_target: str | None = None


@dataclass(frozen=True)
class Version:
    """A minor version of CPython; `source` is the key in sources.toml whose pins give the patch release."""

    minor: str
    source: str

    @property
    def number(self) -> tuple[int, int]:
        major, minor = self.minor.split(".")
        return int(major), int(minor)


@dataclass(frozen=True)
class Variant:
    """How a CPython is built. `since` is the first version (minor) that has it; `suite`: how much of its tests runs."""

    name: str
    pgo: bool = False
    lto: bool = False
    freethreaded: bool = False
    debug: bool = False
    since: str | None = None
    suite: Literal["full", "quick", "none"] = "quick"

    @property
    def slug(self) -> str:
        """The name without '+', which step and path identifiers refuse."""
        return self.name.replace("+", "-")

    def exists_for(self, version: Version) -> bool:
        if self.since is None:
            return True
        major, minor = self.since.split(".")
        return version.number >= (int(major), int(minor))


@dataclass(frozen=True)
class Cell:
    """One thing the farm builds: a version of CPython, for a target, in a variant."""

    target: Target
    version: Version
    variant: Variant

    @property
    def builder_name(self) -> str:
        """Also the worker's directory, so short and without '+', which step identifiers refuse."""
        return f"cpython-{self.version.minor}-{self.target.triple}-{self.variant.slug}"

    @property
    def abi_suffix(self) -> str:
        """What CPython appends to its own name: `python3.13t`, `libpython3.13d`."""
        return ("t" if self.variant.freethreaded else "") + ("d" if self.variant.debug else "")

    def archive_name(self, release: str, date: str, flavour: Flavour = "full") -> str:
        """`cpython-3.13.15-x86_64-unknown-linux-gnu-pgo+lto-20261123T2015.tar.zst`: the seed's names for a build's
        archives. The smaller flavours say which: `…-pgo+lto-install_only-20261123T2015.tar.gz`.
        """
        which = "" if flavour == "full" else f"-{flavour}"
        return f"cpython-{release}-{self.target.triple}-{self.variant.name}{which}-{date}{_ENDINGS[flavour]}"

    def release_name(self, release: str, tag: str, flavour: Flavour = "full") -> str:
        """`cpython-3.13.15+20261125-x86_64-unknown-linux-gnu-install_only.tar.gz`: python-build-standalone's names for
        what is published, which every client parses.

        Whole variants stand in the names of what has the whole build; what people install says only what sets it apart
        from the optimised build with the GIL: `-freethreaded-install_only`.
        """
        parts = [part for part in self.variant.name.split("+") if part not in ("pgo", "lto")]
        variant = self.variant.name if flavour in ("full", "debug_symbols") else "+".join(parts)
        middle = f"-{variant}" if variant else ""
        return f"cpython-{release}+{tag}-{self.target.triple}{middle}-{flavour}{_ENDINGS[flavour]}"


@dataclass(frozen=True)
class _Set:
    variants: list[str]


@dataclass(frozen=True)
class Matrix:
    """All targets, versions, variants and sets, in the order of the file."""

    targets: Mapping[str, Target]
    versions: Mapping[str, Version]
    variants: Mapping[str, Variant]
    sets: Mapping[str, tuple[str, ...]]

    def cell(self, version: str, target: str, variant: str) -> Cell:
        """The cell of these names. Raises Failure with the names that exist, or with the variant's first version."""
        if version not in self.versions:
            raise unknown_name("matrix", "version", version, list(self.versions))
        if target not in self.targets:
            raise unknown_name("matrix", "target", target, list(self.targets))
        if variant not in self.variants:
            raise unknown_name("matrix", "variant", variant, list(self.variants))
        cell = Cell(self.targets[target], self.versions[version], self.variants[variant])
        if not cell.variant.exists_for(cell.version):
            others = [v.name for v in self.variants.values() if v.exists_for(cell.version)]
            raise Failure(
                "matrix",
                f"CPython {version} has no variant {variant!r}",
                wanted=f"CPython {cell.variant.since} or newer for {variant!r}",
                found=f"CPython {version}",
                todo=f"For {version} there are: {', '.join(others)}.",
            )
        return cell

    def all_cells(self) -> Iterator[Cell]:
        for target in self.targets.values():
            for version in self.versions.values():
                for variant in self.variants.values():
                    if variant.exists_for(version):
                        yield Cell(target, version, variant)

    def cells_of(self, set_name: str) -> list[Cell]:
        """The cells of a named set. Raises Failure with the names that exist."""
        if set_name not in self.sets:
            raise unknown_name("matrix", "set", set_name, list(self.sets))
        return [cell for cell in self.all_cells() if cell.variant.name in self.sets[set_name]]

    @cached_property
    def by_builder_name(self) -> Mapping[str, Cell]:
        return {cell.builder_name: cell for cell in self.all_cells()}


def _named(
    cls: type, key: str | None, table: Mapping[str, Mapping[str, Any]], path: Path, section: str
) -> dict[str, Any]:
    """The rows of a section. key: the field that a row's name is."""
    try:
        return {name: msgspec.convert({**({key: name} if key else {}), **row}, cls) for name, row in table.items()}
    except (msgspec.ValidationError, TypeError, AttributeError) as error:
        raise Failure(
            "matrix", f"{path.name}: [{section}] can't be read", found=str(error), todo=f"Mend {path}."
        ) from error


def load_matrix(path: Path = DATA / "matrix.toml") -> Matrix:
    """Reads the matrix. Raises Failure when the file is not valid TOML or a table has a wrong or missing field."""
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Failure("matrix", f"{path.name} can't be read", found=str(error), todo=f"Mend {path}.") from error
    variants = _named(Variant, "name", raw.get("variants", {}), path, "variants")
    sets = {name: tuple(one.variants) for name, one in _named(_Set, None, raw.get("sets", {}), path, "sets").items()}
    for set_name, names in sets.items():
        for name in names:
            if name not in variants:
                raise unknown_name(f"matrix: [sets.{set_name}]", "variant", name, list(variants))
    return Matrix(
        targets=_named(Target, "triple", raw.get("targets", {}), path, "targets"),
        versions=_named(Version, "minor", raw.get("versions", {}), path, "versions"),
        variants=variants,
        sets=sets,
    )
