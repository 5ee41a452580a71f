"""The CVEs that a release fixes: from the farm's last look, frozen in the plan, told in notes and page, not guessed.

That a plan is made with them: tests/unit/test_release_planning.py.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from master.release import advisories, kept, telling
from master.release.model import Looked, Mended, Plan, identity
from master.updates.candidates import ADVISORIES, LOOK
from tests.unit.test_release_indexes import X86, cell_of
from workers.reports.base import encode, write_report
from workers.reports.build import ChosenPin
from workers.updates.advisories import AdvisoriesReport, Advisory, Affected, Feed, Range
from workers.updates.model import Standing, UpdatesReport

FETCHED = 1_764_000_000  # 2025-11-24 16:00 UTC
CPES = {"cpython-3.13": "cpe:2.3:a:python:python:3.13.6:*", "zlib": "cpe:2.3:a:zlib:zlib:1.3.1:*"}


def plan_of(tag: str, release: str, previous: str = "") -> Plan:
    cell, assets = cell_of("3.13", release, X86, "pgo+lto")
    pins = [
        ChosenPin("cpython-3.13", release, "3" * 64, release),
        ChosenPin("zlib", "1.3.1", "2" * 64, "1.3.1"),
    ]
    return Plan(
        "pymint/release-plan/1", tag, "c" * 40, 0, "https://github.com/example/pymint", False, previous,
        [replace(cell, pins=pins)], assets, [], f"https://dl.example/py/{tag}", "https://farm.example",
    )  # fmt: skip


BEFORE, PLAN = plan_of("20261125", "3.13.5"), plan_of("20261201", "3.13.6", "20261125")


def advisory(
    cve: str, product: str = "python/python", fixed: str = "3.13.6", severity: str = "high", url: str | None = None
) -> Advisory:  # fmt: skip
    about = Affected(f"cpe/{product}", (Range("", fixed),))
    return Advisory(cve, severity=severity, url=url or f"https://cve.example/{cve}", affected=(about,))


KNOWN = [
    advisory("CVE-2025-1"),
    advisory("CVE-2025-2", severity=""),
    advisory("CVE-2025-3", fixed="3.13.7"),  # still there
    advisory("CVE-2025-4", fixed="3.13.5"),  # was not there any more
    advisory("CVE-2025-5", "zlib/zlib", "1.3.2"),  # of what was not bumped
]


def look(updates: Path, *known: Advisory, count: int = 7) -> None:
    """What the builder `pins` leaves."""
    pins = [Standing(source, "", "", "", cpe=cpe) for source, cpe in CPES.items()]
    write_report(UpdatesReport("pymint/updates/1", True, FETCHED, pins), updates / LOOK)
    feeds = [Feed("a", FETCHED + 3600, count, "2025-11-23"), Feed("b", FETCHED - 9, 0), Feed("c", FETCHED, 1, "2025-1")]
    report = AdvisoriesReport("pymint/advisories/1", FETCHED + 7200, feeds if count else feeds[1:2], list(known))
    write_report(report, updates / ADVISORIES)


def looked(updates: Path, *plans: Plan, plan: Plan = PLAN, before: Plan | None = BEFORE) -> Looked | None:
    return advisories.looked(updates, plan, before, plans, lambda line: None)


def told(found: Looked | None, before: Plan | None = BEFORE) -> tuple[str, str]:
    """On the page and in the notes."""
    plan = replace(PLAN, advisories=found)
    return telling.page(plan, before).decode(), telling.notes(plan, before).decode()


def test_notes_and_page_tell_what_the_bumps_fix_and_who_says_so(tmp_path: Path) -> None:
    look(tmp_path, *KNOWN)
    found = looked(tmp_path)
    assert found == Looked(FETCHED, 8, "2025-11-23", [
        Mended("cpython-3.13", "CVE-2025-2", "", "https://cve.example/CVE-2025-2"),
        Mended("cpython-3.13", "CVE-2025-1", "high", "https://cve.example/CVE-2025-1"),
    ])  # fmt: skip
    page, notes = told(found)
    first, second = (f"https://cve.example/CVE-2025-{number}" for number in (2, 1))
    assert f"- cpython-3.13: 3.13.5 → 3.13.6; fixes [CVE-2025-2]({first}), [CVE-2025-1]({second}) (high)\n" in notes
    assert f'fixes <a href="{first}">CVE-2025-2</a>, <a href="{second}">CVE-2025-1</a> <span' in page
    for text in (page, notes):
        assert "that 8 advisories tell of, fetched 2025-11-24 16:00 UTC, before this release was planned" in text
        assert "not known here" not in text
        for other in ("CVE-2025-3", "CVE-2025-4", "CVE-2025-5"):
            assert other not in text


def test_where_nothing_was_ever_read_that_is_said(tmp_path: Path) -> None:
    assert looked(tmp_path) is None
    look(tmp_path, count=0)
    assert looked(tmp_path) is None
    for text in told(None):
        assert "is not known here: no advisories had been read when this release was planned" in text
        assert "fixes none" not in text


@pytest.mark.parametrize("name", [ADVISORIES, LOOK])
def test_a_report_that_cannot_be_read_keeps_no_release_back(tmp_path: Path, name: str) -> None:
    look(tmp_path, *KNOWN)
    (tmp_path / name).write_text("{}")
    assert looked(tmp_path) is None


def test_that_nothing_known_is_fixed_is_said_with_whose_word_that_is(tmp_path: Path) -> None:
    look(tmp_path, *KNOWN[2:])
    for text in told(looked(tmp_path)):
        assert "Of the CVEs that 8 advisories tell of" in text
        assert "it fixes none; there may be others" in text


def test_a_first_release_fixes_nothing_of_one_before(tmp_path: Path) -> None:
    look(tmp_path, *KNOWN)
    found = looked(tmp_path, before=None)
    assert found is not None
    assert found.mended == []
    for text in told(found, before=None):
        assert "told of the releases after this one" in text
        assert "fixes none" not in text


def test_a_release_that_is_taken_up_after_another_look_says_what_it_said(tmp_path: Path) -> None:
    look(tmp_path, *KNOWN)
    first = replace(PLAN, advisories=looked(tmp_path))
    look(tmp_path, *KNOWN, advisory("CVE-2025-9"))
    newer = looked(tmp_path)
    assert newer != first.advisories
    assert looked(tmp_path, first) == first.advisories
    assert looked(tmp_path, replace(first, advisories=None)) is None, "planned without any look it stays without"
    for other in ({"commit": "d" * 40}, {"previous": "20261124"}, {"rehearsal": True}):
        assert looked(tmp_path, replace(first, **other)) == newer, other
    rehearsal = replace(PLAN, rehearsal=True)
    for one in (first, replace(first, rehearsal=True)):
        assert looked(tmp_path, one, plan=rehearsal) == newer, "a rehearsal looks again"


def test_a_plan_that_is_damaged_is_not_asked(tmp_path: Path) -> None:
    path = kept.keep(tmp_path, PLAN)
    assert kept.of_tag(tmp_path, PLAN.tag) == [PLAN]
    assert kept.of_tag(tmp_path, "20261202") == []
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    assert kept.of_tag(tmp_path, PLAN.tag) == []


def test_plans_of_an_older_pymint_are_what_they_were(tmp_path: Path) -> None:
    """They have no field for it, and their identity is that of their bytes."""
    older = json.loads(encode(PLAN))
    del older["advisories"]
    data = json.dumps(older).encode()
    name = hashlib.sha256(data).hexdigest()
    assert name != identity(PLAN)
    place = tmp_path / "releases" / PLAN.tag / name
    place.mkdir(parents=True)
    (place / "release-plan.json").write_bytes(data)
    assert kept.read(tmp_path, PLAN.tag, name) == PLAN


def test_what_feeds_say_gets_into_no_page_but_as_what_it_is(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    look(
        tmp_path, advisory("CVE-2025-6", url="javascript:alert(1)", severity=evil), advisory(f"CVE-2025-7{evil}"),
        advisory("CVE-2025-8", url="https://cve.example/) [x](https://evil.example/"), advisory(f"x]({evil})"),
    )  # fmt: skip
    found = looked(tmp_path)
    assert found is not None
    assert [(one.id, one.severity, one.url) for one in found.mended] == [
        ("CVE-2025-8", "high", ""), ("CVE-2025-6", "", ""),
    ]  # fmt: skip
    page, notes = told(found)
    assert "; fixes CVE-2025-8 (high), CVE-2025-6\n" in notes
    for text in (page, notes):
        assert "alert(1)" not in text
        assert "evil.example" not in text


def test_of_several_versions_each_has_to_be_rid_of_it() -> None:
    names, known = {"x": frozenset({"cpe/x/x"})}, [advisory("CVE-2025-1", "x/x", "2")]

    def of(before: set[str], after: set[str]) -> list[str]:
        return [one.id for one in advisories.mended({"x": before}, {"x": after}, names, known)]

    assert of({"1", "2"}, {"2"}) == ["CVE-2025-1"]
    assert of({"1"}, {"1", "2"}) == []
    assert of({"2"}, {"3"}) == []
    assert list(advisories.mended({}, {"x": {"2"}}, names, known)) == []
    assert list(advisories.mended({"x": {"1"}}, {"x": {"2"}}, {}, known)) == []


def test_the_page_escapes_what_a_plan_says() -> None:
    """Also of a plan that was made by something else."""
    page, _ = told(Looked(0, 1, "", [Mended("cpython-3.13", "<b>", "<i>", '"><u>')]))
    assert "&lt;b&gt;" in page
    for tag in ("<b>", "<i>", "<u>"):
        assert tag not in page
