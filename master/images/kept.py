"""The images that were made and found good: the master's own record, which is what containers are started by.

`images.json` in MINT_HOME. A tag or what a builder prints names an image; the id that the engine answered with is it.
"""

from __future__ import annotations

import fcntl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from master.home import write_file
from workers.errors import Failure
from workers.images.data import ARCHITECTURES
from workers.reports.image import ImageReport

# A cell's build names the image that it ran in; so far back that is answered. The newest of a kind is kept whatever
# came after it: where it is made may be away for long.
KEPT = 50


@dataclass(frozen=True)
class Recorded:
    """An image as an engine had it. at: ISO 8601. build: the id of the build that made it."""

    name: str
    architecture: str
    id: str
    inputs: str
    tag: str
    engine: str
    at: str
    build: int


@dataclass(frozen=True)
class Record:
    schema: Literal["pymint/images/1"]
    images: list[Recorded] = field(default_factory=list)


def read(path: Path) -> Record:
    """Raises Failure for a record that can't be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return Record("pymint/images/1")
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Failure(
            "image", f"{path} can't be read", found=str(error), todo="Move it away, and force the builders `images-…`."
        ) from error


def keep(path: Path, report: ImageReport, at: str, build: int) -> Recorded:
    """Records a good image. The newest last; the same id of the same engine once."""
    if not report.ok or not report.smoke or not all(one.passed for one in report.smoke):
        raise Failure("image", f"{report.name} was not found good", todo="It is not recorded; see its build.")
    new = Recorded(report.name, report.architecture, report.id, report.inputs, report.tag, report.engine, at, build)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        images = [one for one in read(path).images if (one.id, one.engine) != (new.id, new.engine)] + [new]
        last = {(one.name, one.architecture): one for one in images}
        older = [one for one in images[:-KEPT] if last[one.name, one.architecture] is one]
        record = Record("pymint/images/1", [*older, *images[-KEPT:]])
        write_file(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    return new


def newest(path: Path, name: str, target: str) -> Recorded:
    """The image of that name for a target's processor. Raises Failure when none was ever made."""
    architecture = ARCHITECTURES.get(target.partition("-")[0], "")
    found = [one for one in read(path).images if (one.name, one.architecture) == (name, architecture)]
    if not found:
        raise Failure(
            "image", f"there is no image {name!r} for {architecture or target}",
            wanted=f"one that is recorded in {path}", found="none",
            todo=f"Force the builder images-{target.partition('-')[0]}: docs/images.md.",
        )  # fmt: skip
    return found[-1]
