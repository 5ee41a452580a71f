"""A file from a worker lands whole or not at all, and a full disk never reaches the worker as an error."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from steps.transfer import Landing, Memory


def landing(tmp_path: Path, limit: int = 1000) -> Landing:
    return Landing(str(tmp_path / "incoming" / "archive"), limit, 0o600)


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    writer = landing(tmp_path)
    writer.remote_write(b"one")
    assert not (tmp_path / "incoming" / "archive").exists()
    writer.remote_write(b"two")
    writer.remote_close()
    assert (tmp_path / "incoming" / "archive").read_bytes() == b"onetwo"
    assert writer.problem is None


@pytest.mark.parametrize("buffering", [0, -1], ids=["while writing", "while closing"])
def test_a_full_disk_is_kept_as_the_problem_and_nothing_is_left(tmp_path: Path, buffering: int) -> None:
    writer = landing(tmp_path)
    writer.fp.close()
    writer.fp = Path("/dev/full").open("wb", buffering=buffering)  # noqa: SIM115
    writer.remote_write(b"x" * 100)
    writer.remote_write(b"x" * 100)
    writer.remote_close()
    assert writer.problem is not None
    assert writer.problem.errno == errno.ENOSPC
    writer.discard()
    assert list((tmp_path / "incoming").iterdir()) == []


def test_what_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    writer = landing(tmp_path)
    writer.remote_write(b"half")
    writer.discard()
    assert list((tmp_path / "incoming").iterdir()) == []


def test_no_more_than_was_asked_for_is_kept_of_what_a_worker_sends() -> None:
    memory = Memory(5)
    for block in (b"abc", b"def", b"g" * 1000):
        memory.remote_write(block)
    assert (b"".join(memory.blocks), memory.too_much) == (b"abcde", True)
    whole = Memory(5)
    whole.remote_write("abcde")
    assert (b"".join(whole.blocks), whole.too_much) == (b"abcde", False)
