"""Archives and reports by digest, and an index that says which build of which cell made them.

    sha256/ab/<digest>                         the bytes, read-only
    index/<commit>/<builder>/<number>.json     an ArchiveRecord
    attested/<commit>/<builder>/<number>.json  an Attestation: the bundles that were signed for it

Plans of releases are beside them (`master/release/kept.py`), and hold what they name. All are create-only: what is
there is never written again, and a file appears under its name only when it is whole.
Names that come from outside never become paths: digests, commits, builders and numbers are checked first.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from master.home import write_file
from master.release import kept
from master.signing.journal import Line
from workers.errors import Failure
from workers.model import Flavour
from workers.reports.base import decode, encode
from workers.reports.build import CellName, ChosenPin, ProviderFacts

DIGEST = re.compile(r"\A[0-9a-f]{64}\Z")
COMMIT = re.compile(r"\A[0-9a-f]{40}\Z")
BUILDER = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,100}\Z")
BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Stored:
    """A file in the store. `name`: what users call it; size in bytes."""

    name: str
    sha256: str
    size: int


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


def digest_of(path: Path) -> tuple[str, int]:
    """sha256 and size of a file."""
    hasher, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            hasher.update(block)
            size += len(block)
    return hasher.hexdigest(), size


def _older(path: Path, seconds: float) -> bool:
    """Whether nobody stored a file anew for so long; False for one that is gone."""
    try:
        return time.time() - path.stat().st_ctime >= seconds
    except FileNotFoundError:
        return False


def copy_hashed(source: Path, descriptor: int, mode: int) -> tuple[str, int]:
    """Copies a file into an open one, which then is closed, on the disk, and has that mode. sha256 and size of it."""
    hasher, size = hashlib.sha256(), 0
    with os.fdopen(descriptor, "wb") as target, source.open("rb") as stream:
        while block := stream.read(BLOCK):
            hasher.update(block)
            size += len(block)
            target.write(block)
        target.flush()
        os.fchmod(target.fileno(), mode)
        os.fsync(target.fileno())
    return hasher.hexdigest(), size


class Store:
    """The directory. Safe for several threads and processes at once; blocking, so call it from a thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._seen: dict[str, tuple[int, int, int]] = {}

    def path_of(self, digest: str) -> Path:
        """Where a digest's bytes lie. Raises Failure for what is no digest."""
        if not DIGEST.match(digest):
            raise Failure("store", f"{digest!r} is no digest", todo="Only hex sha256 names what is stored.")
        return self.root / "sha256" / digest[:2] / digest

    def put(self, source: Path, name: str) -> Stored:
        """Copies a file into the store, unless its bytes are there. Raises OSError when the disk is full."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.root, prefix=".new-")
        try:
            stored = Stored(name, *copy_hashed(source, descriptor, 0o444))
            self._promote(Path(temporary), stored)
        finally:
            Path(temporary).unlink(missing_ok=True)
        return stored

    def put_bytes(self, content: bytes, name: str) -> Stored:
        with tempfile.NamedTemporaryFile() as stream:
            stream.write(content)
            stream.flush()
            return self.put(Path(stream.name), name)

    def _promote(self, temporary: Path, stored: Stored) -> None:
        target = self.path_of(stored.sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(temporary, target)  # fails where the name is taken: nothing stored is ever written over
        except FileExistsError:
            if digest_of(target) == (stored.sha256, stored.size):
                target.chmod(0o444)  # it is new again for `prune`: whoever stores it writes a record next
                return
            # Bytes that rotted are not what is stored under that name.
            temporary.replace(target)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):  # a file system without hard links
                raise
            temporary.rename(target)

    def checked(self, stored: Stored) -> Path:
        """The path of a stored file, its digest just computed (once for each state of the file). Raises Failure."""
        path = self.path_of(stored.sha256)
        try:
            facts = path.stat()
        except OSError as error:
            raise Failure(
                "store", f"{stored.name} is not in the store any more", wanted=f"sha256 {stored.sha256}",
                found=str(error), todo="Build that commit again; the record stays.",
            ) from error  # fmt: skip
        state = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        if self._seen.get(stored.sha256) != state:
            found, size = digest_of(path)
            if found != stored.sha256:
                raise Failure(
                    "store", f"{stored.name} is damaged in the store",
                    wanted=f"sha256 {stored.sha256}, {stored.size} bytes", found=f"sha256 {found}, {size} bytes",
                    todo=f"Nothing was delivered. Check the disk, delete {path} and build that commit again.",
                )  # fmt: skip
            self._seen[stored.sha256] = state
        return path

    def add(self, record: ArchiveRecord) -> Path:
        """Writes a record, create-only. Raises Failure when one of that build is there already."""
        path = self._path_of_record(record)
        if path.exists():
            raise Failure(
                "store", f"build {record.number} of {record.builder} is recorded already for this commit",
                found=str(path),
                todo="Build numbers began anew with a new database: bring the old master/state.sqlite back,\n"
                "or move the store away.",
            )  # fmt: skip
        write_file(path, encode(record), 0o444)
        return path

    def attest(self, record: ArchiveRecord, attestation: Attestation) -> None:
        """Keeps what was signed for a build, create-only. Raises Failure when something was signed for it already."""
        path = self._path_of_record(record, "attested")
        if path.exists():
            raise Failure(
                "store", f"build {record.number} of {record.builder} is attested already", found=str(path),
                todo="What is signed stays as it is.",
            )  # fmt: skip
        write_file(path, encode(attestation), 0o444)

    def attested(self, record: ArchiveRecord) -> Attestation | None:
        """What was signed for a build. Raises Failure when it can't be read."""
        path = self._path_of_record(record, "attested")
        return decode(path.read_bytes(), Attestation, str(path)) if path.exists() else None

    def attestations(self) -> Iterator[Attestation]:
        """Everything that was signed and is still kept. Raises Failure for what can't be read."""
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
        """All records. One that can't be read is passed over: `prune` then drops nothing."""
        for path in sorted((self.root / "index").glob("*/*/*.json")):
            yield decode(path.read_bytes(), ArchiveRecord, str(path))

    def record(self, commit: str, builder: str, number: int) -> ArchiveRecord | None:
        """The record of a build of that commit. Raises Failure for names that are none, and what can't be read."""
        path = self._place(commit, builder, number, "index")
        return decode(path.read_bytes(), ArchiveRecord, str(path)) if path.exists() else None

    def find(self, builder: str, number: int) -> ArchiveRecord | None:
        """The record of a build, whatever its commit."""
        if not BUILDER.match(builder):
            return None
        for path in (self.root / "index").glob(f"*/{builder}/{int(number)}.json"):
            return decode(path.read_bytes(), ArchiveRecord, str(path))
        return None

    def _files(self) -> dict[str, Path]:
        return {path.name: path for path in (self.root / "sha256").glob("*/*") if DIGEST.match(path.name)}

    def _referenced(self, without: Collection[Path] = ()) -> set[str]:
        """The digests that records, but for those of these paths, and releases name."""
        records = [record for record in self.records() if self._path_of_record(record) not in without]
        found = {stored.sha256 for record in records for stored in self.files(record)}
        return found | {asset.sha256 for plan in kept.held(self.root) for asset in plan.assets}

    def _unreferenced(self) -> dict[str, Path]:
        wanted = self._referenced()
        return {digest: path for digest, path in self._files().items() if digest not in wanted}

    def usage(self) -> Usage:
        """Raises Failure when a record can't be read."""
        files, loose = self._files(), self._unreferenced()
        return Usage(
            records=sum(1 for _ in self.records()),
            files=len(files),
            size=sum(path.stat().st_size for path in files.values()),
            unreferenced_files=len(loose),
            unreferenced_size=sum(path.stat().st_size for path in loose.values()),
        )

    def prune(self, *, really: bool, keep_builds: int | None = None, grace_s: float = 0) -> list[Path]:
        """What nothing refers to, and with `keep_builds` the records beyond the newest so many of each cell first.

        What is of a released commit stays, with its records, and for `grace_s` seconds what was just stored and has no
        record yet: a build that is being recorded. Without `really` nothing is touched. Returns the paths that
        are, or would be, deleted. Raises Failure, before anything is deleted, when a record or a plan can't be read:
        what it refers to is not known then.
        """
        dropped = self._old_records(keep_builds) if keep_builds is not None else []
        wanted = self._referenced(without=set(dropped))
        stored = [path for digest, path in sorted(self._files().items()) if digest not in wanted]
        loose = [path for path in stored if _older(path, grace_s)]
        half_written = [path for path in self.root.glob(".new-*") if path.is_file() and _older(path, grace_s)]
        if really:
            for path in [*dropped, *loose, *half_written]:
                path.unlink(missing_ok=True)
        return [*dropped, *loose, *half_written]

    def _old_records(self, keep_builds: int) -> list[Path]:
        by_builder: dict[str, list[ArchiveRecord]] = {}
        released = {plan.commit for plan in kept.held(self.root)}
        for record in self.records():
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
        self._path_of_record(record).unlink(missing_ok=True)

    def free_space(self) -> int:
        """Bytes left on the store's file system."""
        self.root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.root).free
