"""A small farm that is not up: a database, a store with two recorded builds, keys."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from master.backup.making import Made, make
from master.backup.model import Backups
from master.home import Home
from master.store import ArchiveRecord, Attestation, Store
from tests.unit.gate_samples import Builds, commit_of, make_database
from tests.unit.test_master_store import BUILDER, record
from workers.model import ROOT


@cache
def empty_database() -> Path:
    """Made once: Buildbot's migrations take seconds."""
    return make_database(Path(mkdtemp(prefix="pymint-test-")) / "state.sqlite")


@dataclass
class Sample:
    home: Home
    store: Store
    backups: Backups
    number: int = 0

    def build(self, content: bytes) -> ArchiveRecord:
        """One more recorded build with its row in the database."""
        self.number += 1
        commit = commit_of(self.number)
        (buildid,) = Builds(self.home.database, builders=self._builders).add(commit, [(BUILDER, 0)])
        made = record(self.store.put_bytes(content, f"a{self.number}.tar.zst"), self.number, commit)
        made = replace(made, buildid=buildid, reports=[self.store.put_bytes(content + b"report", "plan.json")])
        self.store.add(made)
        bundle = self.store.put_bytes(content + b"bundle", f"a{self.number}.sigstore.json")
        self.store.attest(made, Attestation("pymint/attestation/1", buildid, "k", "b", 1, [bundle], []))
        return made

    def backup(self, **options: object) -> Made:
        said: list[str] = []
        now = 1_800_000_000 + len(self.backups.names())
        return make(self.home, self.store.root, self.backups, said.append, now=now, **options)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        self._builders: dict[str, int] = {}


def sample(place: Path) -> Sample:
    home = Home(place / "home", ROOT)
    home.master.mkdir(parents=True)
    shutil.copy(empty_database(), home.database)
    home.settings_file.write_text("[web]\nport = 1\n")
    home.keys.mkdir(mode=0o700)
    (home.keys / "farm.pem").write_text("private")
    (home.keys / "farm.pub").write_text("public")
    home.journal.parent.mkdir()
    home.journal.write_bytes(b'{"number": 1}\n{"cut')
    one = Sample(home, Store(home.root / "store"), Backups(place / "backups"))
    one.build(b"first")
    return one
