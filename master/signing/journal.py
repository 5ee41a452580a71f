"""What was ever signed: a line of JSON each, only ever appended, each naming the digest of the line before it.

A changed or cut-out line breaks the chain. Lines cut off the end do not: they are missed because the store remembers
the lines of each build (`master.store.Attestation`) and the bundle of each release (`master/signing/release.py`), and
both would have to be forged.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from workers.errors import Failure

START = "0" * 64


@dataclass(frozen=True)
class Line:
    """Where something stands in the journal: its number, from 1, and the sha256 of the line's bytes."""

    number: int
    sha256: str


def _fault(path: Path, what: str, **said: Any) -> Failure:
    return Failure(
        "signing", f"{path.name}: {what}", **said,
        todo=f"Nothing is signed until this is settled. Compare {path} with its last backup: who can write there?\n"
        "If the machine lost power while it wrote, the last line alone is cut: delete that line.",
    )  # fmt: skip


def _lines(path: Path, content: bytes) -> Iterator[tuple[Line, Mapping[str, Any]]]:
    """The lines, checked. Raises Failure for the first that does not fit."""
    before = START
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            raise _fault(path, f"line {number}, the last, is cut")
        try:
            entry = json.loads(line)
            said = entry["number"], entry["previous"]
        except (ValueError, KeyError, TypeError) as error:
            raise _fault(path, f"line {number} can't be read", found=type(error).__name__) from error
        if said != (number, before):
            raise _fault(
                path, f"line {number} does not follow the one before it",
                wanted=f"number {number} after {before}", found=f"number {said[0]} after {said[1]}",
            )  # fmt: skip
        before = hashlib.sha256(line).hexdigest()
        yield Line(number, before), entry


def verify(path: Path, remembered: Iterable[Line] = (), bundles: Iterable[str] = ()) -> list[Mapping[str, Any]]:
    """All entries, whose chain holds and which have every line that somebody remembers. Raises Failure.

    bundles: sha256 of bundles that were signed, each of which has to have a line.
    """
    content = path.read_bytes() if path.exists() else b""
    found = list(_lines(path, content))
    digests = {line.number: line.sha256 for line, _ in found}
    for line in remembered:
        if digests.get(line.number) != line.sha256:
            raise _fault(
                path, f"line {line.number} is missing or another, though a stored bundle remembers it",
                wanted=f"sha256 {line.sha256}", found=digests.get(line.number, f"only {len(found)} lines"),
            )  # fmt: skip
    told = {entry.get("bundle") for _, entry in found}
    for sha256 in bundles:
        if sha256 not in told:
            raise _fault(
                path, "the line of a release is missing, though its bundle is stored",
                wanted=f"a line with the bundle {sha256}", found=f"{len(found)} lines without it",
            )  # fmt: skip
    return [entry for _, entry in found]


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream


def append(path: Path, entry: Mapping[str, Any]) -> Line:
    """Adds an entry, on the disk when this returns. Raises Failure when what is there does not hold."""
    with _locked(path) as stream:
        last, number = START, 0
        for line, _ in _lines(path, stream.read()):
            last, number = line.sha256, line.number
        text = json.dumps({**entry, "number": number + 1, "previous": last}, sort_keys=True, separators=(",", ":"))
        data = text.encode() + b"\n"
        end = os.fstat(stream.fileno()).st_size
        try:
            written, why = os.write(stream.fileno(), data), "a part of them: is the disk full?"
        except OSError as error:
            written, why = 0, str(error)
        if written != len(data):
            os.ftruncate(stream.fileno(), end)  # a cut line would keep everything after it from being signed
            raise Failure(
                "signing", f"{path.name} can't be written", wanted=f"{len(data)} bytes more in {path}", found=why,
                todo="Nothing was signed. Make room there, then have it signed again: docs/provenance.md.",
            )  # fmt: skip
        os.fsync(stream.fileno())
        return Line(number + 1, hashlib.sha256(data).hexdigest())
