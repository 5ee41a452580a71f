"""The page of pins, from what a look left on the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from master.pages.pins import PAGE, looked
from master.store import Store
from master.updates.candidates import ADVISORIES, CANDIDATES, LOOK, CandidatesReport, Made
from tests.unit.test_pages_models import DIGEST, HOSTILE, SHA, shown
from tests.unit.test_updates_advisories import NOW, report
from workers.errors import Failure
from workers.reports.base import write_report
from workers.updates.advisories import AdvisoriesReport, Feed

BUILDER = "cpython-3.13-x86_64-unknown-linux-gnu-pgo-lto"


def made(**changes: object) -> Made:
    given = {
        "source": "openssl", "version": "3.5.9", "before": "3.5.7", "state": "branched", "words": HOSTILE,
        "branch": "bump/x", "commit": SHA, "cells": [BUILDER, "other"], "vouches": ["PGP: signed"],
        "mends": ["CVE-2026-8"],
    }  # fmt: skip
    return Made(**(given | changes))  # type: ignore[arg-type]


def left(place: Path, *candidates: Made) -> Store:
    """Advisories and a report of openssl 3.5.7 with 3.5.9 to be had, and of SHA one of two builds recorded."""
    write_report(report(), place / LOOK)
    write_report(AdvisoriesReport("pymint/advisories/1", NOW, [Feed(HOSTILE, NOW, 7, "2026-10-01")], []),
                 place / ADVISORIES)  # fmt: skip
    write_report(CandidatesReport("pymint/candidates/1", NOW, SHA, list(candidates)), place / CANDIDATES)
    index = place / "store" / "index" / SHA / BUILDER
    index.mkdir(parents=True)
    for number in (7, 12):
        (index / f"{number}.json").write_text(DIGEST)
    return Store(place / "store")


def test_before_the_first_look_the_page_says_who_looks(tmp_path: Path) -> None:
    assert looked(tmp_path, Store(tmp_path / "store"), NOW) is None
    assert "Nobody has looked yet" in shown(PAGE, None)


def test_a_candidate_leads_to_its_newest_builds(tmp_path: Path) -> None:
    html = shown(PAGE, looked(tmp_path, left(tmp_path, made()), NOW))
    assert "bump/x: 1 of 2 cells built and proven" in html
    assert f'href="../archives/{BUILDER}/12/"' in html
    assert "mends CVE-2026-8" in html
    assert "174 days" in html
    assert "1 not asked" in html
    assert 'href="../pins/updates.json"' in html


def test_of_one_there_is_no_plural(tmp_path: Path) -> None:
    store = left(tmp_path, made(cells=[BUILDER]))
    write_report(AdvisoriesReport("pymint/advisories/1", NOW, [Feed("x", NOW, 1, "2026-10-01")], []),
                 tmp_path / ADVISORIES)  # fmt: skip
    write_report(replace(report(), at=NOW - 3600), tmp_path / LOOK)
    html = shown(PAGE, looked(tmp_path, store, NOW))
    for text in ("1 pin, ", "1 advisory, ", "1 hour ago", "1 of 1 cell built"):
        assert text in html


def test_a_candidate_says_what_is_newer_still_and_whose_the_branch_is_by_now(tmp_path: Path) -> None:
    theirs = made(state="kept", words="it is theirs now", missed=["3.5.10: the mirror has not got the file"])
    html = shown(PAGE, looked(tmp_path, left(tmp_path, theirs), NOW))
    assert "cells built and proven; it is theirs now; not taken: 3.5.10: the mirror has not got the file" in html


def test_what_was_refused_is_said_in_its_own_words_and_escaped(tmp_path: Path) -> None:
    html = shown(PAGE, looked(tmp_path, left(tmp_path, made(state="refused")), NOW))
    assert "&lt;script&gt;" in html
    assert "cells built" not in html


def test_a_candidate_that_is_pinned_by_now_is_none(tmp_path: Path) -> None:
    html = shown(PAGE, looked(tmp_path, left(tmp_path, made(version="3.5.7")), NOW))
    assert "bump/x" not in html


def test_reports_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / LOOK).write_text("{")
    with pytest.raises(Failure, match=LOOK):
        looked(tmp_path, Store(tmp_path / "store"), NOW)
