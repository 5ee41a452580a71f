"""The journal of what was signed: every change of it but an addition is noticed."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from master.signing import journal
from master.signing.journal import Line
from workers.errors import Failure
from workers.model import ROOT


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "signing" / "journal.jsonl"
    for number in range(5):
        journal.append(path, {"buildid": number})
    return path


def test_what_was_appended_is_there_in_its_order(kept: Path) -> None:
    assert [entry["buildid"] for entry in journal.verify(kept)] == [0, 1, 2, 3, 4]
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("forge", "text"),
    [
        (lambda lines: [lines[0], lines[1].replace(b'id":1', b'id":9'), *lines[2:]], "line 3 does not follow"),
        (lambda lines: [*lines[:2], *lines[3:]], "line 3 does not follow"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1 does not follow"),
        (lambda lines: [*lines[:4], lines[4][:-10]], "line 5, the last, is cut"),
        (lambda lines: [*lines[:2], b"not json\n", *lines[2:]], "line 3 can't be read"),
        (lambda lines: [*lines, b"[]\n"], "line 6 can't be read"),
        (lambda lines: [*lines[:4], lines[4].replace(b'"number":5', b'"number":6')], "line 5 does not follow"),
    ],
)
def test_a_forged_journal_is_told_and_not_added_to(
    kept: Path, forge: Callable[[list[bytes]], list[bytes]], text: str
) -> None:
    kept.write_bytes(b"".join(forge(kept.read_bytes().splitlines(keepends=True))))
    before = kept.read_bytes()
    for act in (lambda: journal.verify(kept), lambda: journal.append(kept, {})):
        with pytest.raises(Failure, match=text):
            act()
    assert kept.read_bytes() == before


def test_a_lost_end_is_noticed_by_who_remembers_it(kept: Path) -> None:
    last = journal.append(kept, {"buildid": 5})
    assert len(journal.verify(kept, [last])) == 6
    kept.write_bytes(b"".join(kept.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(Failure, match="line 6 is missing or another"):
        journal.verify(kept, [last])
    with pytest.raises(Failure, match="line 2 is missing or another"):
        journal.verify(kept, [Line(2, "0" * 64)])


def test_a_lost_line_of_a_release_is_noticed_by_who_has_its_bundle(kept: Path) -> None:
    journal.append(kept, {"bundle": "b" * 64})
    assert len(journal.verify(kept, [], ["b" * 64])) == 6
    kept.write_bytes(b"".join(kept.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(Failure, match="the line of a release is missing, though its bundle is stored"):
        journal.verify(kept, [], ["b" * 64])


def test_a_line_is_on_the_disk_before_anybody_hears_of_it(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_size))
    journal.append(kept, {"buildid": 5})
    assert flushed == [kept.stat().st_size]


def test_an_entry_does_not_say_itself_where_it_stands(kept: Path) -> None:
    assert journal.append(kept, {"number": 9, "previous": "0" * 64}).number == 6
    assert journal.verify(kept)[-1]["number"] == 6


def test_nothing_was_signed_yet(tmp_path: Path) -> None:
    assert journal.verify(tmp_path / "journal.jsonl") == []


def _append(path: Path) -> None:
    for number in range(10):
        journal.append(path, {"buildid": number})


def test_two_signers_at_once_make_one_chain(kept: Path) -> None:
    processes = [multiprocessing.get_context("spawn").Process(target=_append, args=(kept,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(journal.verify(kept)) == 25


def test_nobody_else_writes_between_what_was_read_and_the_line_after_it(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    lines, write = journal._lines, os.write

    def look(when: str) -> None:
        with kept.open("rb") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                refused.append(when)

    def reading(path: Path, content: bytes) -> Iterator[tuple[Line, Mapping[str, Any]]]:
        look("read")
        return lines(path, content)

    def writing(descriptor: int, data: bytes) -> int:
        look("written")
        return write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(journal, "_lines", reading)
        patched.setattr(os, "write", writing)
        journal.append(kept, {"buildid": 5})
    assert refused == ["read", "written"]
    assert len(journal.verify(kept)) == 6


FULL = """
import resource, sys
from pathlib import Path
from master.signing import journal
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, resource.RLIM_INFINITY))
journal.append(path, {"buildid": 5})
"""


def test_a_full_disk_leaves_no_cut_line(kept: Path) -> None:
    before = kept.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL, kept], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "signing: journal.jsonl can't be written" in done.stderr
    assert kept.read_bytes() == before
    assert journal.append(kept, {"buildid": 5}).number == 6
