"""A master's database as Buildbot makes it, filled with builds, and a store's index of them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from master.store import ArchiveRecord, Attestation, Store, Stored
from workers.model import ROOT, Cell
from workers.reports.build import CellName, ChosenPin, ProviderFacts

REPOSITORY = "https://git.example/pymint"
VALIDATED = ProviderFacts("3.1.2", "policy", "4985", "2.31")
OURS = ProviderFacts("3.5.7", "toolchain", None, "2.17")


def commit_of(number: int) -> str:
    return hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()


def make_database(path: Path) -> Path:
    """An empty one, by Buildbot's own migrations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "master.database", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


@dataclass
class Builds:
    """Adds builds to a database. steps, properties: how many each build gets, as real ones have."""

    path: Path
    steps: int = 0
    properties: int = 0
    builders: dict[str, int] = field(default_factory=dict)

    def add(self, commit: str, builds: Iterable[tuple[str, int | None]], *, repository: str = REPOSITORY,
            branch: str = "main") -> list[int]:  # fmt: skip
        """A build of the commit by each builder, with its result: None runs, -1 is a request that waits. Their ids."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return self.add_all(connection, [(commit, builder, result) for builder, result in builds],
                                repository, branch)  # fmt: skip

    def add_all(
        self, connection: sqlite3.Connection, builds: Iterable[tuple[str, str, int | None]],
        repository: str = REPOSITORY, branch: str = "main",
    ) -> list[int]:  # fmt: skip
        def put(table: str, **row: object) -> int:
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            done = connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))
            return int(done.lastrowid or 0)

        found: list[int] = []
        masters = connection.execute("SELECT id FROM masters").fetchall()
        master = masters[0][0] if masters else put("masters", name="m", name_hash="m", active=1, last_active=1)
        workers = connection.execute("SELECT id FROM workers").fetchall()
        worker = workers[0][0] if workers else put("workers", name="local", info="{}", paused=0, graceful=0)
        for commit, builder, result in builds:
            if builder not in self.builders:
                self.builders[builder] = put("builders", name=builder, name_hash=hashlib.sha1(
                    builder.encode(), usedforsecurity=False).hexdigest())  # fmt: skip
            mark = hashlib.sha1(f"{commit}{repository}{branch}".encode(), usedforsecurity=False).hexdigest()
            stamps = connection.execute("SELECT id FROM sourcestamps WHERE ss_hash = ?", (mark,)).fetchall()
            stamp = stamps[0][0] if stamps else put(
                "sourcestamps", ss_hash=mark, branch=branch, revision=commit, repository=repository, codebase="",
                project="", created_at=1,
            )  # fmt: skip
            ended = result is not None and result >= 0
            buildset = put("buildsets", reason="r", submitted_at=1, complete=int(ended), results=result)
            put("buildset_sourcestamps", buildsetid=buildset, sourcestampid=stamp)
            request = put(
                "buildrequests", buildsetid=buildset, builderid=self.builders[builder], priority=0,
                complete=int(ended), results=result if ended else -1, submitted_at=1, waited_for=0,
            )  # fmt: skip
            if result == -1:
                continue
            (number,) = connection.execute(
                "SELECT COALESCE(MAX(number), 0) + 1 FROM builds WHERE builderid = ?", (self.builders[builder],)
            ).fetchone()
            build = put(
                "builds", number=number, builderid=self.builders[builder], buildrequestid=request, workerid=worker,
                masterid=master, started_at=1, complete_at=2 if ended else None, state_string="s", results=result,
                locks_duration_s=0,
            )  # fmt: skip
            found.append(build)
            connection.executemany(
                "INSERT INTO steps (number, name, buildid, started_at, complete_at, state_string, results, urls_json, "
                "hidden, locks_acquired_at) VALUES (?, ?, ?, 1, 2, 'a line that says what was done', 0, '[]', 0, 1)",
                [(one, f"step-{one}", build) for one in range(self.steps)],
            )
            connection.executemany(
                "INSERT INTO build_properties (buildid, name, value, source) VALUES (?, ?, ?, 'plan')",
                [(build, f"property_{one}", json.dumps("v" * 60)) for one in range(self.properties)],
            )
        return found


def record(store: Store, cell: Cell, commit: str, number: int, buildid: int, *, provider: ProviderFacts = VALIDATED,
           signed: bool = True) -> ArchiveRecord:  # fmt: skip
    """What the step `record` writes of a build, without bytes behind it."""
    stored = [Stored(f"report-{one}.json", f"{one:064x}", 1000) for one in range(24)]
    made = ArchiveRecord(
        schema="pymint/record/2", cell=CellName(cell.version.minor, cell.target.triple, cell.variant.name),
        builder=cell.builder_name, number=number, buildid=buildid, worker="local", commit=commit, branch="main",
        recorded_at=1, python_version="3.13.5", archive=Stored("a.tar.zst", "0" * 64, 1), tar_sha256="0" * 64,
        tar_size=1, provider=provider, pins=[ChosenPin(f"s{one}", "1.2", "0" * 64, "1.2") for one in range(30)],
        reports=stored,
    )  # fmt: skip
    store.add(made)
    if signed:
        store.attest(made, Attestation("pymint/attestation/1", buildid, "k", "b", 1, [], []))
    return made
