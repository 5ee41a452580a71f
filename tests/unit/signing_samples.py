"""A farm's evidence of one build, and keys of both profiles, made anew for a test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from master.home import Home
from master.settings import Settings
from master.signing import keeping, statement
from master.signing.bundle import Bundle
from master.signing.choice import Signing
from master.signing.pen import Pen, pen_of
from master.signing.statement import Evidence, Names, Run
from master.signing.trust import Trust
from master.store import ArchiveRecord, DerivedRecord, Stored
from workers.reports.base import Measure
from workers.reports.build import (
    BuiltNode,
    CellName,
    ChosenPin,
    FetchedSource,
    Plan,
    PlannedNode,
    ProviderFacts,
    SourcesReport,
)

CONTENT = b"an archive" * 1000
SMALLER = b"a smaller archive" * 1000
COMMIT = "c" * 40
CELL = CellName("3.13", "x86_64-unknown-linux-gnu", "pgo+lto")
NAME = "cpython-3.13.5-x86_64-unknown-linux-gnu-pgo+lto-20261123T2015.tar.zst"
SMALL = "cpython-3.13.5-x86_64-unknown-linux-gnu-pgo+lto-install_only-20261123T2015.tar.gz"
FACTS = ProviderFacts("3.5.7", "toolchain", None, "2.17")
BASE = "https://farm.example"
SOURCE = "https://github.com/example/pymint"
BUILDER = f"{BASE}/builders/linux-persistent/v1"
NAMES = Names(BASE, BUILDER, SOURCE, "https://farm.example/page")
NOW = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def evidence() -> Evidence:
    nodes = [
        PlannedNode("zlib", "dependencies", "1" * 64, "zlib.sh", ["zlib"], [], {}, None, {}, False),
        PlannedNode("cpython-3.13", "cpython", "2" * 64, "cpython.sh", ["cpython-3.13"], ["zlib"], {}, None, {}, False),
    ]
    pins = [ChosenPin("zlib", "1.3.2", "a" * 64, "1.3.2"), ChosenPin("cpython-3.13", "3.13.5", "b" * 64, "3.13.5")]
    plan = Plan(
        "pymint/plan/2", CELL, COMMIT, False, 1795614120, "3.13.5", NAME, "e" * 64, False,
        {"clang": "d" * 64, "llvm-objcopy": "f" * 64, "version": "clang version 22.1.8"}, FACTS, pins, nodes,
    )  # fmt: skip
    record = ArchiveRecord(
        schema="pymint/record/2", cell=CELL, builder="cpython-3.13-x86_64-unknown-linux-gnu-pgo-lto", number=7,
        buildid=41, worker="local", commit=COMMIT, branch="main", recorded_at=int(NOW.timestamp()),
        python_version="3.13.5", archive=Stored(NAME, sha(CONTENT), len(CONTENT)), tar_sha256="7" * 64, tar_size=9,
        provider=FACTS, pins=pins, reports=[Stored("plan.json", "9" * 64, 3)],
        derived=[DerivedRecord("install_only", Stored(SMALL, sha(SMALLER), len(SMALLER)), "8" * 64, 8)],
    )  # fmt: skip
    run = Run(
        41, 7, 3, record.builder, "local", "/srv/pymint", "main", COMMIT, int(NOW.timestamp()) - 1800,
        {"version": "3.13", "target": CELL.target, "variant": "pgo+lto", "scheduler": "push"},
    )  # fmt: skip
    built = tuple(BuiltNode(one.name, one.key, "5" * 64, 10, "built", Measure(), None) for one in nodes)
    fetched = [FetchedSource("zlib", "1.3.2", "a" * 64, 3, "the cache", 0.1)]
    origins = {"a" * 64: "https://zlib.net/zlib-1.3.2.tar.gz", "b" * 64: "https://www.python.org/Python-3.13.5.tar.xz"}
    return Evidence(
        run, record, plan, SourcesReport("pymint/sources/1", True, fetched, [], Measure()), built, origins,
        {"buildbot": "4.3.0"}, "0" * 40,
    )  # fmt: skip


@dataclass(frozen=True)
class Signed:
    """A bundle of the full archive, what signed it, and what its farm publishes for verifiers."""

    bundle: Bundle
    pen: Pen
    trust: Trust
    home: Home


def signing(profile: str, **more: object) -> Settings:
    return Settings(signing=Signing(profile=profile, base=BASE, source=SOURCE, **more))  # type: ignore[arg-type]


def signed(place: Path, profile: str, names: Names = NAMES, *, dry_run: bool = False) -> Signed:
    home, settings = Home(place, place), signing(profile)
    # The keys are there for a while before they sign.
    keeping.prepare(home, settings, datetime(2026, 11, 1, tzinfo=UTC))
    pen = pen_of(home, settings, dry_run=dry_run)
    payload = statement.payload(statement.of_build(evidence(), names))
    bundle = pen.sign(payload, names, COMMIT, NOW).bundle
    return Signed(bundle, pen, published(home), home)


def published(home: Home) -> Trust:
    """keys.json or trusted_root.jsonl, as a user has them."""
    own = keeping.own_trust(home)
    assert own is not None
    return own
