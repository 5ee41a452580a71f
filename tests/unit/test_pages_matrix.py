"""What the matrix makes of what was read: every cell has a state, whatever was or was not asked of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from buildbot.process import results

from master.pages import listed
from master.pages.database import Commit, Request
from master.pages.matrix import PAGE, STATES, Snapshot, against, model, view_of
from master.pages.page import Frame, NoSuchPage, render
from tests.unit.html_checks import faults
from workers.model import load_matrix

MATRIX = load_matrix()
CELL = MATRIX.cell("3.13", "x86_64-unknown-linux-gnu", "pgo+lto")
NAME = CELL.builder_name
SHA = "a" * 40
HOSTILE = "<script>alert(1)</script>\"onx='"


def asked(requestid: int, **changes: Any) -> Request:
    """A request for the cell; with a number also its build, which runs."""
    one = Request(builder=NAME, builderid=3, requestid=requestid, submitted_at=10.0, complete=False)
    if "number" in changes:
        one = dataclasses.replace(one, buildid=100 + requestid, started_at=20.0)
    if "result" in changes:
        one = dataclasses.replace(one, complete=changes["result"] != results.RETRY, complete_at=80.0)
    return dataclasses.replace(one, **changes)


def said(*requests: Request, **changes: Any) -> Snapshot:
    known = Snapshot(
        matrix=MATRIX, workers={NAME: ["local"]}, connected=frozenset({"local"}), commits=[Commit(SHA, "main", 5.0)],
        revision=SHA, requests=requests, medians={NAME: 40.0}, builderids={NAME: 3}, kept={}, now=100.0,
    )  # fmt: skip
    return dataclasses.replace(known, **changes)


@pytest.mark.parametrize(
    ("snapshot", "state"),
    [
        (said(), "never"),
        (said(workers={}), "no-worker"),
        (said(asked(1)), "queued"),
        (said(asked(1), connected=frozenset({"another"})), "waiting"),
        (said(asked(1, number=7)), "running"),
        (said(asked(1, number=7, result=results.SUCCESS)), "ok"),
        (said(asked(1, number=7, result=results.WARNINGS)), "ok"),
        (said(asked(1, number=7, result=results.FAILURE)), "failed"),
        (said(asked(1, number=7, result=results.EXCEPTION)), "failed"),
        (said(asked(1, number=7, result=results.SKIPPED)), "skipped"),
        (said(asked(1, number=7, result=results.CANCELLED)), "cancelled"),
        (said(asked(1, number=7, result=results.RETRY)), "queued"),
        (said(asked(1, complete=True)), "cancelled"),
        (said(asked(1, number=7, result=99)), "failed"),
        (said(asked(1, number=7, result=results.SUCCESS), asked(2)), "queued"),
        (said(asked(2, number=8, result=results.SUCCESS), asked(1, number=7, result=results.FAILURE)), "ok"),
    ],
)
def test_every_state_is_told_apart(snapshot: Snapshot, state: str) -> None:
    assert view_of(CELL, snapshot).state == state


def test_a_build_that_ended_well_is_named_when_a_later_one_failed() -> None:
    view = view_of(CELL, said(asked(1, number=7, result=results.SUCCESS), asked(2, number=8, result=results.FAILURE)))
    assert (view.state, view.number, view.before) == ("failed", 8, 7)
    assert view_of(CELL, said(asked(1, number=7, result=results.SUCCESS))).before is None


def test_a_duration_is_held_against_the_median() -> None:
    assert view_of(CELL, said(asked(1, number=7, result=results.SUCCESS))).against == "+50 % of the median"
    assert [against(took, 40.0) for took in (40.0, 20.0, 79.0, 80.0)] == [
        ("as the median", False), ("−50 % of the median", False), ("+98 % of the median", False),
        ("2.0 times the median", True),
    ]  # fmt: skip
    assert against(5.0, None) == ("", False)
    running = view_of(CELL, said(asked(1, number=7)))
    assert (running.took_s, running.slow) == (80.0, True)
    assert view_of(CELL, said(asked(1, number=7), now=30.0)).against == "", "what runs is not yet shorter"


def test_archive_and_reports_are_linked_where_they_are_kept() -> None:
    view = view_of(
        CELL, said(asked(1, number=7, result=0), kept={(NAME, 7): frozenset({"x.tar.zst", "validate.html"})})
    )
    assert view.archive
    assert list(view.reports) == [("validate.html", "validation")]
    assert not view_of(CELL, said(asked(1, number=7, result=0))).archive


def test_every_cell_of_the_matrix_is_there_once_and_the_counts_add_up() -> None:
    view = model(said(asked(1)), {})
    shown = [one.cell for table in view.tables for row in table.rows for one in row.cells if one is not None]
    assert sorted(one.builder_name for one in shown) == sorted(MATRIX.by_builder_name)
    assert sum(number for *_, number in view.counts) == view.shown == len(shown)
    assert {state for state, *_ in view.counts} == {"queued", "no-worker"}


def test_filters_leave_what_they_name_and_refuse_what_does_not_exist() -> None:
    view = model(said(), {"target": CELL.target.triple, "version": "3.13", "variant": "pgo+lto"})
    assert [[one.cell for one in row.cells if one] for table in view.tables for row in table.rows] == [[CELL]]
    for query in ({"target": "vax"}, {"version": "2.7"}, {"variant": HOSTILE}):
        with pytest.raises(NoSuchPage, match="There are:"):
            model(said(), query)


@pytest.mark.parametrize("inside", [True, False])
def test_hostile_texts_stay_texts_and_the_page_is_whole(inside: bool) -> None:
    commit = Commit(SHA, HOSTILE, 5.0, HOSTILE, HOSTILE)
    snapshot = said(asked(1, number=7, result=2, state=HOSTILE, worker=HOSTILE), commits=[commit])
    html = render(PAGE, model(snapshot, {}), {"version": ""}, Frame(inside), listed.PAGES, 200.0)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert faults(html, whole=not inside) == []
    assert {state for state in STATES if f"mint-{state}" in html} >= {"failed", "no-worker"}


def test_links_are_relative_and_lead_into_the_frame_or_beside_it() -> None:
    assert Frame(True).page("matrix", sha=SHA, version="") == f"#/farm/matrix?sha={SHA}"
    assert Frame(False).page("matrix", variant="pgo+lto") == "matrix?variant=pgo%2Blto"
    assert Frame(False).buildbot("builders/3/builds/7") == "../#/builders/3/builds/7"
    assert Frame(True).file("archives/x/1/a b") == "archives/x/1/a%20b"
