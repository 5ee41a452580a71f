"""Plans in the store: each is what it was when it was made, and one of a tag is the published one."""

from __future__ import annotations

from pathlib import Path

import pytest

from master.release import kept
from master.release.model import PLAN_NAME, Plan, identity
from master.store import Store
from tests.unit.publish_samples import TAG, changed, plan_of
from workers.errors import Failure


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def plan(root: Path) -> Plan:
    return plan_of(Store(root), large=3000)


def written_over(path: Path) -> None:
    """With another plan that can be read as well."""
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"o/r", b"o/x"))


def test_a_plan_is_read_as_it_was_kept(root: Path, plan: Plan) -> None:
    assert kept.keep(root, plan) == kept.keep(root, plan)
    assert kept.read(root, TAG, identity(plan)) == plan
    assert kept.of_tag(root, TAG) == [plan]


def test_nobody_writes_over_a_plan_or_a_mark_by_mistake(root: Path, plan: Plan) -> None:
    for path in (kept.keep(root, plan), kept.mark_published(root, plan)):
        assert path.stat().st_mode & 0o777 == 0o444


def test_a_plan_that_was_written_over_is_none(root: Path, plan: Plan) -> None:
    other = changed(plan, "another")
    written_over(kept.keep(root, plan))
    kept.keep(root, other)
    with pytest.raises(Failure, match="is damaged in the store"):
        kept.keep(root, plan)
    with pytest.raises(Failure, match="is not what it was when it was made"):
        kept.read(root, TAG, identity(plan))
    assert kept.of_tag(root, TAG) == [other]


def test_a_plan_under_anothers_identity_is_none(root: Path, plan: Plan) -> None:
    other = changed(plan, "another")
    place = kept.keep(root, other).parent.parent / identity(plan)
    place.mkdir()
    (place / PLAN_NAME).write_bytes(kept.keep(root, other).read_bytes())
    with pytest.raises(Failure, match="is not what it was when it was made"):
        kept.read(root, TAG, identity(plan))


def test_what_was_published_is_one_plan_of_each_tag_and_no_rehearsal(root: Path, plan: Plan) -> None:
    for one in (plan, changed(plan, "another")):
        kept.keep(root, one)
    kept.mark_published(root, plan)
    kept.mark_published(root, plan)
    with pytest.raises(Failure, match=f"the tag {TAG} is another release's"):
        kept.mark_published(root, changed(plan, "another"))
    with pytest.raises(Failure, match="was rehearsed, not published"):
        kept.mark_published(root, plan_of(Store(root), rehearsal=True))
    assert kept.published(root) == [plan]
    written_over(kept.keep(root, plan))
    with pytest.raises(Failure, match="is not what it was when it was made"):
        kept.published(root)


def test_the_release_before_is_of_an_earlier_tag(root: Path) -> None:
    for tag in ("20261125", "2026112501", "20261201"):
        plan = plan_of(Store(root), tag, large=3000)
        kept.keep(root, plan)
        kept.mark_published(root, plan)
    found = [kept.before(root, tag) for tag in ("20261125", "2026112501", "2026112502", "20261202")]
    assert [one.tag if one is not None else None for one in found] == [None, "20261125", "2026112501", "20261201"]


def test_only_rehearsals_of_long_ago_are_let_go(root: Path, plan: Plan) -> None:
    rehearsal = plan_of(Store(root), rehearsal=True, large=3000)
    at = max(kept.keep(root, one).stat().st_mtime for one in (plan, rehearsal))
    held = {identity(one) for one in kept.held(root, at)}
    assert held == {identity(plan), identity(rehearsal)}
    for later in (0, 1):
        assert [identity(one) for one in kept.held(root, at + kept.REHEARSAL_S + later)] == [identity(plan)]
