"""A release as data: what the gate answers, what is published, and the plan whose digest is the release's identity.

Everything that is published lies in the store by its digest, generated files too, so that a plan is enough to publish
from: `Store.path_of(asset.sha256)`. A plan is made once, by pure functions, from what was collected and checked; places
get it as it is.
"""

from __future__ import annotations

import hashlib
import re
from calendar import monthrange
from dataclasses import dataclass, field
from typing import Literal

from workers.errors import Failure
from workers.model import Flavour
from workers.reports.base import encode
from workers.reports.build import CellName, ChosenPin, ProviderFacts

# Clients read it as a number (uv: `int(tag)` of the URL's segment), so digits only: a day, or a day's second release.
TAG = re.compile(r"\A20\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d{2})?\Z")

Role = Literal["archive", "bundle", "sbom", "report", "index", "keys", "page", "sums"]


@dataclass(frozen=True)
class Asset:
    """A file of a release. name: as it is published; size in bytes; sha256: also where it lies in the store.

    builder, flavour: of the cell that it belongs to and of the archive, where it is one cell's.
    """

    name: str
    size: int
    sha256: str
    media_type: str
    role: Role
    builder: str | None = None
    flavour: Flavour | None = None


@dataclass(frozen=True)
class ReleasedCell:
    """A cell as it is released: the build that counts, and what was found of it.

    glibc_floor, provider_glibc_floor: None for macOS. archives: flavour to the name of the asset. tar_sha256: flavour
    to the digest of the tar inside. builder_id: in whose name its bundles are signed. deployment_target: of macOS.
    """

    cell: CellName
    builder: str
    number: int
    buildid: int
    worker: str
    python_version: str
    provider: ProviderFacts
    provider_sha256: str
    glibc_floor: str | None
    provider_glibc_floor: str | None
    pins: list[ChosenPin]
    archives: dict[Flavour, str]
    tar_sha256: dict[Flavour, str]
    builder_id: str = ""
    deployment_target: str | None = None


@dataclass(frozen=True)
class Mended:
    """A CVE that a source had in the release before and has no more. severity: as its data base has it, or ""."""

    source: str
    id: str
    severity: str = ""
    url: str = ""


@dataclass(frozen=True)
class Looked:
    """What the farm knew of CVEs when the release was planned. at: when the oldest of what it had read was fetched,
    seconds since 1970, UTC. count: advisories read; newest: the day of the last change of any, "" where none tells."""

    at: int
    count: int
    newest: str
    mended: list[Mended] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """release-plan.json: all that is published under a tag. epoch: the commit's time, seconds since 1970, UTC.

    repository: its address as users know it. previous: the tag of the release before, "" for the first. notes: what
    has to be said of it, such as that its FIPS provider is not CMVP-validated. assets: by name; the plan itself, which
    is published too, is not among them. url: where users get the assets, each at url/NAME; without a slash at its end.
    base: where the identities of the farm begin, which its certificates name as their issuer. advisories: None where
    none were read; a plan of an older pymint does not know them either.
    """

    schema: Literal["pymint/release-plan/1"]
    tag: str
    commit: str
    epoch: int
    repository: str
    rehearsal: bool
    previous: str
    cells: list[ReleasedCell]
    assets: list[Asset]
    notes: list[str] = field(default_factory=list)
    url: str = ""
    base: str = ""
    advisories: Looked | None = None

    def asset(self, name: str) -> Asset | None:
        return next((one for one in self.assets if one.name == name), None)


PLAN_NAME = "release-plan.json"
SUMS_NAME = "SHA256SUMS"
# Also a release's text where a place has one, as GitHub has.
NOTES_NAME = "release-notes.md"


def identity(plan: Plan) -> str:
    """sha256 of release-plan.json: two plans with the same one publish the same bytes under the same names."""
    return hashlib.sha256(encode(plan)).hexdigest()


def checked_tag(tag: str) -> str:
    """The tag. Raises Failure for anything but digits that begin with a day."""
    if not TAG.match(tag) or int(tag[6:8]) > monthrange(int(tag[:4]), int(tag[4:6]))[1]:
        raise Failure(
            "release", "this is no tag for a release",
            wanted="a day as YYYYMMDD, or YYYYMMDDNN for another release of that day", found=repr(tag),
            todo="Tools read the tag as a number, so it has digits only.",
        )  # fmt: skip
    return tag


CellState = Literal["ready", "failed", "running", "waiting", "missing", "refused"]


@dataclass(frozen=True)
class CellAnswer:
    """What the gate says of a cell. number: of the build that counts, or that failed or runs; why: a sentence."""

    builder: str
    state: CellState
    number: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Readiness:
    """Whether a commit can be released. reasons: about the commit or the tag as a whole, empty when there are none.

    notes: what the release has to say, where a setting allows it. cells: of the wanted set, in the matrix's order.
    """

    commit: str
    set_name: str
    cells: list[CellAnswer]
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return not self.reasons and all(one.state == "ready" for one in self.cells)
