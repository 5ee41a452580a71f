"""A small store and plans to publish from it."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from pathlib import Path

from master.release.model import PLAN_NAME, Asset, Plan, Role
from master.release.uploading import Patience
from master.store import Store
from workers.reports.base import encode

TAG = "20261125"
COMMIT = "c0" * 20
_ARCHIVE = "cpython-3.13.9+{tag}-x86_64-unknown-linux-gnu-{flavour}"


def no_patience() -> Patience:
    """Tries as often as the real one, and waits for nothing."""
    return Patience(sleep=lambda seconds: None, chance=lambda: 0.0)


def content(seed: str, size: int) -> bytes:
    """Bytes that nothing compresses, and that differ for each seed."""
    return random.Random(seed).randbytes(size)


def asset(store: Store, name: str, data: bytes, media_type: str, role: Role) -> Asset:
    stored = store.put_bytes(data, name)
    return Asset(name, stored.size, stored.sha256, media_type, role)


def plan_of(store: Store, tag: str = TAG, *, rehearsal: bool = False, seed: str = "", large: int = 700_000) -> Plan:
    """Archives, a bundle, sums, indexes and notes. large: bytes of the largest archive. seed: of the archives."""
    assets = [
        asset(store, f"{_ARCHIVE.format(tag=tag, flavour=flavour)}", content(seed + flavour, size), kind, "archive")
        for flavour, size, kind in (
            ("pgo+lto-full.tar.zst", large, "application/zstd"),
            ("install_only.tar.gz", large // 2, "application/gzip"),
            ("install_only_stripped.tar.gz", large // 3, "application/gzip"),
        )
    ]
    assets += [
        asset(store, f"{one.name}.sigstore.json", f'{{"of": "{one.sha256}"}}\n'.encode(), "application/json", "bundle")
        for one in assets
    ]
    sums = "".join(f"{one.sha256}  {one.name}\n" for one in assets)
    assets += [
        asset(store, "SHA256SUMS", sums.encode(), "text/plain", "sums"),
        asset(
            store, "latest-release.json", f'{{"version": 1, "tag": "{tag}"}}\n'.encode(), "application/json", "index"
        ),
        asset(store, "versions.ndjson", f'{{"version": "3.13.9+{tag}"}}\n'.encode(), "application/x-ndjson", "index"),
        asset(store, "RELEASE.md", f"# {tag}\n\nThree archives.\n".encode(), "text/markdown", "page"),
    ]
    return Plan(
        "pymint/release-plan/1", tag, COMMIT, 1_764_000_000, "https://example.com/o/r", rehearsal, "", [],
        sorted(assets, key=lambda one: one.name),
    )  # fmt: skip


def files_of(plan: Plan) -> dict[str, str]:
    """Name to sha256 of everything that has to be published of a plan."""
    return {one.name: one.sha256 for one in plan.assets} | {PLAN_NAME: hashlib.sha256(encode(plan)).hexdigest()}


def digests_below(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def changed(plan: Plan, note: str) -> Plan:
    """The same files under another identity."""
    return dataclasses.replace(plan, notes=[note])


def damage(path: Path) -> None:
    """Flips one bit in the middle of a stored file."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
