from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from master.signing.journal import Line
from master.store import ArchiveRecord, Attestation, DerivedRecord, Store, Stored
from workers.errors import Failure
from workers.reports.build import CellName, ProviderFacts

BUILDER = "cpython-3.13-x86_64-unknown-linux-gnu-noopt"
COMMIT = "c" * 40


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def file(tmp_path: Path, content: bytes, name: str = "file") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def record(archive: Stored, number: int = 1, commit: str = COMMIT, when: int = 0) -> ArchiveRecord:
    return ArchiveRecord(
        schema="pymint/record/1", cell=CellName("3.13", "x86_64-unknown-linux-gnu", "noopt"), builder=BUILDER,
        number=number, buildid=number, worker="local", commit=commit, branch="main", recorded_at=when,
        python_version="3.13.5", archive=archive, tar_sha256="d" * 64, tar_size=1,
        provider=ProviderFacts("3.5.7", "toolchain", None, "2.17"), pins=[], reports=[],
    )  # fmt: skip


def test_a_record_of_before_the_smaller_archives_is_read(store: Store, tmp_path: Path) -> None:
    """As the first schema had it, without what was derived."""
    old = record(store.put(file(tmp_path, b"x"), "a.tar.zst"))
    path = store.add(old)
    written = json.loads(path.read_bytes())
    assert written.pop("derived") == []
    path.chmod(0o644)
    path.write_text(json.dumps(written))
    assert store.find(BUILDER, 1) == old
    assert [one.name for one in old.files()] == ["a.tar.zst"]


def test_what_was_derived_is_kept_with_its_record(store: Store, tmp_path: Path) -> None:
    full, smaller = (store.put(file(tmp_path, name.encode()), name) for name in ("a.tar.zst", "a.tar.gz"))
    store.put(file(tmp_path, b"loose"), "b")
    store.add(
        replace(record(full), schema="pymint/record/2", derived=[DerivedRecord("install_only", smaller, "d" * 64, 1)])
    )
    assert len(store.prune(really=True)) == 1
    assert store.checked(smaller).read_bytes() == b"a.tar.gz"


def test_bytes_lie_under_their_digest_and_can_not_be_written(store: Store, tmp_path: Path) -> None:
    stored = store.put(file(tmp_path, b"an archive"), "a.tar.zst")
    assert stored == Stored("a.tar.zst", hashlib.sha256(b"an archive").hexdigest(), 10)
    path = store.checked(stored)
    assert path == store.root / "sha256" / stored.sha256[:2] / stored.sha256
    assert path.read_bytes() == b"an archive"
    assert path.stat().st_mode & 0o222 == 0


def test_the_same_bytes_are_stored_once_and_never_written_over(store: Store, tmp_path: Path) -> None:
    first = store.checked(store.put(file(tmp_path, b"x"), "a"))
    before = first.stat()
    store.put(file(tmp_path, b"x"), "b")
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert store.usage().files == 1


def test_rotten_bytes_are_refused_by_name_and_mended_by_the_next_build(store: Store, tmp_path: Path) -> None:
    stored = store.put(file(tmp_path, b"good"), "a.tar.zst")
    path = store.checked(stored)
    path.chmod(0o644)
    path.write_bytes(b"evil")
    with pytest.raises(Failure, match=r"a\.tar\.zst is damaged") as caught:
        store.checked(stored)
    assert stored.sha256 in str(caught.value)
    store.put(file(tmp_path, b"good"), "a.tar.zst")
    assert store.checked(stored).read_bytes() == b"good"


def test_a_missing_file_is_said_to_be_missing(store: Store, tmp_path: Path) -> None:
    stored = store.put(file(tmp_path, b"x"), "a.tar.zst")
    store.path_of(stored.sha256).unlink()
    with pytest.raises(Failure, match=r"a\.tar\.zst is not in the store any more"):
        store.checked(stored)


def test_a_failed_write_leaves_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.put(file(tmp_path, b"x"), "a")
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_many_at_once_store_the_same_bytes(store: Store, tmp_path: Path) -> None:
    source = file(tmp_path, b"y" * 3_000_000)
    threads = [threading.Thread(target=store.put, args=(source, "a")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.usage().files == 1
    assert not list(store.root.glob(".new-*"))


@pytest.mark.parametrize("digest", ["../../etc/passwd", "", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_only_a_digest_names_what_is_stored(store: Store, digest: str) -> None:
    with pytest.raises(Failure, match="is no digest"):
        store.path_of(digest)


def test_a_record_is_found_by_build_and_written_once(store: Store, tmp_path: Path) -> None:
    one = record(store.put(file(tmp_path, b"x"), "a.tar.zst"))
    path = store.add(one)
    assert path == store.root / "index" / COMMIT / BUILDER / "1.json"
    assert store.find(BUILDER, 1) == one
    assert store.find(BUILDER, 2) is None
    assert store.find("../../x", 1) is None
    with pytest.raises(Failure, match="is recorded already"):
        store.add(replace(one, buildid=99))
    assert store.find(BUILDER, 1) == one


def test_a_number_that_was_given_twice_is_the_newer_build(store: Store, tmp_path: Path) -> None:
    """As after a new database beside an old store: numbers begin anew, with other commits."""
    archive = store.put(file(tmp_path, b"x"), "a.tar.zst")
    commits = [digit * 40 for digit in "0123456789"]
    for when, commit in enumerate(commits):
        store.add(record(archive, commit=commit, when=100 - when))
    found = store.find(BUILDER, 1)
    assert found is not None
    assert found.commit == commits[0]
    store.add(record(archive, commit="a" * 40, when=101))
    found = store.find(BUILDER, 1)
    assert found is not None
    assert found.commit == "a" * 40


@pytest.mark.parametrize(
    ("commit", "builder"), [("../" * 4, BUILDER), (COMMIT, "../../x"), (COMMIT, "a/b"), ("c", "b")]
)
def test_no_name_in_a_record_leads_out_of_the_index(store: Store, commit: str, builder: str) -> None:
    with pytest.raises(Failure, match="no names for the index"):
        store.add(replace(record(Stored("a", "0" * 64, 1)), commit=commit, builder=builder))


def test_prune_drops_only_what_no_record_refers_to(store: Store, tmp_path: Path) -> None:
    kept = store.put(file(tmp_path, b"kept"), "a.tar.zst")
    loose = store.put(file(tmp_path, b"loose"), "b.tar.zst")
    store.add(record(kept))
    half = store.root / ".new-killed"
    half.write_bytes(b"half")
    shown = store.prune(really=False)
    assert set(shown) == {store.path_of(loose.sha256), half}
    assert store.path_of(loose.sha256).exists()
    assert (store.usage().unreferenced_files, store.usage().unreferenced_size) == (1, 5)
    assert store.prune(really=True) == shown
    assert not store.path_of(loose.sha256).exists()
    assert not half.exists()
    assert store.checked(kept)


def test_prune_keeps_the_newest_builds_of_a_cell(store: Store, tmp_path: Path) -> None:
    archives = [store.put(file(tmp_path, bytes([number])), "a.tar.zst") for number in range(3)]
    for number, archive in enumerate(archives):
        store.add(record(archive, number + 1, commit=f"{number}" * 40, when=100 + number))
    store.prune(really=True, keep_builds=2)
    assert [one.number for one in store.records()] == [2, 3]
    assert not store.path_of(archives[0].sha256).exists()
    assert store.checked(archives[1])


def test_what_was_signed_is_kept_with_its_build_and_goes_with_it(store: Store, tmp_path: Path) -> None:
    bundles = [store.put(file(tmp_path, bytes([number])), "a.tar.zst.sigstore.json") for number in range(2)]
    for number, bundle in enumerate(bundles, 1):
        one = record(store.put(file(tmp_path, b"a" * number), "a.tar.zst"), number, when=number)
        store.add(one)
        assert store.attested(one) is None
        said = Attestation("pymint/attestation/1", number, "key", "builder", number, [bundle], [Line(number, "0" * 64)])
        store.attest(one, said)
        assert store.attested(one) == said
        assert [file.name for file in store.files(one)] == ["a.tar.zst", "a.tar.zst.sigstore.json"]
        with pytest.raises(Failure, match="is attested already"):
            store.attest(one, replace(said, key="another"))
    assert store.usage().unreferenced_files == 0
    store.prune(really=True, keep_builds=1)
    assert [one.buildid for one in store.attestations()] == [2]
    assert not store.path_of(bundles[0].sha256).exists()
    assert store.checked(bundles[1])


def test_an_archive_that_a_kept_build_shares_is_kept(store: Store, tmp_path: Path) -> None:
    archive = store.put(file(tmp_path, b"same"), "a.tar.zst")
    store.add(record(archive, 1, when=1))
    store.add(record(archive, 2, when=2))
    store.prune(really=True, keep_builds=1)
    assert store.checked(archive)


def test_prune_deletes_nothing_while_a_record_can_not_be_read(store: Store, tmp_path: Path) -> None:
    loose = store.put(file(tmp_path, b"whose?"), "a.tar.zst")
    broken = store.root / "index" / COMMIT / BUILDER / "7.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    with pytest.raises(Failure, match=r"7\.json"):
        store.prune(really=True)
    assert store.checked(loose)
