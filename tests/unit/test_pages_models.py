"""What the pages of archives, trends, workers and readiness make of what was read; hostile texts stay texts."""

from __future__ import annotations

import dataclasses
import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import zstandard
from buildbot.db.model import Model

from master.fleet.notices import DOCTOR
from master.pages import archive, charts, contents, database, listed, readiness, trends, workers
from master.pages.connections import Change
from master.pages.database import Commit
from master.pages.page import Frame, Page, render
from master.release.model import CellAnswer, Readiness
from master.store import ArchiveRecord, DerivedRecord, Stored
from tests.unit.html_checks import faults
from workers.errors import Failure
from workers.model import load_matrix
from workers.reports.base import Measure
from workers.reports.build import BuiltNode, CellName, ChosenPin, NodesReport, ProviderFacts
from workers.reports.checks import Check, ProveReport, RuleResult, ValidateReport
from workers.reports.suite import Failed, RanFile, SuiteReport

SHA, DIGEST = "a" * 40, "b" * 64
HOSTILE = "<script>alert(1)</script>\"onx='"
CELL = load_matrix().cell("3.13", "x86_64-unknown-linux-gnu", "pgo+lto")
TOOK = Measure(4.0, 3.0, 1)


def shown(page: Page, model: Any, query: dict[str, str] | None = None) -> str:
    """The page in both frames, without a fault in either; the one that stands alone."""
    for inside in (True, False):
        html = render(page, model, query or {}, Frame(inside), listed.PAGES, 1000.0)
        assert faults(html, whole=not inside) == []
        assert "<script" not in html
    return html


def record() -> ArchiveRecord:
    return ArchiveRecord(
        schema="pymint/record/2", cell=CellName("3.13", CELL.target.triple, "pgo+lto"), builder=CELL.builder_name,
        number=7, buildid=70, worker=HOSTILE, commit=SHA, branch="main", recorded_at=900, python_version="3.13.5",
        archive=Stored("c-x.tar.zst", DIGEST, 5_000_000), tar_sha256=DIGEST, tar_size=50_000_000,
        provider=ProviderFacts("3.1.2", "policy", "4985", "2.31"),
        pins=[ChosenPin("zlib", "1.2", DIGEST, "1.3"), ChosenPin("xz", "5", DIGEST, "5")],
        reports=[Stored("validate.html", DIGEST, 10), Stored("c-x.cdx.json", DIGEST, 10)],
        derived=[DerivedRecord("install_only", Stored("c-x-install_only.tar.gz", DIGEST, 4_000_000), DIGEST, 9)],
    )  # fmt: skip


def of_archive(**changes: Any) -> archive.Snapshot:
    made = record()
    bundles = [
        Stored("c-x.tar.zst.sigstore.json", DIGEST, 5),
        Stored("c-x-install_only.tar.gz.sigstore.json", DIGEST, 5),
    ]
    nodes = [BuiltNode("zlib", "k", DIGEST, 1, "store", Measure(0.1, 0.1), None),
             BuiltNode(HOSTILE, "k", DIGEST, 1, "built", Measure(40, 70), None)]  # fmt: skip
    rules = [RuleResult("elf.x", HOSTILE, 1, [])]
    known = archive.Snapshot(
        record=made, files=[*made.files(), *bundles], attestation=None, builderid=3,
        contents=contents.summed(iter([("python/PYTHON.json", 5), ("python/install/bin/python3.13", 100)])),
        listed="full",
        validate=ValidateReport("pymint/validate/1", True, "a", DIGEST, "x", rules, "2.17", "2.31", TOOK),
        prove=ProveReport("pymint/prove/1", True, "a", DIGEST, "p", "3.1.2", DIGEST, "policy", "4985",
                          [Check("c", "on", "negative", True, "w", "f")], 0.01, 0.03, TOOK),
        suite=SuiteReport(
            "pymint/test/1", True, "a", DIGEST, DIGEST, "a", "run", made.cell, "3.13.5", "quick", HOSTILE, "all",
            [RanFile(HOSTILE, "off", True, 3, 1, 2.0, 1.0)],
            [Failed("f", HOSTILE, "on", "failed", "said", HOSTILE)], [], TOOK),
        nodes={"dependencies": NodesReport("pymint/nodes/1", True, "dependencies", nodes, TOOK)},
        timed={"package": TOOK}, problems=[HOSTILE],
    )  # fmt: skip
    return dataclasses.replace(known, **changes)


def test_an_archive_s_page_says_what_it_is_and_links_what_lies_beside_each_flavour() -> None:
    view = archive.model(of_archive(), {})
    full, small = view.flavours
    assert (full.flavour, full.bundle, list(full.bills)) == ("full", "c-x.tar.zst.sigstore.json", ["c-x.cdx.json"])
    assert (small.flavour, small.bundle) == ("install_only", "c-x-install_only.tar.gz.sigstore.json")
    assert [one.name for one in view.others] == ["validate.html"]
    assert (view.floor, view.provider_floor, view.certificate) == ("glibc 2.17", "glibc 2.31", "4985")
    assert view.older_pins == [("zlib", "1.2", "1.3")]
    assert view.cpu_s == pytest.approx(73.1)
    html = shown(archive.PAGE, view)
    for text in ("CMVP certificate 4985", "1 rule held", "1 check held", "glibc 2.31", "5.0 MB", "1 min 10 s"):
        assert text in html.replace("70 s", "1 min 10 s")


def test_an_archive_of_which_reports_are_gone_still_has_a_page() -> None:
    gone = of_archive(contents=None, validate=None, prove=None, suite=None, nodes={}, timed={}, builderid=None)
    view = archive.model(gone, {})
    assert view.timings is None
    assert "not kept" in shown(archive.PAGE, view)


def packed(path: Path, files: dict[str, bytes]) -> Path:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    pack = gzip.compress if path.name.endswith(".gz") else zstandard.ZstdCompressor().compress
    path.write_bytes(pack(out.getvalue()))
    return path


@pytest.mark.parametrize("name", ["a.tar.zst", "a.tar.gz"])
def test_contents_are_counted_by_place_and_by_kind(tmp_path: Path, name: str) -> None:
    files = {
        "python/install/bin/python3.13": b"1" * 500, "python/install/lib/python3.13/os.py": b"1" * 30,
        "python/install/lib/libpython3.13.so.1.0": b"1" * 70, "python/PYTHON.json": b"{}",
    }  # fmt: skip
    found = contents.read(packed(tmp_path / name, files), name)
    assert (found.files, found.size) == (4, 602)
    assert [(one.name, one.size) for one in found.places] == [
        ("python/install/bin/", 500), ("python/install/lib/", 100), ("python/PYTHON.json", 2),
    ]  # fmt: skip
    assert {one.name: one.size for one in found.kinds} == {
        "programs": 500, "Python source": 30, "shared libraries": 70, "metadata": 2,
    }  # fmt: skip


def test_a_damaged_archive_is_told_and_not_listed(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar.zst", {"x": b"1" * 5000})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Failure, match="can't be listed"):
        contents.read(path, path.name)


def point(number: int, **changes: Any) -> trends.Point:
    one = trends.Point(f"{number:040x}", CELL.builder_name, number, 100.0 + number, "3.13.5",
                       {"full": 1000 * number}, 60.0, True, 0.01, 0.03)  # fmt: skip
    return dataclasses.replace(one, **changes)


def test_trends_are_charts_with_their_figures_and_builds_that_built_nothing_are_another_line() -> None:
    points = [point(1), point(2, whole=False, cpu_s=2.0), point(3, start_off_s=None, start_on_s=None)]
    view = trends.model(trends.Snapshot(CELL.builder_name, [CELL.builder_name], points, 3), {})
    assert [one.title for one in view.charts] == ["Size", "Build time", "Start-up"]
    size, cost, start = view.charts
    assert list(size.columns) == ["full"], "a flavour that was never made is no line"
    assert [list(values) for _, values in cost.rows] == [["60 s", ""], ["", "2.0 s"], ["60 s", ""]], "newest first"
    assert list(start.rows[0][1]) == ["", ""]
    html = shown(trends.PAGE, view)
    assert html.count('role="img"') == 3
    assert "3 commits, oldest first. Newest: full: 3.0 kB." in html
    empty = trends.model(trends.Snapshot(CELL.builder_name, [], [], None), {})
    assert "No archive of this cell is stored" in shown(trends.PAGE, empty)


def test_of_each_commit_the_newest_record_is_drawn() -> None:
    paths = [(float(at), Path(f"index/{commit}/b/{at}.json")) for at, commit in enumerate("aabbc")]
    assert [path.name for path in trends.newest_of(paths, 2)] == ["4.json", "3.json"]
    assert [path.name for path in trends.newest_of(paths, 9)] == ["4.json", "3.json", "1.json"]


def test_an_axis_ends_at_a_round_number_and_names_are_escaped() -> None:
    assert [charts._rounded_up(value) for value in (0.03, 1, 99, 101, 7)] == [0.04, 1, 100, 200, 8]
    drawn = charts.lines(HOSTILE, [HOSTILE], [charts.Series(HOSTILE, [1.0])], lambda value: HOSTILE)
    assert "<script" not in drawn + charts.legend([charts.Series(HOSTILE, [1.0])])
    assert "<script" not in charts.bars(HOSTILE, [HOSTILE], [charts.Bar(HOSTILE, [0.0])], lambda value: HOSTILE)


SAID = {"checked_at": "2026-11-30T10:00:00Z", "disk_free_gb": 40.4, "disk_total_gb": 99, "clock_offset_s": -2.5,
          "tools": {"clang": "22.1.0"}, "python": "3.11.2", "host": "h", "problems": [HOSTILE]}  # fmt: skip


def worker(**changes: Any) -> workers.Worker:
    builds = [
        workers.Build(CELL.builder_name, 3, number, result, 100.0, None if result is None else 160.0, HOSTILE)
        for number, result in ((9, None), (8, 0), (7, 2), (6, 5))
    ]
    one = workers.Worker(5, "local", True, True, False, "", False, {"host": HOSTILE}, builds, [CELL.target.triple])
    return dataclasses.replace(one, **changes)


@pytest.mark.parametrize(
    ("changes", "word", "state"),
    [
        ({}, "builds", "running"),
        ({"builds": []}, "idle", "ok"),
        ({"paused": True}, "paused", "waiting"),
        ({"draining": True}, "draining: ends once its builds have", "waiting"),
        ({"connected": False, "paused": True}, "not connected", "failed"),
    ],
)
def test_a_worker_s_state_is_told_in_words(changes: dict[str, Any], word: str, state: str) -> None:
    view = workers.view_of(worker(**changes), 200.0)
    assert (view.word, view.state) == (word, state)


def test_a_worker_s_past_and_what_it_says_of_itself() -> None:
    heard = (Change(True, 50.0), Change(False, 60.0), Change(True, 70.0))
    view = workers.view_of(worker(info={DOCTOR: SAID}, changes=heard), 200.0)
    assert (view.since, view.lost, view.failed, len(view.past), view.running[0].took_s) == (70.0, 1, 1, 3, 100.0)
    assert dict(view.facts)["Disk"] == "40 GB free of 99 GB"
    assert dict(view.facts)["Clock"] == "−2.5 s"
    assert view.warnings == [HOSTILE]
    assert workers.view_of(worker(connected=False, changes=heard), 200.0).since is None, "it was lost unheard"
    html = shown(workers.PAGE, workers.model(workers.Snapshot([worker(info={DOCTOR: SAID})], 200.0), {}))
    assert "clang 22.1.0" in html
    assert "not said" in shown(workers.PAGE, workers.model(workers.Snapshot([worker()], 200.0), {}))


@pytest.mark.parametrize("said", ["no JSON", '{"disk_free_gb": "much"}', {"tools": 3}, 7, "[]"])
def test_nonsense_of_a_worker_is_as_if_it_had_said_nothing(said: Any) -> None:
    assert workers.health_of({DOCTOR: said}) is None


def test_those_who_need_a_person_come_first() -> None:
    some = [worker(name="a"), worker(name="z", connected=False), worker(name="m", paused=True),
            worker(name="gone", connected=False, configured=False)]  # fmt: skip
    assert [one.worker.name for one in workers.model(workers.Snapshot(some, 200.0), {})] == ["z", "m", "a"]


def test_readiness_speaks_in_the_gate_s_words() -> None:
    cells = [CellAnswer(CELL.builder_name, "ready", 7), CellAnswer(HOSTILE, "failed", 8, "it ended as failure")]
    answer = Readiness(commit=SHA, set_name="release", cells=cells, reasons=[], notes=[HOSTILE])
    commit = Commit(SHA, "main", 900.0, HOSTILE, HOSTILE)
    said = readiness.Snapshot([commit], [(commit, answer), (dataclasses.replace(commit, revision="c" * 40), HOSTILE)],
                              {CELL.builder_name: 3, "release": 4})  # fmt: skip
    view = readiness.model(said, {"sha": SHA})
    assert list(view.commits[0].against) == [
        "1 of 2 cells are ready (set release).", f"Failed: {HOSTILE} #8 (it ended as failure).",
    ]  # fmt: skip
    assert not view.commits[0].ready
    assert "it ended as failure" in shown(readiness.PAGE, view)
    ready = dataclasses.replace(answer, cells=cells[:1])
    html = shown(readiness.PAGE, readiness.model(dataclasses.replace(said, answers=[(commit, ready)]), {}))
    assert "../#/builders/4/force/release" in html
    assert f"--sha {SHA}" in html


def test_commits_of_the_branch_are_found_behind_any_number_of_pull_requests() -> None:
    engine = sa.create_engine("sqlite://")
    Model.metadata.create_all(engine)
    with engine.connect() as connection:
        for number in range(200):
            branch = "main" if number < 2 else f"refs/pull/{number}/head"
            connection.execute(
                Model.sourcestamps.insert().values(
                    ss_hash=str(number), branch=branch, revision=f"{number:040x}", repository="r", project="",
                    codebase="", created_at=number,
                )
            )  # fmt: skip
        found = database.commits(connection, Model, "r", 10, "main")
        assert [one.seen_at for one in found] == [1, 0]
        assert len(database.commits(connection, Model, "r", 10)) == 10
