"""A farm that has built what a release needs, small: keys, a mirror of the commit, recorded and signed builds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from master.home import Home
from master.release.choice import Release
from master.release.collect import Collection, collect
from master.release.model import CellAnswer, Readiness
from master.settings import Settings, WorkerSettings
from master.signing import keeping, statement
from master.signing.bundle import SUFFIX, encode
from master.signing.choice import Signing
from master.signing.pen import pen_of
from master.signing.signer import names_of
from master.signing.statement import PROVENANCE, STATEMENT
from master.store import ArchiveRecord, Attestation, Store, Stored
from tests.integration.farm import commit as commit_of
from tests.integration.farm import make_repository
from tests.unit.handover_samples import CELL, FACTS, Handover, handed_over
from workers.model import ROOT, load_matrix
from workers.reports.build import CellName, ChosenPin, ProviderFacts

BASE = "https://farm.example"
SOURCE = "https://github.com/example/pymint"
URL = "https://dl.example/python/{tag}"
MAKE_KEYS = datetime(2026, 11, 1, tzinfo=UTC)
LINUX_ARM = "aarch64-unknown-linux-gnu"
MACOS = "aarch64-apple-darwin"
PINS = (ChosenPin("cpython-3.13", "3.13.5", "1" * 64, "3.13.5"), ChosenPin("zlib", "1.3.1", "2" * 64, "1.3.2"))


@dataclass
class SmallFarm:
    """Made by `small_farm`. number: of the next build."""

    home: Home
    settings: Settings
    commit: str
    number: int = 1
    answers: list[CellAnswer] = field(default_factory=list)

    @property
    def store(self) -> Store:
        """A fresh one, which has looked at no file yet."""
        return Store(self.home.root / "store")

    def build(
        self,
        cell: CellName = CELL,
        *,
        release: str = "3.13.5",
        facts: ProviderFacts = FACTS,
        pins: Sequence[ChosenPin] = PINS,
        lie: Callable[[Handover], None] = lambda handover: None,
        signed: bool = True,
    ) -> ArchiveRecord:
        """Records and signs a build of a cell, which then counts for the release."""
        place = self.home.root / "worker" / str(self.number)
        handover = handed_over(
            place, self.store, cell=cell, release=release, commit=self.commit, facts=facts, pins=pins,
            number=self.number, buildid=self.number,
        )  # fmt: skip
        lie(handover)
        handover.record()
        record = self.store.find(handover.submission.builder, self.number)
        assert record is not None
        self.answers = [one for one in self.answers if one.builder != record.builder]
        self.answers.append(CellAnswer(record.builder, "ready", self.number))
        self.number += 1
        if signed:
            self.sign(record)
        return record

    def sign(self, record: ArchiveRecord, **said: Any) -> None:
        """As the signer does; said: what the statement is to say instead."""
        names = names_of(self.home, self.settings, record, dry_run=False)
        cell = record.cell
        parameters = {
            "source": names.source, "branch": "main", "commit": record.commit, "version": cell.version,
            "target": cell.target, "variant": cell.variant, **said,
        }  # fmt: skip
        document = {
            "_type": STATEMENT,
            "subject": [{"name": one.name, "digest": {"sha256": one.sha256}} for one in record.archives()],
            "predicateType": PROVENANCE,
            "predicate": {
                "buildDefinition": {
                    "buildType": f"{BASE}/buildtypes/cpython-build/v1", "externalParameters": parameters,
                },
                "runDetails": {"builder": {"id": names.builder}},
            },
        }  # fmt: skip
        pen = pen_of(self.home, self.settings, dry_run=False)
        one = pen.sign(statement.payload(document), names, record.commit, datetime.now(UTC))
        bundles = [self.store.put_bytes(encode(one.bundle), f"{each.name}{SUFFIX}") for each in record.archives()]
        self.store.attest(
            record, Attestation("pymint/attestation/1", record.buildid, pen.key.hint, names.builder, 0, bundles, [])
        )

    @property
    def readiness(self) -> Readiness:
        return Readiness(self.commit, "release", list(self.answers))

    def collected(self) -> Collection:
        return collect(self.home, self.settings, load_matrix(), self.readiness, lambda line: None)

    def unjudged(self) -> Collection:
        """The same without the programs that judge the smaller archives again, for tests of what comes after."""
        with patch("master.release.collect._again", lambda pool, programs, store, cells, say: cells):
            return self.collected()

    def flip(self, stored: Stored) -> None:
        """A bit of a stored file rots."""
        path = self.store.path_of(stored.sha256)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(bytes(data))


def small_farm(place: Path, profile: str = "key", orders: dict[str, Any] | None = None, **release: Any) -> SmallFarm:
    """A farm with keys and a mirror, which has built nothing yet. orders: to the stand-ins of the programs."""
    home = Home(place / "home", ROOT)
    repository = place / "repository"
    commit = make_repository(repository, orders)
    home.repository.parent.mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", "--bare", str(repository), str(home.repository)], check=True)
    chosen: dict[str, Any] = {"url": URL, **release}
    targets = list(load_matrix().targets)
    settings = Settings(
        workers=[WorkerSettings("local", targets)],
        signing=Signing(profile=profile, base=BASE, source=SOURCE),  # type: ignore[arg-type]
        release=Release(**chosen),
    )
    home.settings_file.write_text(
        f'[signing]\nprofile = "{profile}"\nbase = "{BASE}"\nsource = "{SOURCE}"\n[release]\nurl = "{chosen["url"]}"\n'
        f'[[workers]]\nname = "local"\ntargets = {json.dumps(targets)}\n'
    )
    keeping.prepare(home, settings, MAKE_KEYS)
    return SmallFarm(home, settings, commit)


def next_commit(farm: SmallFarm, place: Path) -> str:
    """Another commit of the farm's repository, in its mirror."""
    commit = commit_of(place / "repository", {"another": farm.number})
    fetch = ["git", "-C", str(farm.home.repository), "fetch", "--quiet", "origin", "main:main"]
    subprocess.run(fetch, check=True)
    farm.commit, farm.answers = commit, []
    return commit
