"""Under which names the files of a release are published. Pure: of what was collected, nothing is read."""

from __future__ import annotations

from collections.abc import Iterator

from master.release.collect import CheckedCell
from master.release.model import Asset, ReleasedCell, Role
from master.signing.bundle import MEDIA_TYPE, SUFFIX
from master.store import Stored
from workers.errors import Failure
from workers.model import Cell, Flavour, Matrix
from workers.sbom.documents import CYCLONEDX, SPDX

MEDIA_TYPES = {
    ".tar.zst": "application/zstd",
    ".tar.gz": "application/gzip",
    SUFFIX: MEDIA_TYPE,
    CYCLONEDX: "application/vnd.cyclonedx+json",
    SPDX: "application/spdx+json",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".ndjson": "application/x-ndjson",
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown",
}
# What the judges said, and the page that people are shown. All others stay in the farm's store: GitHub takes 500 new
# files an hour, and 21 cells have 336 archives, bundles and bills of materials already.
REPORTS = ("validate.json", "prove.json", "prove.html", "test.json", "validate-flavours.json", "prove-flavours.json")


def media_type(name: str) -> str:
    return next((kind for ending, kind in MEDIA_TYPES.items() if name.endswith(ending)), "text/plain; charset=utf-8")


def asset(name: str, stored: Stored, role: Role, builder: str | None = None, flavour: Flavour | None = None) -> Asset:
    """A stored file under the name that it is published by."""
    return Asset(name, stored.size, stored.sha256, media_type(name), role, builder, flavour)


def assets_of(cell: Cell, checked: CheckedCell, tag: str) -> Iterator[Asset]:
    """What is published of a cell: archives, bundles, bills of materials, reports."""
    record = checked.record
    version, builder = record.python_version, record.builder
    reports = {one.name: one for one in record.reports}
    for one in checked.archives:
        name = cell.release_name(version, tag, one.flavour)
        yield asset(name, one.archive, "archive", builder, one.flavour)
        yield asset(name + SUFFIX, one.bundle, "bundle", builder, one.flavour)
        for ending in (CYCLONEDX, SPDX):
            bill = reports.get(one.archive.name.partition(".tar.")[0] + ending)
            if bill is not None:
                yield asset(name.partition(".tar.")[0] + ending, bill, "sbom", builder, one.flavour)
    stem = cell.release_name(version, tag).removesuffix("-full.tar.zst")
    for kept in REPORTS:
        if kept in reports:
            yield asset(f"{stem}-{kept}", reports[kept], "report", builder)


def released(cell: Cell, checked: CheckedCell, tag: str) -> ReleasedCell:
    """The cell as the plan tells of it."""
    record = checked.record
    return ReleasedCell(
        cell=record.cell,
        builder=record.builder,
        number=record.number,
        buildid=record.buildid,
        worker=record.worker,
        python_version=record.python_version,
        provider=record.provider,
        provider_sha256=checked.provider_sha256,
        glibc_floor=checked.glibc_floor,
        provider_glibc_floor=checked.provider_glibc_floor,
        pins=sorted(record.pins, key=lambda pin: (pin.source, pin.version)),
        archives={one.flavour: cell.release_name(record.python_version, tag, one.flavour) for one in checked.archives},
        tar_sha256={one.flavour: one.tar_sha256 for one in checked.archives},
        builder_id=checked.builder_id,
        deployment_target=cell.target.deployment_target,
    )


def all_assets(matrix: Matrix, cells: list[CheckedCell], tag: str) -> list[Asset]:
    """What is published of all cells, by name. Raises Failure when two files would have the same name."""
    found: dict[str, Asset] = {}
    for checked in cells:
        for one in assets_of(matrix.by_builder_name[checked.record.builder], checked, tag):
            before = found.setdefault(one.name, one)
            if before is not one:
                raise Failure(
                    "release", f"two files would be called {one.name}", found=f"{before.builder} and {one.builder}",
                    todo="Nothing is released: the names of the two variants have to differ.",
                )  # fmt: skip
    return sorted(found.values(), key=lambda one: one.name)
