"""A release's list of digests: signed once, of files that are there and of one commit, and never without its line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from master.release import indexes
from master.release.model import SUMS_NAME, Asset
from master.signing import journal, timestamps
from master.signing.certificates import Authority
from master.signing.release import sign
from master.store import ArchiveRecord, Stored
from tests.unit.release_samples import SmallFarm, next_commit, small_farm
from workers.errors import Failure

TAG = "20261125"


def listed(farm: SmallFarm, *records: ArchiveRecord) -> tuple[str, list[Stored]]:
    """The digest of a SHA256SUMS in the store, and what it lists: the archives of these builds, and a page."""
    store = farm.store
    files = [store.put_bytes(b"a page", "index.html")]
    for record in records:
        attestation = store.attested(record)
        assert attestation is not None
        files += [*record.archives(), *attestation.bundles]
    assets = [Asset(one.name, one.size, one.sha256, "", "archive") for one in files]
    return store.put_bytes(indexes.sums(assets), SUMS_NAME).sha256, files


def signatures(farm: SmallFarm) -> list[Path]:
    return list((farm.store.root / "releases").glob("*/signed/*"))


def nothing_signed(farm: SmallFarm) -> bool:
    return not farm.home.journal.exists() and signatures(farm) == []


def test_the_same_list_is_signed_once(tmp_path: Path) -> None:
    farm = small_farm(tmp_path)
    digest, _ = listed(farm, farm.build())
    first = sign(farm.home, farm.settings, TAG, digest, dry_run=False)
    assert sign(farm.home, farm.settings, TAG, digest, dry_run=False) == first
    assert [entry["tag"] for entry in journal.verify(farm.home.journal, [], [first.sha256])] == [TAG]


def test_a_dry_run_signs_with_another_key_what_the_farm_signed(tmp_path: Path) -> None:
    farm = small_farm(tmp_path)
    digest, _ = listed(farm, farm.build())
    made = [sign(farm.home, farm.settings, TAG, digest, dry_run=dry_run) for dry_run in (True, False, True)]
    assert made[0] == made[2] != made[1]
    assert len(journal.verify(farm.home.journal, [], [made[1].sha256])) == 1


def test_a_signed_bundle_that_rotted_is_told(tmp_path: Path) -> None:
    farm = small_farm(tmp_path)
    digest, _ = listed(farm, farm.build())
    farm.flip(sign(farm.home, farm.settings, TAG, digest, dry_run=False))
    with pytest.raises(Failure, match="is damaged in the store"):
        sign(farm.home, farm.settings, TAG, digest, dry_run=False)


def test_a_file_that_is_no_archive_has_to_be_what_is_listed_too(tmp_path: Path) -> None:
    farm = small_farm(tmp_path)
    digest, (page, *_) = listed(farm, farm.build())
    farm.flip(page)
    with pytest.raises(Failure, match=r"index\.html is damaged in the store"):
        sign(farm.home, farm.settings, TAG, digest, dry_run=False)
    assert nothing_signed(farm)


def test_archives_of_two_commits_are_no_release(tmp_path: Path) -> None:
    farm = small_farm(tmp_path)
    first = farm.build()
    next_commit(farm, tmp_path)
    digest, _ = listed(farm, first, farm.build(release="3.13.6"))
    with pytest.raises(Failure, match="the archives of a release have to be of one commit"):
        sign(farm.home, farm.settings, TAG, digest, dry_run=False)
    assert nothing_signed(farm)


def test_a_signature_that_its_readers_would_refuse_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the service's clock is an hour late, and the certificate of the signature over."""
    farm = small_farm(tmp_path, "ca")
    digest, _ = listed(farm, farm.build())
    real = timestamps.issue

    def late(service: Authority, signature: bytes, now: datetime) -> bytes:
        return real(service, signature, datetime.now(UTC) + timedelta(hours=1))

    monkeypatch.setattr(timestamps, "issue", late)
    with pytest.raises(Failure, match="was not valid then"):
        sign(farm.home, farm.settings, TAG, digest, dry_run=False)
    assert nothing_signed(farm)


def test_what_the_journal_can_not_take_is_not_signed(tmp_path: Path) -> None:
    """A bundle without a line is what a key in wrong hands would leave."""
    farm = small_farm(tmp_path)
    digest, _ = listed(farm, farm.build())
    journal.append(farm.home.journal, {"kind": "build"})
    with farm.home.journal.open("ab") as stream:
        stream.write(b"half a line")
    with pytest.raises(Failure, match="line 2, the last, is cut"):
        sign(farm.home, farm.settings, TAG, digest, dry_run=False)
    assert signatures(farm) == []
