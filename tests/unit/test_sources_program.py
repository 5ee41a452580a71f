"""`python -m workers sources`: what it fetches of a plan, what it reports, and its options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unit.sources_server import sha
from workers.model import ROOT
from workers.programs.sources import needed
from workers.reports.base import Measure, read_report, write_report
from workers.reports.build import CellName, ChosenPin, Plan, PlannedNode, ProviderFacts, SourcesReport
from workers.sources.cache import cached_path
from workers.sources.pins import load_pins


def node(
    name: str, source: str, *, stored: bool, needs: tuple[str, ...] = (), stage: str = "dependencies"
) -> PlannedNode:
    return PlannedNode(
        name=name,
        stage=stage,  # type: ignore[arg-type]
        key=sha(name.encode()),
        recipe=f"{name}.sh",
        sources=[source],
        needs=list(needs),
        environment={},
        edits=None,
        inputs={},
        stored=stored,
    )


def plan(*nodes: PlannedNode, archive_stored: bool = False) -> Plan:
    pins = load_pins()
    chosen = {
        name: ChosenPin(name, pins[name][-1].version, pins[name][-1].sha256, pins[name][0].version)
        for one in nodes
        for name in one.sources
    }
    return Plan(
        schema="pymint/plan/2",
        cell=CellName("3.13", "x86_64-unknown-linux-gnu", "noopt"),
        commit="0" * 40,
        dirty=False,
        epoch=0,
        python_version="3.13.5",
        archive_name="cpython.tar.zst",
        archive_key="0" * 64,
        archive_stored=archive_stored,
        toolchain={},
        provider=ProviderFacts("3.5.7", "toolchain", None, "2.17"),
        pins=list(chosen.values()),
        nodes=list(nodes),
    )


def run(tmp_path: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    places = [f"--{name}={tmp_path / name}" for name in ("run", "state", "cache")]
    return subprocess.run(
        [sys.executable, "-m", "workers", "sources", *places, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def report(tmp_path: Path) -> SourcesReport:
    return read_report(tmp_path / "run" / "reports" / "sources.json", SourcesReport)


def test_only_what_missing_nodes_are_made_of_is_needed() -> None:
    zlib = node("zlib", "zlib", stored=True)
    xz = node("xz", "xz", stored=False)
    python = node("cpython", "cpython-3.13", stored=False, needs=("zlib", "xz"), stage="cpython")
    assert [pin.source for pin in needed(plan(zlib, xz, python))] == ["xz", "cpython-3.13"]


def test_a_build_tool_that_only_a_stored_node_needs_is_not_needed() -> None:
    tool = node("build-python", "cpython-3.11", stored=False, stage="cpython")
    python = node("cpython", "cpython-3.13", stored=True, needs=("build-python",), stage="cpython")
    assert needed(plan(tool, python)) == []


def test_nothing_is_needed_for_an_archive_that_is_stored() -> None:
    assert needed(plan(node("xz", "xz", stored=False), archive_stored=True)) == []


def test_a_plan_without_missing_nodes_fetches_nothing_and_says_so(tmp_path: Path) -> None:
    write_report(plan(node("xz", "xz", stored=True)), tmp_path / "run" / "plan.json")
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert report(tmp_path).ok
    assert report(tmp_path).sources == []
    assert "0 sources, 0 bytes, all checked" in done.stdout


def test_a_source_that_can_not_be_had_ends_with_1_and_a_report_that_says_so(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    write_report(plan(node("libffi", "libffi", stored=False)), tmp_path / "run" / "plan.json")
    done = run(tmp_path, "--offline", shelf)
    assert done.returncode == 1
    assert "libffi-3.4.4.tar.gz of libffi 3.4.4 can't be had" in done.stderr
    assert f"Put the file into {shelf}" in done.stderr
    assert not report(tmp_path).ok
    assert "libffi: 3.4.4 is used, not 3.4.8, which could not be had." in done.stdout


def test_by_hand_without_a_plan_a_failure_to_choose_is_reported_too(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    done = run(tmp_path, "--only", "libffi", "--offline", shelf)
    assert done.returncode == 1
    assert "no origin delivers any pinned release of libffi" in done.stderr
    assert not report(tmp_path).ok
    assert report(tmp_path).measure != Measure()


def test_an_unknown_source_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "zlb")
    assert done.returncode == 1
    assert done.stderr.startswith("sources: there is no source 'zlb'\n  Known: bdb, bzip2, ")


def test_a_mirror_that_is_no_url_is_wrong_usage(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "zlib", "--mirror", str(tmp_path))
    assert done.returncode == 2
    assert "for a directory there is --offline" in done.stderr


def test_a_wrong_file_on_the_shelf_stops_the_program_and_leaves_the_cache_empty(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "bzip2-1.0.8.tar.gz").write_bytes(b"not bzip2")
    done = run(tmp_path, "--only", "bzip2", "--offline", shelf)
    assert done.returncode == 1
    assert "sources: bzip2-1.0.8.tar.gz is not what sources.toml pins" in done.stderr
    assert not cached_path(tmp_path / "cache", load_pins()["bzip2"][0].sha256).exists()
