"""Reports: the JSON that a worker's program leaves, and that the master checks on arrival."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from workers.errors import Failure

R = TypeVar("R")


@dataclass(frozen=True)
class Measure:
    """What a piece of work cost. wall_s, cpu_s: seconds; max_rss_kib: peak memory of the largest process, KiB."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_kib: int = 0


def encode(report: object) -> bytes:
    """Sorted and indented, so that two equal reports are equal bytes and a person can read them."""
    return msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=2) + b"\n"


def write_report(report: object, path: Path) -> None:
    """Writes to a temporary name and renames, so that a reader never sees half a report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as stream:
        stream.write(encode(report))
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(path)


def decode(data: bytes, kind: type[R], origin: str) -> R:
    """A report from its bytes; `origin` says in the error where they came from. Raises Failure when it is not one.

    Strict in the types of the fields and in the schema's number, which every kind of report pins with a Literal.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:  # msgspec's own, bytes that are no UTF-8, endless nesting
        raise Failure(
            "report",
            f"{origin} is not a report of the kind {kind.__name__}",
            found=str(error),
            todo="The commit being built and the master's own checkout speak different versions of the report.\n"
            "Update the older of the two.",
        ) from error


def read_report(path: Path, kind: type[R]) -> R:
    """The report in a file. Raises Failure when it is missing or not of that kind."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failure(
            "report", f"{path.name} can't be read", found=str(error), todo="Run the stage that writes it first."
        ) from error
    return decode(data, kind, path.name)
