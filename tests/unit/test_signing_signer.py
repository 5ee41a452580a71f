"""The signer reads all of a build for itself, and signs nothing that does not fit together."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from master.settings.tables import Repository
from master.signing import journal, timestamps
from master.signing.certificates import Authority
from master.signing.signer import attest
from master.store import ArchiveRecord
from tests.unit.backup_samples import empty_database
from tests.unit.gate_samples import Builds
from tests.unit.release_samples import SmallFarm, small_farm
from workers.errors import Failure


def built(place: Path, profile: str = "key") -> tuple[SmallFarm, ArchiveRecord]:
    """A build that nobody signed, in store and database."""
    farm = small_farm(place, profile)
    record = farm.build(signed=False)
    farm.home.database.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_database(), farm.home.database)
    builds = Builds(farm.home.database)
    (buildid,) = builds.add(farm.commit, [(record.builder, 0)], repository=str(farm.home.checkout))
    assert buildid == record.buildid
    said = {"version": record.cell.version, "target": record.cell.target, "variant": record.cell.variant}
    for name, value in said.items():
        write(farm, "INSERT INTO build_properties (buildid, name, value, source) VALUES (1, ?, ?, 'x')",
              name, json.dumps(value))  # fmt: skip
    for one in record.reports:
        if one.name in ("plan.json", "sources.json"):
            data = farm.store.path_of(one.sha256).read_bytes()
            write(farm, "INSERT INTO build_data (buildid, name, value, length, source) VALUES (1, ?, ?, ?, 'x')",
                  one.name.removesuffix(".json"), data, len(data))  # fmt: skip
    return farm, record


def write(farm: SmallFarm, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(farm.home.database)) as connection, connection:
        connection.execute(statement, values)


def nothing_signed(farm: SmallFarm, record: ArchiveRecord) -> bool:
    return not farm.home.journal.exists() and farm.store.attested(record) is None


def test_a_build_is_signed_once_and_the_journal_has_it(tmp_path: Path) -> None:
    farm, record = built(tmp_path)
    first = attest(farm.home, farm.settings, record.buildid)
    assert {one.name for one in first.bundles} == {f"{one.name}.sigstore.json" for one in record.archives()}
    kept = farm.store.attested(record)
    assert kept is not None
    assert [entry["kind"] for entry in journal.verify(farm.home.journal, kept.lines)] == ["build", "derive"]
    assert attest(farm.home, farm.settings, record.buildid) == first
    assert len(journal.verify(farm.home.journal)) == 2


@pytest.mark.parametrize(
    ("lie", "text"),
    [
        (lambda farm, record: write(farm, "UPDATE sourcestamps SET repository = '/another'"),
         "build 1 is of another repository"),
        (lambda farm, record: write(farm, "UPDATE workers SET name = 'another'"), "the record names another worker"),
        (lambda farm, record: write(farm, "UPDATE build_data SET value = x'7b7d' WHERE name = 'sources'"),
         "the report sources of build 1 was exchanged after its step"),
        (lambda farm, record: farm.flip(record.reports[-1]), "is damaged in the store"),
        (lambda farm, record: farm.flip(record.derived[0].archive), "is damaged in the store"),
        (lambda farm, record: write(farm, "DELETE FROM buildset_sourcestamps"), "there is no build 1 of one commit"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_not_signed(
    tmp_path: Path, lie: Callable[[SmallFarm, ArchiveRecord], None], text: str
) -> None:
    farm, record = built(tmp_path)
    lie(farm, record)
    with pytest.raises(Failure, match=text):
        attest(farm.home, farm.settings, record.buildid)
    assert nothing_signed(farm, record)


def test_a_commit_that_is_not_on_the_branch_is_not_signed(tmp_path: Path) -> None:
    farm, record = built(tmp_path)
    said = attest(farm.home, replace(farm.settings, repository=Repository(branch="another")), record.buildid)
    assert (said.attested, said.why) == (False, f"the commit {record.commit[:12]} is not on another")
    assert nothing_signed(farm, record)


def test_a_signature_that_its_readers_would_refuse_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the service's clock is an hour late, and the certificate of the signature over."""
    farm, record = built(tmp_path, "ca")
    real = timestamps.issue

    def late(service: Authority, signature: bytes, now: datetime) -> bytes:
        return real(service, signature, datetime.now(UTC) + timedelta(hours=1))

    monkeypatch.setattr(timestamps, "issue", late)
    with pytest.raises(Failure, match="was not valid then"):
        attest(farm.home, farm.settings, record.buildid)
    assert nothing_signed(farm, record)


def test_a_dry_run_leaves_bundles_in_its_directory_and_nothing_of_the_farms(tmp_path: Path) -> None:
    farm, record = built(tmp_path)
    said = attest(farm.home, farm.settings, record.buildid, rehearsal=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(one.name for one in said.bundles)
    assert nothing_signed(farm, record)
    assert len(journal.verify(farm.home.journal.with_name("dry-run.jsonl"))) == 2
