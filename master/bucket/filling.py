"""A store that lies in a directory, brought into a bucket: a farm that grows, or one that was restored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from master.blobs import KINDS
from master.bucket.replica import NAME
from master.home import write_file
from master.store import Store
from workers.errors import Failure
from workers.progress import counted, size


def fill(store: Store, directory: Path, say: Callable[[str], None]) -> None:
    """Everything of a directory's store, what refers to something after it. May be killed and begun again.

    Raises Failure when the bucket has records that the directory has not: the farm's database belongs to one of them,
    and would give numbers of builds again that the other has.
    """
    names = {path.relative_to(directory).as_posix() for kind in KINDS for path in (directory / kind).rglob("*.json")}
    names = {name for name in names if NAME.match(name)}
    for kind in KINDS:
        store.refresh(kind)
    there = {path.relative_to(store.root).as_posix() for path in (store.root / "index").rglob("*.json")}
    if others := sorted(there - names):
        raise Failure(
            "store", f"the bucket has {len(others)} records that {directory} has not", wanted="an empty prefix, or one "
            "that this directory was brought to before", found=others[0],
            todo="Name another [store] prefix. What is in the bucket stays as it is.",
        )  # fmt: skip
    blobs, total = sorted((directory / "sha256").glob("*/*")), 0
    for number, path in enumerate(blobs, 1):
        stored = store.put(path, path.name)
        if stored.sha256 != path.name:
            raise Failure(
                "store", f"{path.name[:16]} is damaged in {directory}", wanted=f"sha256 {path.name}",
                found=f"sha256 {stored.sha256}", todo="Bring that file back from a backup, or delete it and build that "
                "commit again. Then do this again: it goes on.",
            )  # fmt: skip
        total += stored.size
        if number % 1000 == 0:
            say(f"{number} of {counted(len(blobs), 'file')}")
    for kind in ("attested", "index", "releases"):
        for name in sorted(name for name in names if name.startswith(f"{kind}/")):
            local = store.root / name
            if not local.exists():
                write_file(local, (directory / name).read_bytes(), 0o444)
            store.share(local)
    say(f"{len(blobs)} files, {size(total)}, and {len(names)} entries of the index are in the bucket")
