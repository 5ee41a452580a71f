"""Two masters, a router, PostgreSQL and four workers, each killed in turn while 20 builds run. Minutes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from master.signing import journal
from master.store import Store
from tests.integration import postgres_server
from tests.integration.cluster import Cluster, memory_mb, waited
from tests.integration.farm import commit, until
from workers.model import load_matrix

BINARIES = postgres_server.programs()
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(BINARIES is None, reason="PostgreSQL is not installed: apt-get install postgresql"),
]
# Where the router is installed already: a minute of CPU less.
MADE = os.environ.get("MINT_TEST_ROUTER")
WIDE = 10
PATIENCE_S = 1500.0
CELLS = [cell.builder_name for cell in load_matrix().all_cells() if cell.target.triple == "x86_64-unknown-linux-gnu"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    assert BINARIES is not None
    with postgres_server.running(BINARIES) as database:
        one = Cluster(tmp_path_factory.mktemp("cluster") / "it", database, Path(MADE) if MADE else None)
        try:
            yield one.up()
        finally:
            one.close()


@dataclass(frozen=True)
class Run:
    """A build of a request, as the database has it. held: its first program waits for the test."""

    request: int
    build: int
    master: str
    worker: str
    result: int | None
    held: bool


def runs(cluster: Cluster, requests: list[int]) -> list[Run]:
    rows = cluster.database.rows(
        "SELECT b.buildrequestid, b.id, m.name, w.name, b.results, b.complete_at IS NULL AND EXISTS (SELECT 1 "
        "FROM steps s WHERE "
        "s.buildid = b.id AND s.name = 'plan' AND s.started_at IS NOT NULL AND s.complete_at IS NULL) "
        "FROM builds b JOIN masters m ON m.id = b.masterid JOIN workers w ON w.id = b.workerid "
        f"WHERE b.buildrequestid IN ({','.join(map(str, requests))})"
    )
    return [Run(*row) for row in rows]


def test_any_one_process_of_a_cluster_may_be_killed_and_no_build_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    go = tmp_path / "go"
    a, b = cluster.seats["a"], cluster.seats["b"]
    held = commit(cluster.repository, {"hold": {"plan": str(go)}}, "held")
    until("the mirror has it", lambda: a.get("changes", revision=held)["changes"], PATIENCE_S)
    requests = [seat.force(name, revision=held) for seat in (a, b) for name in CELLS[:WIDE]]
    assert len(set(requests)) == 2 * WIDE

    def all_run(lost: set[int]) -> bool:
        """Each request has a build at work that is none of those which were lost."""
        at_work = {one.request for one in runs(cluster, requests) if one.held and one.build not in lost}
        return at_work == set(requests)

    def at(field: str, *names: str) -> set[int]:
        return {one.build for one in runs(cluster, requests) if one.held and getattr(one, field) in names}

    figures: dict[str, Any] = {"start": waited("20 builds run", lambda: all_run(set()), PATIENCE_S)}
    figures["spread"] = {name: len(at("master", f"pymint-{name}")) for name in cluster.seats}
    pushed = []

    def fell(name: str, lost: set[int], kill: Callable[[], None]) -> None:
        pushed.append(commit(cluster.repository, {}, f"pushed just before {name} was killed"))
        kill()
        took = waited(f"all run again without {name}'s", lambda: all_run(lost), PATIENCE_S)
        figures[name] = {"lost": len(lost), "s": round(took, 1)}
        print(name, figures[name], flush=True)

    def kill_database() -> None:
        cluster.database.kill()
        cluster.database.start()
        until("PostgreSQL answers again", cluster.database.answers, PATIENCE_S)

    fell("w1", at("worker", "w1"), cluster.running["w1"].kill)
    fell("postgres", set(), kill_database)
    fell("a", at("master", "pymint-a"), cluster.running["a"].kill)
    fell("b", at("master", "pymint-b"), cluster.running["b"].kill)
    fell("router", at("master", "pymint-a", "pymint-b"), cluster.running["router"].kill)
    figures["memory_mb"] = {name: round(memory_mb(one.process.pid)) for name, one in cluster.running.items()}
    figures["started"] = {name: one.started for name, one in cluster.running.items()}
    go.touch()
    figures["end"] = waited("all requests are answered", lambda: unanswered(cluster) == 0, PATIENCE_S)
    print(json.dumps(figures, indent=1), flush=True)
    check_builds(cluster, requests)
    check_changes(cluster, [held, *pushed])
    check_store(cluster)


def unanswered(cluster: Cluster) -> int:
    changes = cluster.database.rows("SELECT count(*) FROM changes")[0][0]
    sets = cluster.database.rows("SELECT count(*) FROM buildsets WHERE reason LIKE '%%push%%'")[0][0]
    open_ones = cluster.database.rows("SELECT count(*) FROM buildrequests WHERE complete = 0")[0][0]
    return int(open_ones) + abs(int(changes) - int(sets)) + (0 if changes >= 6 else 1)


def check_builds(cluster: Cluster, requests: list[int]) -> None:
    """Every request was answered by one good build; what was lost is marked so, and nothing is open."""
    by_request: dict[int, list[int | None]] = {one: [] for one in requests}
    for one in runs(cluster, requests):
        by_request[one.request].append(one.result)
    retry = 5
    assert {tuple(sorted(set(results) - {retry}, key=str)) for results in by_request.values()} == {(0,)}, by_request
    assert all(results.count(0) == 1 for results in by_request.values()), by_request
    assert cluster.database.rows("SELECT count(*) FROM builds WHERE complete_at IS NULL") == [(0,)]
    until("no buildset is open", lambda: cluster.database.rows(
        "SELECT count(*) FROM buildsets WHERE complete = 0") == [(0,)], 120)  # fmt: skip


def check_changes(cluster: Cluster, commits: list[str]) -> None:
    """The poller saw every commit once, whichever master it was on, and each was built."""
    rows = cluster.database.rows("SELECT revision, count(*) FROM changes GROUP BY revision")
    assert dict(rows) == dict.fromkeys(commits, 1)
    built = cluster.database.rows(
        "SELECT DISTINCT ss.revision FROM builds b JOIN buildrequests br ON br.id = b.buildrequestid "
        "JOIN buildsets bs ON bs.id = br.buildsetid JOIN buildset_sourcestamps l ON l.buildsetid = bs.id "
        "JOIN sourcestamps ss ON ss.id = l.sourcestampid WHERE b.results = 0 AND bs.reason LIKE '%%push%%'"
    )
    assert {row[0] for row in built} == set(commits)


def check_store(cluster: Cluster) -> None:
    """Each good build is recorded and signed, and what a killed master left is whole or not there."""
    store = Store(cluster.home.root / "store")
    good = cluster.database.rows(
        "SELECT bu.name, b.number FROM builds b JOIN builders bu ON bu.id = b.builderid WHERE b.results = 0 "
        "AND bu.name LIKE 'cpython-%%'"
    )
    records = list(store.records())
    kept = [(one.builder, one.number) for one in records]
    assert len(kept) == len(set(kept))
    assert set(good) <= set(kept)
    for one in records:
        for stored in store.files(one):
            store.checked(stored)
    signed = [store.attested(one) for one in records if (one.builder, one.number) in set(good)]
    assert all(one is not None for one in signed)
    lines = [line for one in store.attestations() for line in one.lines]
    assert len(journal.verify(cluster.home.journal, lines)) >= 2 * len(good)
    assert not list(store.root.glob(".new-*"))
