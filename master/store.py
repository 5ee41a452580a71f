"""Archives and reports by digest, and an index that says which build of which cell made them.

    sha256/ab/<digest>                         the bytes, read-only
    index/<commit>/<builder>/<number>.json     an ArchiveRecord
    attested/<commit>/<builder>/<number>.json  an Attestation: the bundles that were signed for it

Plans of releases are beside them (`master/release/kept.py`), and hold what they name. All are create-only: what is
there is never written again, and a file appears under its name only when it is whole. The directory is the store, or
what of a bucket is on this machine (`master/bucket/`): then the bucket is asked for what is not here.
Names that come from outside never become paths: digests, commits, builders and numbers are checked first.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from master.blobs import BLOCK, DIGEST, KINDS, Blobs, Stored, copy_hashed, digest_of
from master.release import kept
from master.signing.journal import Line
from workers.errors import Failure
from workers.model import Flavour
from workers.reports.base import decode, encode
from workers.reports.build import CellName, ChosenPin, ProviderFacts

__all__ = [
    "BLOCK", "COMMIT", "DIGEST", "FOUND_S", "ArchiveRecord", "Attestation", "DerivedRecord", "Store", "Stored", "Usage",
    "copy_hashed", "digest_of",
]  # fmt: skip
COMMIT = re.compile(r"\A[0-9a-f]{40}\Z")
BUILDER = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,100}\Z")
# A page that asks for what is not there asks the bucket no more often than this.
FOUND_S = 5.0


@dataclass(frozen=True)
class DerivedRecord:
    """An archive that was made from the full one; digest and size of the tar inside it."""

    flavour: Flavour
    archive: Stored
    tar_sha256: str
    tar_size: int


@dataclass(frozen=True)
class ArchiveRecord:
    """A build's archives, where they came from and what was found of them. Times in seconds since 1970, UTC.

    archive, tar_sha256, tar_size: of the full one. Records of the first schema have no other.
    """

    schema: Literal["pymint/record/1", "pymint/record/2"]
    cell: CellName
    builder: str
    number: int
    buildid: int
    worker: str
    commit: str
    branch: str
    recorded_at: int
    python_version: str
    archive: Stored
    tar_sha256: str
    tar_size: int
    provider: ProviderFacts
    pins: list[ChosenPin]
    reports: list[Stored]
    derived: list[DerivedRecord] = field(default_factory=list)

    def archives(self) -> list[Stored]:
        """The full one first."""
        return [self.archive, *(one.archive for one in self.derived)]

    def files(self) -> list[Stored]:
        return [*self.archives(), *self.reports]


@dataclass(frozen=True)
class Attestation:
    """What was signed for a build. bundles: named for their archives. lines: those of the signer's journal about it.

    key: the id of the key, builder_id: in whose name, attested_at: seconds since 1970, UTC.
    """

    schema: Literal["pymint/attestation/1"]
    buildid: int
    key: str
    builder_id: str
    attested_at: int
    bundles: list[Stored]
    lines: list[Line]


@dataclass(frozen=True)
class Usage:
    """How large the store is: records, files, bytes; and what nothing refers to."""

    records: int
    files: int
    size: int
    unreferenced_files: int
    unreferenced_size: int


class Store(Blobs):
    """The bytes, and the index of what they are."""

    def add(self, record: ArchiveRecord) -> Path:
        """Writes a record, create-only. Raises Failure when one of that build is there already.

        With a bucket, what an attempt wrote whose end was not heard of is no other build's.
        """
        path = self._path_of_record(record)
        there = self._create(path, encode(record))
        if there is not None and not (self._replica is not None and _same_build(there, record)):
            raise Failure(
                "store", f"build {record.number} of {record.builder} is recorded already for this commit",
                found=str(path),
                todo="Build numbers began anew with a new database: bring the old master/state.sqlite back,\n"
                "or move the store away.",
            )  # fmt: skip
        self._once_more(record.files())
        return path

    def attest(self, record: ArchiveRecord, attestation: Attestation) -> None:
        """Keeps what was signed for a build, create-only. Raises Failure when something was signed for it already."""
        path = self._path_of_record(record, "attested")
        if self._create(path, encode(attestation)) is not None:
            raise Failure(
                "store", f"build {record.number} of {record.builder} is attested already", found=str(path),
                todo="What is signed stays as it is.",
            )  # fmt: skip
        self._once_more(attestation.bundles)

    def attested(self, record: ArchiveRecord) -> Attestation | None:
        """What was signed for a build. Raises Failure when it can't be read."""
        path = self._path_of_record(record, "attested")
        return decode(path.read_bytes(), Attestation, str(path)) if self._there(path) else None

    def attestations(self) -> Iterator[Attestation]:
        """Everything that was signed and is still kept. Raises Failure for what can't be read."""
        self.refresh("attested")
        for path in sorted((self.root / "attested").glob("*/*/*.json")):
            yield decode(path.read_bytes(), Attestation, str(path))

    def files(self, record: ArchiveRecord) -> list[Stored]:
        """Everything that is kept of a build: archives, reports, bundles."""
        attestation = self.attested(record)
        return [*record.files(), *(attestation.bundles if attestation is not None else [])]

    def _path_of_record(self, record: ArchiveRecord, kind: Literal["index", "attested"] = "index") -> Path:
        return self._place(record.commit, record.builder, record.number, kind)

    def _place(self, commit: str, builder: str, number: int, kind: str) -> Path:
        if not COMMIT.match(commit) or not BUILDER.match(builder):
            raise Failure("store", f"{commit!r}, {builder!r}: no names for the index", todo="Nothing was stored.")
        return self.root / kind / commit / builder / f"{int(number)}.json"

    def records(self) -> Iterator[ArchiveRecord]:
        """All records. Raises Failure for one that can't be read: `prune` then drops nothing."""
        self.refresh("index")
        yield from self._records()

    def _records(self) -> Iterator[ArchiveRecord]:
        for path in sorted((self.root / "index").glob("*/*/*.json")):
            yield decode(path.read_bytes(), ArchiveRecord, str(path))

    def record(self, commit: str, builder: str, number: int) -> ArchiveRecord | None:
        """The record of a build of that commit. Raises Failure for names that are none, and what can't be read."""
        path = self._place(commit, builder, number, "index")
        return decode(path.read_bytes(), ArchiveRecord, str(path)) if self._there(path) else None

    def find(self, builder: str, number: int) -> ArchiveRecord | None:
        """The record of a build, whatever its commit; the newest, where a new database began anew with numbers."""
        if not BUILDER.match(builder):
            return None
        return self._find(builder, number) or self._found_anew(builder, number)

    def _find(self, builder: str, number: int) -> ArchiveRecord | None:
        paths = (self.root / "index").glob(f"*/{builder}/{int(number)}.json")
        found = [decode(path.read_bytes(), ArchiveRecord, str(path)) for path in paths]
        return max(found, key=lambda one: (one.recorded_at, one.buildid), default=None)

    def _found_anew(self, builder: str, number: int) -> ArchiveRecord | None:
        """What another master recorded just now."""
        if self._replica is None:
            return None
        self.refresh("index", FOUND_S, paced=True)
        return self._find(builder, number)

    def _refresh_all(self) -> None:
        for kind in KINDS:
            self.refresh(kind)

    def _referenced(self, without: Collection[Path] = ()) -> set[str]:
        """The digests that records, but for those of these paths, and releases name."""
        records = [record for record in self._records() if self._path_of_record(record) not in without]
        found = {stored.sha256 for record in records for stored in self.files(record)}
        found |= {asset.sha256 for plan in kept.held(self.root) for asset in plan.assets}
        return found | {bundle.sha256 for _, bundle in kept.signatures(self.root)}

    def usage(self) -> Usage:
        """Raises Failure when a record can't be read."""
        self._refresh_all()
        wanted, blobs = self._referenced(), self._blobs()
        loose = [one.size for digest, one in blobs.items() if digest not in wanted]
        return Usage(
            records=sum(1 for _ in self._records()),
            files=len(blobs),
            size=sum(one.size for one in blobs.values()),
            unreferenced_files=len(loose),
            unreferenced_size=sum(loose),
        )

    def prune(self, *, really: bool, keep_builds: int | None = None, grace_s: float = 0) -> list[Path]:
        """What nothing refers to, and with `keep_builds` the records beyond the newest so many of each cell first.

        What is of a released commit stays, with its records, and for `grace_s` seconds what was just stored and has no
        record yet: a build that is being recorded. Without `really` nothing is touched. Returns the paths that
        are, or would be, deleted. Raises Failure, before anything is deleted, when a record or a plan can't be read:
        what it refers to is not known then.
        """
        self._refresh_all()
        dropped = self._old_records(keep_builds) if keep_builds is not None else []
        wanted, now = self._referenced(without=set(dropped)), time.time()
        stored = [one for digest, one in sorted(self._blobs().items()) if digest not in wanted]
        loose = [one for one in stored if now - one.stored_at >= grace_s]
        half_written = [path for path in self.root.glob(".new-*") if _left_for(path, now) >= grace_s]
        if really:
            for path in [*dropped, *half_written]:
                self._remove(path)
            for one in loose:
                self._drop(one)
        return [*dropped, *(one.path for one in loose), *half_written]

    def _old_records(self, keep_builds: int) -> list[Path]:
        by_builder: dict[str, list[ArchiveRecord]] = {}
        released = {plan.commit for plan in kept.held(self.root)}
        for record in self._records():
            if record.commit not in released:
                by_builder.setdefault(record.builder, []).append(record)
        old = [
            record
            for records in by_builder.values()
            for record in sorted(records, key=lambda one: (-one.recorded_at, -one.buildid))[keep_builds:]
        ]
        attested = [self._path_of_record(record, "attested") for record in old]
        return [*(self._path_of_record(record) for record in old), *(path for path in attested if path.exists())]

    def forget(self, record: ArchiveRecord) -> None:
        """Takes a record out of the index; what it alone referred to goes with the next `prune`. Not of main's store,
        whose records stay: a pull request's are kept for a while only."""
        self._remove(self._path_of_record(record))


def _left_for(path: Path, now: float) -> float:
    """For how many seconds nobody wrote to a file; less than nothing for what is none, or is gone."""
    try:
        return now - path.stat().st_ctime if path.is_file() else -1.0
    except FileNotFoundError:
        return -1.0


def _same_build(there: bytes, record: ArchiveRecord) -> bool:
    """Whether a record is of the same build and bytes, whenever it was written."""
    try:
        found = decode(there, ArchiveRecord, "a record")
    except Failure:
        return False
    return replace(found, recorded_at=record.recorded_at) == record
