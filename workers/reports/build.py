"""The reports of plan, sources, build, package and archive. Sizes in bytes, times in seconds, digests as hex sha256."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from workers.model import Flavour
from workers.reports.base import Measure

Stage = Literal["dependencies", "openssl", "fips-provider", "cpython"]
STAGES: tuple[Stage, ...] = ("dependencies", "openssl", "fips-provider", "cpython")


@dataclass(frozen=True)
class CellName:
    version: str
    target: str
    variant: str


@dataclass(frozen=True)
class ChosenPin:
    """The pin that a build uses of a source. `newest`: the newest pinned release, which may not be deliverable here."""

    source: str
    version: str
    sha256: str
    newest: str
    note: str = ""

    @property
    def is_newest(self) -> bool:
        return self.version == self.newest


@dataclass(frozen=True)
class PlannedNode:
    """A node with its key. `inputs` is the document whose sha256 the key is, so that anyone can recompute it.

    recipe: file name in cpython-unix/recipes. sources: their names, the first is SOURCE. edits: the minor version whose
    edits are applied to that source, or None. environment: what the recipe is told, as far as it can change bytes.
    """

    name: str
    stage: Stage
    key: str
    recipe: str
    sources: list[str]
    needs: list[str]
    environment: dict[str, str]
    edits: str | None
    inputs: dict[str, object]
    stored: bool


@dataclass(frozen=True)
class ProviderFacts:
    """What may be said of the FIPS provider. `certificate` is a CMVP number, or null: not CMVP-validated."""

    provider_version: str
    procedure: Literal["policy", "toolchain"]
    certificate: str | None
    glibc_floor: str
    slh_dsa: bool = True


@dataclass(frozen=True)
class PlannedFlavour:
    """An archive that is made from the full one: its name, the key that it has in the store, whether it is there."""

    flavour: Flavour
    name: str
    key: str
    stored: bool


@dataclass(frozen=True)
class Plan:
    """plan.json: everything that is decided before anything is built.

    emulator: what runs the target's programs where this machine does not itself, in words; "" for its own.
    """

    schema: Literal["pymint/plan/2"]
    cell: CellName
    commit: str
    dirty: bool
    epoch: int
    python_version: str
    archive_name: str
    archive_key: str
    archive_stored: bool
    toolchain: dict[str, str]
    provider: ProviderFacts
    pins: list[ChosenPin]
    nodes: list[PlannedNode]
    flavours: list[PlannedFlavour] = field(default_factory=list)
    emulator: str = ""

    @property
    def all_stored(self) -> bool:
        return self.archive_stored and all(planned.stored for planned in self.flavours)


@dataclass(frozen=True)
class PlanReport:
    """The plan as the build's page shows it."""

    schema: Literal["pymint/plan-report/2"]
    ok: bool
    plan: Plan
    measure: Measure


@dataclass(frozen=True)
class FetchedSource:
    source: str
    version: str
    sha256: str
    size: int
    origin: str
    seconds: float


@dataclass(frozen=True)
class SourcesReport:
    schema: Literal["pymint/sources/1"]
    ok: bool
    sources: list[FetchedSource]
    not_newest: list[ChosenPin]
    measure: Measure


@dataclass(frozen=True)
class BuiltNode:
    """A node after its stage. `origin`: from the store, built here, or built meanwhile by another build."""

    name: str
    key: str
    digest: str
    size: int
    origin: Literal["store", "built"]
    measure: Measure
    log: str | None


@dataclass(frozen=True)
class NodesReport:
    schema: Literal["pymint/nodes/1"]
    ok: bool
    stage: Stage
    nodes: list[BuiltNode]
    measure: Measure
    failed: str | None = None


@dataclass(frozen=True)
class PackageReport:
    """The packed, not yet compressed archive."""

    schema: Literal["pymint/package/1"]
    ok: bool
    name: str
    tar_sha256: str
    tar_size: int
    members: int
    origin: Literal["store", "built"]
    measure: Measure


@dataclass(frozen=True)
class ArchiveReport:
    """The archive as it ships, and the digest of the tar inside it, which validate and prove-fips judged."""

    schema: Literal["pymint/archive/1"]
    ok: bool
    name: str
    sha256: str
    size: int
    tar_sha256: str
    tar_size: int
    origin: Literal["store", "built"]
    provider: ProviderFacts
    measure: Measure
    reports: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DerivedArchive:
    """An archive that was made from the full one. bytecode, stripped, debug_files: how many files of each it holds."""

    flavour: Flavour
    name: str
    sha256: str
    size: int
    tar_sha256: str
    tar_size: int
    members: int
    bytecode: int
    stripped: int
    debug_files: int
    origin: Literal["store", "built"]


@dataclass(frozen=True)
class DeriveReport:
    """from_tar_sha256: the full archive's tar, which validate and prove-fips judged."""

    schema: Literal["pymint/derive/1"]
    ok: bool
    from_tar_sha256: str
    provider_sha256: str
    archives: list[DerivedArchive]
    cores: int
    measure: Measure
