"""What a backup is: a manifest, and the files that it names by digest.

BACKUPS/manifests/<time>.json   a Manifest, written last: what has none is no backup
BACKUPS/sha256/ab/<digest>      the bytes, shared by all backups, read-only
BACKUPS/lock
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from workers.errors import Failure
from workers.reports.base import decode

NAME = re.compile(r"\A\d{8}T\d{6}Z\Z")
# What PostgreSQL's dump is called, beside what is below MINT_HOME.
DUMP = "database.pgdump"
Root = Literal["home", "store"]


@dataclass(frozen=True)
class Entry:
    """A file. path: below `root`, MINT_HOME or the store. sha256, size: of what is kept. sealed: it is encrypted."""

    root: Root
    path: str
    sha256: str
    size: int
    mode: int
    sealed: bool = False


@dataclass(frozen=True)
class Manifest:
    """made_at: seconds since 1970, UTC. buildbot: the release that the database is of. salt: of the passphrase, in hex,
    where secrets are among the files. database: PostgreSQL's is a dump. damaged: what the store should have had and did
    not, or not any more as recorded.
    """

    schema: Literal["pymint/backup/1"]
    made_at: int
    buildbot: str
    files: list[Entry]
    salt: str | None = None
    damaged: list[Entry] = field(default_factory=list)
    database: Literal["sqlite", "postgres"] = "sqlite"


@dataclass(frozen=True)
class Backups:
    """The directory of all backups."""

    directory: Path

    @property
    def manifests(self) -> Path:
        return self.directory / "manifests"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    def path_of(self, digest: str) -> Path:
        return self.directory / "sha256" / digest[:2] / digest

    def names(self) -> list[str]:
        """All finished backups, the oldest first."""
        return sorted(path.stem for path in self.manifests.glob("*.json") if NAME.match(path.stem))

    def read(self, name: str | None = None) -> tuple[str, Manifest]:
        """A backup by its name; the newest without one. Raises Failure when there is none, or it can't be read."""
        known = self.names()
        if not known or (name is not None and name not in known):
            raise Failure(
                "backup", f"{self.directory} has no backup {name or 'at all'}", found=", ".join(known) or "none",
                todo="Name the directory that ./mint backup was given, and one of the backups in it.",
            )  # fmt: skip
        chosen = name or known[-1]
        path = self.manifests / f"{chosen}.json"
        return chosen, decode(path.read_bytes(), Manifest, str(path))
