"""A backup of a farm, also while it works.

What refers to something is copied before what it refers to: plans of releases, then the index, then what was signed,
then the journal, the database last. So everything that a copied file names is in the copy, too: a build of the index
has its row in the database. What is younger than the index has a row and no record, which the gate says in words; the
other way round build numbers would be given twice.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import buildbot

from master.backup.model import DUMP, Backups, Entry, Manifest, Root
from master.backup.pool import HALF, Pool
from master.backup.sealing import Seal
from master.blobs import KINDS
from master.bucket.access import StorePlace
from master.home import Home, one_keeper, write_file
from master.release import kept
from master.release.model import Plan
from master.store import ArchiveRecord, Attestation, Store, Stored
from workers.errors import Failure
from workers.progress import counted, size
from workers.reports.base import decode, encode

if TYPE_CHECKING:
    from master.database import Where

Say = Callable[[str], None]
PUBLIC = (".pub", ".crt", "keys.json", "trusted_root.jsonl")


@dataclass(frozen=True)
class Made:
    """What a backup became: its name, all of its files, and what of them was new."""

    name: str
    files: int
    size: int
    new_files: int
    new_bytes: int
    damaged: list[str]
    dropped_bytes: int = 0


@contextmanager
def _only_one(backups: Backups) -> Iterator[None]:
    """Two backups into one directory wait for each other."""
    backups.directory.mkdir(parents=True, exist_ok=True)
    with backups.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _Copying:
    def __init__(self, home: Home, store: Store, pool: Pool, seal: Seal | None, database: Where) -> None:
        self.home, self.bytes, self.pool, self.seal, self.source = home, store, pool, seal, database
        self.store = store.root
        self.files: list[Entry] = []
        self.damaged: list[Entry] = []
        self.problems: list[str] = []
        self.wanted: dict[str, Stored] = {}

    def file(self, root: Root, path: Path, content: bytes | None = None) -> None:
        """A file of the farm, by its path. content: its bytes, where they were read already."""
        base = self.home.root if root == "home" else self.store
        digest, length = self.pool.put(path) if content is None else self.pool.put_bytes(content)
        mode = stat.S_IMODE(path.stat().st_mode)
        self.files.append(Entry(root, path.relative_to(base).as_posix(), digest, length, mode))

    def secret(self, path: Path, seal: Seal) -> None:
        name = path.relative_to(self.home.root).as_posix()
        digest, length = self.pool.put_bytes(seal.close(name, path.read_bytes()))
        self.files.append(Entry("home", name, digest, length, 0o600, sealed=True))

    def index(self) -> None:
        """Plans, records and what was signed, and which bytes they name. Raises Failure for what can't be read."""
        for kind in KINDS:
            self.bytes.refresh(kind)
        for path in sorted((self.store / kept.RELEASES).glob("*/*")):
            if path.name == kept.PUBLISHED:
                self.file("store", path)
            for one in sorted(path.glob("*.json")) if path.is_dir() else ():
                content = one.read_bytes()
                if path.name == kept.SIGNED:
                    self._want([decode(content, Stored, str(one))])
                else:
                    plan = decode(content, Plan, str(one))
                    if not kept.holds(one, plan):
                        continue  # `prune` drops what it names
                    self._want(plan.assets)
                self.file("store", one, content)
        for path in sorted((self.store / "index").glob("*/*/*.json")):
            content = path.read_bytes()
            self._want(decode(content, ArchiveRecord, str(path)).files())
            self.file("store", path, content)
            signed = self.store / "attested" / path.relative_to(self.store / "index")
            if signed.exists():
                content = signed.read_bytes()
                self._want(decode(content, Attestation, str(signed)).bundles)
                self.file("store", signed, content)

    def _want(self, files: object) -> None:
        for one in files:  # type: ignore[attr-defined]
            self.wanted.setdefault(one.sha256, Stored(one.name, one.sha256, one.size))

    def bytes_of_store(self, say: Say) -> None:
        """The archives and reports that the index names. What is damaged is told, and the others are kept."""
        for number, one in enumerate(self.wanted.values(), 1):
            problem = self._take(one)
            entry = Entry("store", f"sha256/{one.sha256[:2]}/{one.sha256}", one.sha256, one.size, 0o444)
            (self.damaged if problem else self.files).append(entry)
            if problem:
                self.problems.append(f"{one.name} ({one.sha256[:12]}): {problem}")
            if number % 2000 == 0:
                say(f"store: {number} of {counted(len(self.wanted), 'file')}")

    def _take(self, one: Stored) -> str:
        """What is wrong with a stored file, "" when it is in the pool. Raises Failure for a bucket that is away."""
        if self.pool.has(one.sha256, one.size):
            return ""
        try:
            path = self.bytes.path_of(one.sha256)
        except Failure as failure:
            if self.bytes.is_away(failure):
                raise
            return f"{failure.what}: {failure.found}"
        return self.pool.take(path, one.sha256, one.size)

    def plain_files(self) -> None:
        """Settings, the public halves of the keys, the signer's journal up to its last whole line."""
        if self.home.settings_file.exists():
            self.file("home", self.home.settings_file)
        for path in sorted(self.home.keys.glob("*")):
            if path.name.endswith(PUBLIC):
                self.file("home", path)
        if self.home.journal.exists():
            content = self.home.journal.read_bytes()
            self.file("home", self.home.journal, content[: content.rfind(b"\n") + 1])

    def secrets(self) -> None:
        if self.seal is not None:
            for path in [*sorted(self.home.keys.glob("*.pem")), *sorted(self.home.secrets.rglob("*"))]:
                if path.is_file():
                    self.secret(path, self.seal)

    def database(self) -> None:
        """By the database's own means, and then read through. Raises Failure when it is not sound."""
        with tempfile.NamedTemporaryFile(dir=self.pool.backups.directory, prefix=HALF) as stream:
            if isinstance(self.source, Path):
                copy_database(self.source, Path(stream.name))
                name = self.source.relative_to(self.home.root).as_posix()
            else:
                postgres().dump(self.source, Path(stream.name))
                name = DUMP
            digest, length = self.pool.put(Path(stream.name))
        self.files.append(Entry("home", name, digest, length, 0o644))


def postgres() -> Any:
    """Loaded where there is one: it brings Buildbot along, for which no command of a farm with SQLite waits."""
    return import_module("master.backup.postgres")


def copy_database(database: Path, target: Path) -> None:
    """A whole copy of a database that others write to meanwhile. Raises Failure."""
    try:
        source = sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=60)
        with closing(source), closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            # Nothing but this file is kept, so nothing may wait in another one.
            copy.execute("PRAGMA journal_mode = DELETE")
            said = copy.execute("PRAGMA quick_check").fetchall()
    except sqlite3.Error as error:
        raise _unsound(database, str(error)) from error
    if said != [("ok",)]:
        raise _unsound(database, "; ".join(str(row[0]) for row in said[:3]))


def _unsound(database: Path, found: str) -> Failure:
    return Failure(
        "backup", "the master's database can't be copied", wanted=f"a sound database in {database}", found=found,
        todo="No backup was made; earlier ones are as they were. Stop the farm and restore the newest of them.",
    )  # fmt: skip


def _require_room(backups: Backups, copying: _Copying) -> None:
    missing = sum(one.size for one in copying.wanted.values() if not copying.pool.has(one.sha256, one.size))
    source = copying.source
    needed = missing + 2 * (source.stat().st_size if isinstance(source, Path) else postgres().size_of(source))
    free = shutil.disk_usage(backups.directory).free
    if free < needed:
        raise Failure(
            "backup", f"there is too little room in {backups.directory}", wanted=f"{size(needed)} free",
            found=f"{size(free)} free", todo="Make room there, or drop older backups with --keep N.",
        )  # fmt: skip


def make(
    home: Home, store: Path | StorePlace, backups: Backups, say: Say, *, passphrase: bytes | None = None,
    link: bool = False, keep: int | None = None, now: float | None = None, database: Where | None = None,
) -> Made:  # fmt: skip
    """Makes a backup, and with `keep` drops all but the newest so many. Raises Failure; earlier backups stay whole.

    database: where it is, SQLite's file in the home unless given.
    """
    source = database or home.database
    if isinstance(source, Path) and not source.exists():
        raise Failure(
            "backup", f"there is no farm in {home.root}", wanted=f"{home.database}", found="nothing there",
            todo="Set MINT_HOME to the farm's; ./mint up makes a new one.",
        )  # fmt: skip
    shelf = Store(store, patient=True)
    if backups.directory.resolve().is_relative_to(shelf.root.resolve()):
        raise Failure(
            "backup", f"{backups.directory} is inside of what is to be backed up", todo="Choose another place, on "
            "another disk best."
        )  # fmt: skip
    seal = Seal.of(passphrase) if passphrase is not None else None
    with _only_one(backups), one_keeper(home, say, drops=False):
        copying = _Copying(home, shelf, Pool(backups, link=link), seal, source)
        copying.index()
        _require_room(backups, copying)
        copying.bytes_of_store(say)
        copying.plain_files()
        copying.secrets()
        copying.database()
        manifest = Manifest(
            "pymint/backup/1", int(time.time() if now is None else now), buildbot.version, copying.files,
            seal.salt.hex() if seal is not None else None, copying.damaged,
            "sqlite" if isinstance(source, Path) else "postgres",
        )  # fmt: skip
        name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(manifest.made_at))
        if name in backups.names():
            raise Failure("backup", f"there is a backup {name} already", todo="Wait a second and begin again.")
        write_file(backups.manifests / f"{name}.json", encode(manifest), 0o444)
        made = Made(
            name, len(copying.files), sum(one.size for one in copying.files), copying.pool.new_files,
            copying.pool.new_bytes, copying.problems,
        )  # fmt: skip
        return replace(made, dropped_bytes=_drop_old(backups, copying.pool, keep))


def _drop_old(backups: Backups, pool: Pool, keep: int | None) -> int:
    """Nothing is dropped when one of the manifests that stay can't be read."""
    names = backups.names()
    old = names[:-keep] if keep is not None else []
    wanted = {one.sha256 for name in names[len(old) :] for one in backups.read(name)[1].files}
    for name in old:
        (backups.manifests / f"{name}.json").unlink()
    return pool.sweep(wanted)
