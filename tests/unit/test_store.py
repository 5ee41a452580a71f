"""The store: what was stored comes back the same, and what changed meanwhile is never used."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from workers.reports.base import Measure
from workers.store import Store, sha256_of

KEY = "ab" * 32


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> Store:
    return Store(tmp_path / "store", said.append)


def _made(tmp_path: Path, text: str = "bytes") -> Path:
    path = tmp_path / "made"
    path.write_text(text)
    return path


def test_an_object_comes_back_under_its_key_and_its_digest(store: Store, tmp_path: Path) -> None:
    made = _made(tmp_path)
    digest = sha256_of(made)
    store.add(KEY, "zlib", made, Measure(1, 2, 3))
    record = store.checked(KEY)
    assert record is not None
    assert (record.digest, record.node, record.size) == (digest, "zlib", 5)
    assert store.path_of(digest).read_text() == "bytes"
    assert not made.exists()


def test_a_corrupted_object_is_thrown_away_and_named(store: Store, tmp_path: Path, said: list[str]) -> None:
    record = store.add(KEY, "zlib", _made(tmp_path), Measure())
    path = store.path_of(record.digest)
    path.chmod(0o644)
    path.write_text("Bytes")
    assert store.checked(KEY) is None
    assert "zlib" in said[0]
    assert record.digest in said[0]
    assert not path.exists()
    store.add(KEY, "zlib", _made(tmp_path), Measure())
    assert store.checked(KEY) is not None


@pytest.mark.parametrize("text", [b'{"schema": "\xff"}', b'{"more": ' + b"[" * 100_000])
def test_a_record_that_can_not_be_read_is_dropped_and_named(
    store: Store, tmp_path: Path, said: list[str], text: bytes
) -> None:
    store.add(KEY, "zlib", _made(tmp_path), Measure())
    path = tmp_path / "store" / "keys" / f"{KEY}.json"
    path.write_bytes(text)
    assert store.checked(KEY) is None
    assert "can't be read and is dropped" in said[0]
    assert not path.exists()


def test_a_record_without_its_bytes_is_not_an_object(store: Store, tmp_path: Path, said: list[str]) -> None:
    record = store.add(KEY, "zlib", _made(tmp_path), Measure())
    store.path_of(record.digest).unlink()
    assert store.checked(KEY) is None
    assert "nothing there" in said[0]


def test_a_truncated_record_is_dropped_with_a_word(store: Store, tmp_path: Path, said: list[str]) -> None:
    store.add(KEY, "zlib", _made(tmp_path), Measure())
    path = store.root / "keys" / f"{KEY}.json"
    path.write_text(path.read_text()[:20])
    assert store.checked(KEY) is None
    assert "can't be read" in said[0]


def test_prune_keeps_what_is_wanted_and_drops_the_rest(store: Store, tmp_path: Path) -> None:
    other = "cd" * 32
    kept = store.add(KEY, "zlib", _made(tmp_path, "kept"), Measure())
    dropped = store.add(other, "xz", _made(tmp_path, "dropped"), Measure())
    assert [record.key for record in store.prune(frozenset({KEY}), really=False)] == [other]
    assert store.path_of(dropped.digest).exists()
    store.prune(frozenset({KEY}), really=True)
    assert store.checked(KEY) == kept
    assert not store.path_of(dropped.digest).exists()


def _hold(root: Path, marks: Path) -> None:
    with Store(root).locked(KEY):
        (marks / "held").touch()
        time.sleep(30)


def test_a_lock_goes_with_the_process_that_held_it(store: Store, tmp_path: Path) -> None:
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(store.root, tmp_path))
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    assert store.is_locked(KEY)
    holder.kill()
    holder.join()
    assert not store.is_locked(KEY)
    with store.locked(KEY):
        pass
