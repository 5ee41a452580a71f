"""Two masters, a router, PostgreSQL and a bucket: what one stores the other has, and one is killed while it stores."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from master import settings
from master.bucket.access import StorePlace
from master.release import kept
from master.store import ArchiveRecord, Store, Stored
from tests.integration import postgres_server, seaweed
from tests.integration.cluster import MASTERS, Cluster, Seat, waited
from tests.integration.farm import cell_name, commit, until
from tests.integration.seaweed import BUCKET, Fault, Seaweed, Wire
from workers.model import ROOT, load_matrix

BINARIES = postgres_server.programs()
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(BINARIES is None, reason="PostgreSQL is not installed: apt-get install postgresql"),
]
# Where the router is installed already: a minute of CPU less.
MADE = os.environ.get("MINT_TEST_ROUTER")
PREFIX = "farms/two"
PATIENCE_S = 1500.0
BUILDER = cell_name()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("seaweed") / "s3") as server:
        yield server


@pytest.fixture(scope="module")
def wire(service: Seaweed) -> Iterator[Wire]:
    one = Wire(service.endpoint)
    yield one
    one.close()


@pytest.fixture(scope="module")
def cluster(service: Seaweed, wire: Wire, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    assert BINARIES is not None
    top = tmp_path_factory.mktemp("cluster")
    more = (
        f'[store]\nbucket = "{BUCKET}"\nprefix = "{PREFIX}"\nendpoint = "{wire.url}"\n'
        f'credentials_file = "{service.credentials}"\n[release]\ncells = ["{BUILDER}"]\nallow_unvalidated = true\n'
    )
    with pytest.MonkeyPatch.context() as patch, postgres_server.running(BINARIES) as database:
        patch.setenv("MINT_CACHE", str(top / "cache"))
        one = Cluster(
            top / "it", database, Path(MADE) if MADE else None, workers=("w1", "w2"), more=more, expire_minutes=2,
            environments={name: environment(top, name) for name in MASTERS},
        )  # fmt: skip
        try:
            yield one.up()
        finally:
            one.close()


def environment(top: Path, name: str) -> dict[str, str]:
    """A cache of its own for each, as on a machine of its own."""
    return {"MINT_CACHE": str(top / f"cache-{name}")}


def build_of(seat: Seat, revision: str) -> dict[str, Any]:
    """The good build of a push."""

    def look() -> dict[str, Any] | None:
        found = [
            build
            for change in seat.get("changes", revision=revision)["changes"]
            for build in seat.get(f"changes/{change['changeid']}/builds")["builds"]
        ]
        return next((one for one in found if one["results"] == 0), None)

    return dict(until(f"{revision} is built", look, PATIENCE_S))


def master_of(cluster: Cluster, build: int) -> str:
    query = f"SELECT m.name FROM builds b JOIN masters m ON m.id = b.masterid WHERE b.id = {build}"
    return str(cluster.database.rows(query)[0][0]).removeprefix("pymint-")


def store_of(cluster: Cluster) -> StorePlace:
    return settings.store_place(settings.load(cluster.home, load_matrix()), cluster.home)


def seen_anew(cluster: Cluster, tmp_path: Path) -> Store:
    """The bucket, by somebody who has nothing of it yet."""
    store = Store(StorePlace(tmp_path / "anew", store_of(cluster).bucket), patient=True)
    store.usage()
    return store


def check_whole(store: Store, record: ArchiveRecord) -> None:
    assert store.attested(record) is not None
    for one in store.files(record):
        assert store.checked(one).stat().st_size == one.size


def release(cluster: Cluster, seat: Seat, revision: str, tag: str) -> None:
    answer = seat.call("forceschedulers/release", "force", tag=tag, revision=revision, dry_run=False)
    assert answer.status_code == 200, answer.text
    (request,) = answer.json()["result"][1].values()
    build = seat.finished(request, PATIENCE_S)
    assert build["results"] == 0, {name: one["state_string"] for name, one in seat.steps(build).items()}
    identity = seat.properties(build)["release_identity"]
    for one in cluster.seats.values():
        assert one.http.get(f"releases/{tag}/{identity}/SHA256SUMS").status_code == 200
    lines = (cluster.home.root / "releases" / tag / "SHA256SUMS").read_text().splitlines()
    assert len(lines) > 5
    for line in lines:
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((cluster.home.root / "releases" / tag / name).read_bytes()).hexdigest() == digest


def test_what_one_master_recorded_the_other_delivers_and_releases(cluster: Cluster) -> None:
    revision = commit(cluster.repository, {}, "released")
    build = build_of(cluster.seats["a"], revision)
    recorded_by = master_of(cluster, build["buildid"])
    (other,) = [seat for name, seat in cluster.seats.items() if name != recorded_by]
    said = other.properties(build)
    cache = cluster.root.parent / f"cache-{other.name}"
    assert not list(cache.rglob(said["archive_sha256"])), "the other master has nothing of it"
    got = other.http.get(f"archives/{BUILDER}/{build['number']}/{said['archive_name']}")
    assert hashlib.sha256(got.content).hexdigest() == said["archive_sha256"]
    assert list(cache.rglob(said["archive_sha256"]))
    assert not (cluster.home.root / "store").exists()
    release(cluster, other, revision, "20261130")


def test_prunes_of_both_masters_at_once_drop_nothing_of_a_release(cluster: Cluster, tmp_path: Path) -> None:
    """One release is published, one is planned and published while they work; a build in between is of neither."""
    a, b = cluster.seats["a"], cluster.seats["b"]
    between = commit(cluster.repository, {}, "in between")
    builds = {between: build_of(a, between)}
    # Only then: of two that are built side by side either may be recorded last, and that one is the newest.
    last = commit(cluster.repository, {}, "the last")
    builds[last] = build_of(a, last)
    argv = [sys.executable, "-m", "master.cli", "prune", "--keep-builds", "1"]
    prunes = [
        subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "MINT_HOME": str(cluster.home.root), "MINT_MASTER": name,
                 **environment(cluster.root.parent, name)},
        )
        for name in MASTERS
    ]  # fmt: skip
    release(cluster, b, last, "20261201")
    for prune in prunes:
        told, _ = prune.communicate()
        assert prune.returncode == 0, told
    store = seen_anew(cluster, tmp_path)
    records = {one.commit: one for one in store.records()}
    assert between not in records, "they did drop something"
    assert builds[last]["number"] == records[last].number
    plans = kept.published(store.root)
    assert [one.tag for one in plans] == ["20261130", "20261201"]
    for plan in plans:
        check_whole(store, records[plan.commit])
        for one in plan.assets:
            store.checked(Stored(one.name, one.sha256, one.size))


def test_masters_share_of_mint_home_what_the_documents_say(cluster: Cluster) -> None:
    """Neither archives nor uploads: docs/cluster.md has the list."""
    own = {"masters", "router", "worker", "state", "gitconfig"}  # of one master or machine, or made again by any
    shared = {path.name for path in cluster.home.root.iterdir()} - own
    said = (ROOT / "docs" / "cluster.md").read_text().partition("# What is not there")[2]
    assert {name for name in shared if f"`{name}`" not in said and f"`{name}/" not in said} == set()
    assert not {"incoming", "store"} & shared


def test_a_master_that_is_killed_while_it_stores_leaves_nothing_that_counts(
    cluster: Cluster, service: Seaweed, wire: Wire, tmp_path: Path
) -> None:
    fault = Fault(r"PUT .*/sha256/", "cut")
    wire.faults.append(fault)
    revision = commit(cluster.repository, {"archive_bytes": 300_000}, "stored twice")
    until("half of an archive is in the service", fault.reached.is_set, PATIENCE_S)
    name = [
        found[0] for line in wire.requests if (found := re.search(rf"(?<=^PUT /{BUCKET}/).*/[0-9a-f]{{64}}", line))
    ][-1]
    (build,) = cluster.database.rows("SELECT id, buildrequestid, number FROM builds WHERE complete_at IS NULL")
    first = master_of(cluster, build[0])
    cluster.running[first].kill_for_good()
    fault.hold.set()
    (other,) = [seat for name, seat in cluster.seats.items() if name != first]
    uploads = cluster.root.parent / f"cache-{other.name}" / "stores" / f"{store_of(cluster).root.name}.incoming"
    (uploads / "1").mkdir(parents=True)  # of a build that ended: what a killed master leaves
    with pytest.raises(ClientError, match="NoSuchKey"):
        service.client.get_object(Bucket=BUCKET, Key=name)
    assert seen_anew(cluster, tmp_path / "killed").record(revision, BUILDER, build[2]) is None
    took = waited("the other master has built it", lambda: build_of(other, revision), PATIENCE_S)
    good = build_of(other, revision)
    print(json.dumps({"killed": first, "built again after_s": round(took, 1)}), flush=True)
    assert (good["buildrequestid"], master_of(cluster, good["buildid"])) == (build[1], other.name)
    results = sorted(row[0] for row in cluster.database.rows(
        f"SELECT results FROM builds WHERE buildrequestid = {build[1]}"))  # fmt: skip
    assert results == [0, 5]
    store = seen_anew(cluster, tmp_path / "after")
    records = list(store.records())
    (again,) = [one for one in records if one.commit == revision]
    assert again.number == good["number"]
    for one in records:
        check_whole(store, one)
    held = service.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/sha256/")
    assert not held["IsTruncated"]
    for key in [one["Key"] for one in held["Contents"]]:
        content = service.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert hashlib.sha256(content).hexdigest() == key[-64:]
    assert other.http.get(f"archives/{BUILDER}/{good['number']}/{again.archive.name}").status_code == 200
    assert not list(uploads.iterdir())
