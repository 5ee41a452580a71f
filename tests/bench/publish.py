"""How fast a release of real size is published, and in how much memory: `python -m tests.bench.publish SCRATCH`.

    SCRATCH    a directory with 20 GB to spare; what is made there is deleted again

Makes 63 archives with their bundles and bills of materials, 6 GB in all, and publishes them as a rehearsal, to a
directory, and to a real S3 service on loopback, each in a process of its own. Prints a table: wall and CPU seconds and
peak memory of the publishing process, MB per second.
"""

from __future__ import annotations

import dataclasses
import hashlib
import multiprocessing
import random
import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import click

from master.bucket.access import CONNECT_S, READ_S
from master.release.model import Asset, Plan
from master.release.places.base import Place
from master.release.places.directory import Directory
from master.release.places.s3 import S3
from master.release.publishing import publish
from master.store import Store
from tests.integration import seaweed

TAG = "20261125"
CELLS = 21
# Bytes by flavour, about 6 GB in all: 3.13 pgo+lto for x86_64 Linux, with something to spare.
FLAVOURS = {
    "pgo+lto-full.tar.zst": 150_000_000,
    "install_only.tar.gz": 85_000_000,
    "install_only_stripped.tar.gz": 50_000_000,
}
BUNDLE, SBOM = 7_000, 180_000
MB = 1_000_000


@dataclass(frozen=True)
class Result:
    """wall_s, cpu_s: seconds; rss: peak memory, bytes; of the process that published."""

    wall_s: float
    cpu_s: float
    rss: int


def bytes_of(seed: str, size: int) -> Iterator[bytes]:
    """Bytes that no server can fold together: each block of a file begins with its own number."""
    block = random.Random(seed).randbytes(MB)
    for number in range(-(-size // MB)):
        yield (f"{seed} {number:08} ".encode() + block)[: min(MB, size - number * MB)]


def stored(store: Store, name: str, size: int, media_type: str, role: str) -> Asset:
    store.root.mkdir(parents=True, exist_ok=True)
    hasher, path = hashlib.sha256(), store.root / "new"
    with path.open("wb") as stream:
        for block in bytes_of(name, size):
            hasher.update(block)
            stream.write(block)
    target = store.path_of(hasher.hexdigest())
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    return Asset(name, size, hasher.hexdigest(), media_type, role)  # type: ignore[arg-type]


def make_plan(store: Store) -> Plan:
    assets = []
    for cell in range(CELLS):
        for flavour, size in FLAVOURS.items():
            name = f"cpython-3.{cell}.1+{TAG}-x86_64-unknown-linux-gnu-{flavour}"
            assets.append(stored(store, name, size + cell, "application/octet-stream", "archive"))
            assets.append(stored(store, f"{name}.sigstore.json", BUNDLE, "application/json", "bundle"))
            assets.append(stored(store, f"{name}.cdx.json", SBOM, "application/json", "sbom"))
    assets.append(stored(store, "SHA256SUMS", 20_000, "text/plain", "sums"))
    return Plan("pymint/release-plan/1", TAG, "c0" * 20, 0, "https://example.com/o/r", False, "", [], assets)


def published(plan: Plan, store: Store, place: Place, state: Path, said: Connection) -> None:
    begun, before = time.monotonic(), time.process_time()
    publish(plan, store, [place], state, lambda line: print(f"  {line}", flush=True))
    wall, cpu = time.monotonic() - begun, time.process_time() - before
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peak = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
    # ru_maxrss begins with that of the process that this one was forked from.
    said.send(Result(wall, cpu, peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def measure(name: str, plan: Plan, store: Store, place: Place, state: Path) -> None:
    here, there = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=published, args=(plan, store, place, state, there))
    process.start()
    there.close()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{place.name} failed")
    one: Result = here.recv()
    size = sum(asset.size for asset in plan.assets) / MB
    print(
        f"{name:12} {size:6.0f} MB  {one.wall_s:7.1f} s  {one.cpu_s:6.1f} s CPU  {size / one.wall_s:6.0f} MB/s  "
        f"{one.rss / MB:5.0f} MB of memory",
        flush=True,
    )


@click.command()
@click.argument("scratch", type=click.Path(path_type=Path, resolve_path=True))
def main(scratch: Path) -> None:
    """Publishes files of real size, 6 GB in all, to each place; they lie in SCRATCH, which must not exist."""
    scratch.mkdir(parents=True)
    try:
        store = Store(scratch / "store")
        plan = make_plan(store)
        total = sum(one.size for one in plan.assets)
        print(f"{len(plan.assets)} files, {total / 1e9:.2f} GB", flush=True)
        rehearsal = dataclasses.replace(plan, rehearsal=True)
        measure("rehearsal", rehearsal, store, Directory(scratch / "rehearsal", rehearsal=True), scratch / "state-r")
        measure("directory", plan, store, Directory(scratch / "releases", parallel=4), scratch / "state-d")
        shutil.rmtree(scratch / "releases")
        with ExitStack() as stack:
            server = stack.enter_context(seaweed.running(scratch / "s3"))
            whole, parts = (
                dataclasses.replace(server.access(prefix), connect_s=CONNECT_S, read_s=READ_S)
                for prefix in ("releases", "parts")
            )
            measure("s3", plan, store, S3(whole, parallel=4), scratch / "state-s")
            third = dataclasses.replace(plan, assets=plan.assets[: len(plan.assets) // 3])
            measure("s3 in parts", third, store, S3(parts, parallel=4, single=64_000_000), scratch / "state-p")
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
