"""What is asked and told when, and which pull requests may be built."""

from __future__ import annotations

import pytest

from master.github.api import Pull
from master.github.errands import LONGEST_REST, REFUSED, Errand, Errands
from master.pulls.decide import WORDS, Known, verdict
from steps.checkout import check_request
from tests.unit.fake_github import REPOSITORY
from workers.errors import Failure

A, B = "a" * 40, "b" * 40
STATUS, COMMENT, LOOK = Errand("statuses", A), Errand("comment", "1"), Errand("look", "1")


def test_what_is_heard_goes_before_what_is_told() -> None:
    errands = Errands()
    for one in (COMMENT, STATUS, LOOK):
        errands.want(one, 0)
    assert [errands.take(1), errands.take(1), errands.take(1), errands.take(1)] == [LOOK, STATUS, COMMENT, None]


def test_what_is_wanted_twice_is_done_once_and_at_the_earlier_time() -> None:
    errands = Errands()
    errands.want(COMMENT, 50)
    errands.want(COMMENT, 10)
    errands.want(COMMENT, 90)
    assert errands.take(9) is None
    assert errands.next_due() == 10
    assert errands.take(10) == COMMENT
    assert errands.next_due() is None


def test_trouble_lets_everything_rest_longer_each_time_until_something_goes_well() -> None:
    errands = Errands(2.0)
    errands.want(LOOK, 0)
    rests = [errands.troubled(STATUS, 0, None) for _ in range(12)]
    assert rests[:3] == [2.0, 4.0, 8.0]
    assert rests[-1] == 2 * LONGEST_REST
    assert errands.take(2 * LONGEST_REST - 1) is None
    assert errands.take(2 * LONGEST_REST) == LOOK
    assert errands.take(2 * LONGEST_REST) == STATUS
    errands.went_well()
    assert errands.troubled(STATUS, 0, None) == 2.0


def test_github_says_how_long_it_wants_to_be_left_alone() -> None:
    errands = Errands()
    assert errands.troubled(STATUS, 100, 3600.0) == 3600.0
    assert (errands.take(3699), errands.take(3700)) == (None, STATUS)


def test_what_is_refused_does_not_keep_the_others_waiting() -> None:
    errands = Errands()
    errands.refused(STATUS, 0)
    errands.want(COMMENT, 0)
    assert errands.take(1) == COMMENT
    assert (errands.take(REFUSED - 1), errands.take(REFUSED)) == (None, STATUS)


def pull(head: str = A, source: str | None = "mallory/pythons", state: str = "open", base: str = "main") -> Pull:
    return Pull(1, state, head, base, source)


def decided(one: Pull, known: Known | None = None, *, same: bool = True) -> str:
    return verdict(one, known, "main", REPOSITORY, same_repository=same)


@pytest.mark.parametrize("source", ["mallory/pythons", None, f"{REPOSITORY}x", f"x{REPOSITORY}"])
def test_a_fork_waits_for_a_word_about_this_commit(source: str | None) -> None:
    assert decided(pull(source=source)) == "wait"
    assert decided(pull(source=source), Known(1, A, words=[A])) == "build"
    assert decided(pull(B, source=source), Known(1, A, built=A, words=[A])) == "wait"


def test_a_branch_of_the_repository_itself_is_built_or_waits_too() -> None:
    assert decided(pull(source=REPOSITORY.upper())) == "build"
    assert decided(pull(source=REPOSITORY), same=False) == "wait"
    assert decided(pull(source=REPOSITORY), Known(1, A, words=[A]), same=False) == "build"


def test_what_was_asked_for_is_not_asked_for_again_until_there_is_another_head() -> None:
    assert decided(pull(source=REPOSITORY), Known(1, A, built=A)) == "built"
    assert decided(pull(B, source=REPOSITORY), Known(1, A, built=A)) == "build"
    assert decided(pull(), Known(1, A, built=A, words=[])) == "built"


def test_closed_ones_and_those_for_another_branch_are_left() -> None:
    assert decided(pull(state="closed", source=REPOSITORY)) == "leave"
    assert decided(pull(base="legacy", source=REPOSITORY), Known(1, A, words=[A])) == "leave"


def test_words_are_remembered_each_once_and_not_for_ever() -> None:
    known = Known(1, A)
    for number in range(WORDS + 5):
        known = known.with_word(f"{number:040}").with_word(f"{number:040}")
    assert known.words == [f"{number:040}" for number in range(5, WORDS + 5)]


OURS = "https://github.com/example/pythons.git"


@pytest.mark.parametrize(
    ("branch", "pull", "fits"),
    [
        ("refs/pull/7/head", True, True),
        ("refs/pull/7/head", False, False),
        ("main", False, True),
        ("main", True, False),
        ("refs/pull/7/merge", True, False),
        ("refs/pull/7/merge", False, False),
        ("refs/pull/0/head", True, False),
        ("refs/pull/7/head/x", True, False),
        ("refs/heads/main", False, False),
        ("refs/heads/main", True, False),
        ("pull/7/head", True, False),
    ],
)
def test_a_builder_takes_pull_requests_or_branches_whatever_asked_for_them(branch: str, pull: bool, fits: bool) -> None:
    if fits:
        check_request(OURS, OURS, branch, A, pull=pull)
    else:
        with pytest.raises(Failure, match="another kind of builder"):
            check_request(OURS, OURS, branch, A, pull=pull)
