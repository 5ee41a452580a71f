"""Whether a commit can be released: every way in which a cell can stand, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from master.release.gate import Built, Kept, Standing, Terms, judge, objections, standing_of
from tests.unit.gate_samples import OURS, VALIDATED
from workers.model import load_matrix

CELLS = load_matrix().cells_of("release")[:3]
A, B, C = (cell.builder_name for cell in CELLS)
TERMS = Terms("release", CELLS, frozenset([A, B, C]))
COMMIT = "a" * 40
GOOD = [Built(A, 1, 11, 0), Built(B, 2, 12, 0), Built(C, 3, 13, 0)]
KEPT = {(one.builder, one.number): Kept(one.buildid, VALIDATED, True) for one in GOOD}


def standing(*builds: Built, waiting: tuple[str, ...] = ()) -> Standing:
    return Standing(builds, frozenset(waiting), KEPT)


def test_a_commit_with_every_cell_built_is_ready() -> None:
    found = judge(COMMIT, TERMS, standing(*GOOD))
    assert found.ready
    assert objections(found) == []
    assert found.notes == []
    assert [(one.builder, one.number) for one in found.cells] == [(A, 1), (B, 2), (C, 3)]


def test_each_missing_failed_running_and_waiting_cell_is_named() -> None:
    cells = load_matrix().cells_of("release")[:5]
    names = [cell.builder_name for cell in cells]
    terms = replace(TERMS, cells=cells, worked=frozenset(names[:4]))
    builds = [Built(names[0], 4, 1, 2), Built(names[1], 7, 2, None)]
    found = judge(COMMIT, terms, Standing(builds, frozenset([names[2]])))
    assert [one.state for one in found.cells] == ["failed", "running", "waiting", "missing", "missing"]
    assert not found.ready
    text = " ".join(objections(found))
    assert "0 of 5 cells are ready (set release)." in text
    assert f"Failed: {names[0]} #4 (it ended as failure)." in text
    assert f"Running: {names[1]} #7." in text
    assert f"Waiting: {names[2]}." in text
    assert f"Missing: {names[3]}; {names[4]} (no worker builds it)." in text


def test_the_newest_build_that_ended_well_counts_whatever_came_after_it() -> None:
    later = [Built(A, 9, 30, 2), Built(A, 10, 31, None), Built(B, 3, 32, 0)]
    kept = {**KEPT, (B, 3): Kept(32, VALIDATED, True)}
    found = judge(COMMIT, TERMS, Standing([*later, *GOOD], frozenset([C]), kept))
    assert found.ready
    assert [one.number for one in found.cells] == [1, 3, 3]


@pytest.mark.parametrize("result", [1, 2, 3, 4, 5, 6, 99])
def test_nothing_but_success_counts(result: int) -> None:
    found = judge(COMMIT, TERMS, standing(Built(A, 1, 11, result), *GOOD[1:]))
    assert not found.ready
    assert found.cells[0].state == "failed"


def test_a_failed_build_that_is_tried_again_runs() -> None:
    builds = [Built(A, 5, 20, 2), Built(A, 6, 21, None), *GOOD[1:]]
    assert judge(COMMIT, TERMS, standing(*builds)).cells[0].state == "running"
    builds = [Built(A, 5, 20, 5), *GOOD[1:]]
    assert judge(COMMIT, TERMS, standing(*builds, waiting=(A,))).cells[0].state == "waiting"


def test_of_builds_that_failed_the_newest_is_named() -> None:
    builds = [Built(A, 5, 20, 5), Built(A, 6, 21, 2), Built(A, 4, 19, 4), *GOOD[1:]]
    (first, *_) = judge(COMMIT, TERMS, standing(*builds)).cells
    assert (first.number, first.why) == (6, "it ended as failure")


def test_a_good_build_whose_record_is_gone_is_refused() -> None:
    newer = Built(A, 8, 40, 0)
    found = judge(COMMIT, TERMS, standing(newer, *GOOD))
    assert found.cells[0].state == "refused"
    assert "not in the store any more" in found.cells[0].why


def test_a_record_of_another_build_under_that_number_is_refused() -> None:
    kept = {**KEPT, (A, 1): Kept(99, VALIDATED, True)}
    (first, *_) = judge(COMMIT, TERMS, Standing(GOOD, frozenset(), kept)).cells
    assert first.state == "refused"
    assert "the index has build 99 under that number, not 11" in first.why


def test_an_unsigned_build_is_refused() -> None:
    kept = {**KEPT, (A, 1): Kept(11, VALIDATED, False)}
    (first, *_) = judge(COMMIT, TERMS, Standing(GOOD, frozenset(), kept)).cells
    assert (first.state, "nothing was signed" in first.why) == ("refused", True)


def test_a_farm_that_signs_nothing_releases_nothing() -> None:
    found = judge(COMMIT, replace(TERMS, signing=False), standing(*GOOD))
    assert not found.ready
    assert '[signing] profile is "none"' in objections(found)[0]


def test_a_provider_that_is_not_validated_is_refused_unless_allowed_and_then_said() -> None:
    kept = {**KEPT, (A, 1): Kept(11, OURS, True)}
    refused = judge(COMMIT, TERMS, Standing(GOOD, frozenset(), kept))
    assert not refused.ready
    assert f"Refused: {A} #1 (its FIPS provider 3.5.7 (procedure toolchain) is not CMVP-validated" in str(
        objections(refused)
    )
    allowed = judge(COMMIT, replace(TERMS, allow_unvalidated=True), Standing(GOOD, frozenset(), kept))
    assert allowed.ready
    assert allowed.notes == ["The OpenSSL FIPS provider 3.5.7 (procedure toolchain) is not CMVP-validated."]


def test_a_record_that_can_not_be_read_is_refused_with_its_reason() -> None:
    kept = {**KEPT, (A, 1): Kept(problem="its record can't be used: x")}
    (first, *_) = judge(COMMIT, TERMS, Standing(GOOD, frozenset(), kept)).cells
    assert (first.state, first.why) == ("refused", "its record can't be used: x")


def test_a_reason_about_the_commit_is_against_it_even_when_every_cell_is_ready() -> None:
    found = judge(COMMIT, TERMS, standing(*GOOD), ["the commit is not on main"])
    assert not found.ready
    assert objections(found) == ["the commit is not on main."]
    assert standing_of(found) == "3 of 3 cells are ready"


def test_no_cell_is_no_release() -> None:
    assert not judge(COMMIT, replace(TERMS, cells=[]), Standing()).ready
