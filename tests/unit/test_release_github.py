"""Publishing to GitHub: every fault of the API, before and after the request was carried out."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest

from master.release.model import PLAN_NAME, Asset, identity
from master.release.places.base import MOST_ASSETS, delivery_of
from master.release.places.github_api import Api
from master.release.publishing import abandon, publish
from master.release.uploading import Patience
from master.store import Store
from tests.unit import github_farm
from tests.unit.fake_github import TOKEN, FakeGitHub, Fault
from tests.unit.github_farm import Farm
from tests.unit.publish_samples import COMMIT, TAG, changed, damage, files_of, no_patience, plan_of
from workers.errors import Failure

# pytest finds them by their names here.
farm, hub, said = github_farm.farm, github_farm.hub, github_farm.said
store, token_file = github_farm.store, github_farm.token_file
LIST, CREATE = r"/releases\?", r"/releases\Z"
ASSETS, UPLOAD, ASSET = r"/releases/\d+/assets\?per", r"/upload/", r"/releases/assets/"
RELEASE, BY_TAG, NEWEST = r"/releases/\d+\Z", r"/releases/tags/", r"/releases/latest"


def test_a_release_is_published_whole_with_its_text_and_its_tag(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    plan = plan_of(store)
    (done,) = farm.publish(plan).places
    assert hub.published(TAG) == files_of(plan)
    assert hub.tags == {TAG: COMMIT}
    (release,) = hub.releases.values()
    assert release.body.startswith(f"# {TAG}\n\nThree archives.")
    assert hub.latest == release.id
    assert (done.sent_files, done.pointers) == (len(files_of(plan)), ["releases/latest"])
    uploads = [path for method, path in hub.requests if method == "POST" and path.startswith("/upload/")]
    # Three are sent at once, and which of them begins first is the threads' own affair.
    assert any(path.endswith("pgo%2Blto-full.tar.zst") for path in uploads[:3]), "the largest among the first"
    assert uploads[-1].endswith(f"name={PLAN_NAME}")
    patches = [number for number, (method, _) in enumerate(hub.requests) if method == "PATCH"]
    assert patches[0] > max(number for number, (_, path) in enumerate(hub.requests) if path.startswith("/upload/"))


def test_the_same_plan_again_creates_nothing(farm: Farm, hub: FakeGitHub, store: Store, said: list[str]) -> None:
    plan = plan_of(store)
    farm.publish(plan)
    del hub.requests[:]
    farm.publish(plan)
    assert {method for method, _ in hub.requests} == {"GET"}
    assert "nothing to do" in said[-1]


def test_the_same_tag_with_another_plan_is_refused(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    plan = plan_of(store)
    farm.publish(plan)
    with pytest.raises(Failure, match=rf"(?s)taken by another.*{identity(plan)}"):
        farm.publish(changed(plan, "another"))
    assert hub.published(TAG) == files_of(plan)
    assert farm.place().published(TAG) == identity(plan)
    assert farm.place().published("20270101") is None


FAULTS = [
    *[("GET", path, kind, "before") for path in (LIST, ASSETS, BY_TAG, NEWEST) for kind in ("drop", 500, 502)],
    *[
        (method, path, kind, when)
        for method, path in (("POST", CREATE), ("POST", UPLOAD), ("PATCH", RELEASE))
        for kind in ("drop", 500, 502, 503)
        for when in ("before", "after")
    ],
]


# Uploads fail at the first of them and in their middle, which the other requests do not have.
MATRIX = [(*fault, skip) for fault in FAULTS for skip in ((0, 3) if fault[1] == UPLOAD else (0,))]


@pytest.mark.parametrize(("method", "path", "kind", "when", "skip"), MATRIX)
def test_every_fault_before_and_after_the_fact_ends_in_the_same_release(
    farm: Farm, hub: FakeGitHub, store: Store, method: str, path: str, kind: object, when: str, skip: int
) -> None:
    hub.faults = [Fault(method, path, kind, when, times=2, skip=skip)]  # type: ignore[arg-type]
    plan = plan_of(store, large=60_000)
    farm.publish(plan)
    assert hub.published(TAG) == files_of(plan)
    assert hub.tags == {TAG: COMMIT}
    assert hub.faults[0].times < 2, "the fault did not strike"


def test_an_upload_cut_off_in_the_middle_leaves_a_starter_that_is_replaced(
    farm: Farm, hub: FakeGitHub, store: Store, said: list[str]
) -> None:
    hub.faults = [Fault("POST", UPLOAD, "drop", times=2, after_bytes=100_000)]
    plan = plan_of(store)
    farm.publish(plan)
    assert hub.published(TAG) == files_of(plan)
    assert len([1 for method, path in hub.requests if method == "DELETE" and "/releases/assets/" in path]) == 2
    assert not [line for line in said if "other bytes" in line], "found by its state, not by the audit"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["drop", 500])
def test_a_delete_may_be_lost_too(farm: Farm, hub: FakeGitHub, store: Store, kind: object, when: str) -> None:
    hub.faults = [
        Fault("POST", UPLOAD, "drop", times=1, after_bytes=1000),
        Fault("DELETE", ASSET, kind, when),  # type: ignore[arg-type]
    ]
    plan = plan_of(store)
    farm.publish(plan)
    assert hub.published(TAG) == files_of(plan)
    assert [one.times for one in hub.faults] == [0, 0]


@pytest.mark.parametrize("status", [403, 429])
def test_retry_after_is_kept_to(farm: Farm, hub: FakeGitHub, store: Store, status: int) -> None:
    hub.faults = [Fault("POST", UPLOAD, status, headers={"Retry-After": "37"}, message="secondary rate limit")]
    plan = plan_of(store)
    farm.publish(plan)
    assert 37 in farm.slept
    assert hub.published(TAG) == files_of(plan)


def test_the_hourly_limit_is_waited_for(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}
    hub.faults = [Fault("GET", LIST, 403, headers=headers)]
    farm.publish(plan_of(store))
    assert max(farm.slept) == 3700, "and no longer than a limit of an hour can last"


def test_a_limit_without_a_time_is_waited_for_a_minute(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    hub.faults = [Fault("POST", CREATE, 403, message="You have exceeded a secondary rate limit.")]
    farm.publish(plan_of(store))
    assert max(farm.slept) == 60


def test_a_token_that_ends_in_between_is_said_and_a_fresh_one_goes_on(
    farm: Farm, hub: FakeGitHub, store: Store, token_file: Path
) -> None:
    hub.faults = [Fault("POST", UPLOAD, 401, skip=3, times=-1)]
    plan = plan_of(store, large=60_000)
    with pytest.raises(Failure, match="the token is not accepted") as refused:
        farm.publish(plan)
    assert str(token_file) in str(refused.value)
    assert TOKEN not in str(refused.value)
    hub.faults = []
    hub.token = "a.fresh-token"
    token_file.write_text(hub.token)
    (done,) = farm.publish(plan).places
    assert hub.published(TAG) == files_of(plan)
    assert done.sent_files < len(files_of(plan))


def test_no_permission_is_final(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    hub.faults = [Fault("POST", CREATE, 403, times=9, message="Resource not accessible by integration")]
    with pytest.raises(Failure, match="may write contents"):
        farm.publish(plan_of(store))
    assert len([1 for method, _ in hub.requests if method == "POST"]) == 1
    assert not hub.releases


def test_more_assets_than_a_page_holds_are_all_seen(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    plan = plan_of(store, large=6000)
    more = [
        Asset(f"report-{number}.json", stored.size, stored.sha256, "application/json", "report")
        for number in range(210)
        for stored in [store.put_bytes(f"{number}\n".encode(), "report")]
    ]
    plan = dataclasses.replace(plan, assets=[*plan.assets, *more])
    hub.faults = [Fault("POST", UPLOAD, "drop", "after", skip=150)]
    farm.publish(plan)
    assert hub.published(TAG) == files_of(plan)


def test_servers_without_digests_are_asked_for_the_bytes(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    hub.digests = False
    plan = plan_of(store)
    farm.publish(plan)
    assert hub.published(TAG) == files_of(plan)
    assert len([1 for _, path in hub.requests if path.startswith("/storage/")]) >= len(plan.assets)
    farm.publish(plan)
    with pytest.raises(Failure, match="taken by another"):
        farm.publish(changed(plan, "another"))


@pytest.mark.parametrize("digests", [True, False])
def test_other_bytes_of_the_same_size_are_found_before_anybody_sees_them(
    farm: Farm, hub: FakeGitHub, store: Store, digests: bool
) -> None:
    hub.digests = digests
    plan = plan_of(store)
    hub.faults = [Fault("PATCH", RELEASE, 404)]
    with pytest.raises(Failure):
        farm.publish(plan)
    (release,) = hub.releases.values()
    victim = next(one for one in release.assets.values() if one.name == "SHA256SUMS")
    victim.content = victim.content[::-1]
    farm.publish(plan)
    assert hub.published(TAG) == files_of(plan)


def test_a_damaged_archive_is_never_completed(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    plan = plan_of(store)
    archive = next(one for one in plan.assets if one.role == "archive")
    damage(store.path_of(archive.sha256))
    with pytest.raises(Failure, match="damaged in the store") as refused:
        farm.publish(plan)
    assert archive.name in str(refused.value)
    (release,) = hub.releases.values()
    assert release.draft
    assert archive.name not in {one.name for one in release.assets.values() if one.state == "uploaded"}


def test_immutable_releases_are_complete_when_they_freeze(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    hub.immutable = True
    hub.faults = [Fault("PATCH", RELEASE, "drop", "after")]
    plan = plan_of(store)
    farm.publish(plan)
    farm.publish(plan)
    assert hub.published(TAG) == files_of(plan)


def test_a_process_that_was_killed_after_it_published_is_followed_by_no_second_release(
    farm: Farm, hub: FakeGitHub, store: Store, said: list[str]
) -> None:
    plan = plan_of(store)
    hub.faults = [Fault("PATCH", RELEASE, "drop", "after")]
    once = Patience(attempts=1, sleep=lambda seconds: None)
    with pytest.raises(Failure, match="can't be worked with now"):
        publish(plan, store, [farm.place()], farm.state, said.append, patience=once)
    assert hub.published(TAG) == files_of(plan)
    del hub.requests[:]
    farm.publish(plan)
    assert {method for method, _ in hub.requests} == {"GET"}
    assert len(hub.releases) == 1


def test_a_latest_that_somebody_moved_away_is_mended(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    farm.publish(plan_of(store, "20261124"))
    plan, older = plan_of(store), hub.latest
    farm.publish(plan)
    assert hub.latest != older
    hub.latest = older
    (done,) = farm.publish(plan).places
    assert hub.latest is not None
    assert (hub.releases[hub.latest].tag, done.pointers) == (TAG, ["releases/latest"])


def test_a_file_that_gets_another_name_is_told(
    farm: Farm, hub: FakeGitHub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As GitHub does with names that it does not like."""
    upload = Api.upload

    def renamed(self: Api, template: str, name: str, *rest: Any) -> Any:
        return upload(self, template, name.replace("+", "."), *rest)

    monkeypatch.setattr(Api, "upload", renamed)
    with pytest.raises(Failure, match="a file got another name"):
        farm.publish(plan_of(store))
    assert all(one.draft for one in hub.releases.values())


def test_a_draft_that_was_made_twice_is_one_again(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    plan = plan_of(store)
    hub.faults = [Fault("PATCH", RELEASE, 404)]
    with pytest.raises(Failure):
        farm.publish(plan)
    (release,) = hub.releases.values()
    second = dataclasses.replace(release, id=hub.next_id(), assets={})
    hub.releases[second.id] = second
    farm.publish(plan)
    assert list(hub.releases) == [release.id]
    assert hub.published(TAG) == files_of(plan)


def test_a_draft_of_another_plan_is_named_and_can_be_thrown_away(
    farm: Farm, hub: FakeGitHub, store: Store, said: list[str]
) -> None:
    plan = plan_of(store)
    hub.faults = [Fault("PATCH", RELEASE, 404)]
    with pytest.raises(Failure):
        farm.publish(plan)
    other = changed(plan, "another")
    with pytest.raises(Failure, match=rf"(?s)is not published.*{identity(plan)}"):
        farm.publish(other)
    abandon(TAG, [farm.place()], farm.state, said.append)
    assert not hub.releases
    farm.publish(other)
    abandon(TAG, [farm.place()], farm.state, said.append)
    assert hub.published(TAG) == files_of(other)


def test_somebody_elses_draft_of_the_tag_is_left_alone(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    place = farm.place()
    place.api.post("releases", {"tag_name": TAG, "draft": True, "body": "by hand"})
    with pytest.raises(Failure, match="of somebody else"):
        farm.publish(plan_of(store))
    assert not place.discard(TAG)
    assert len(hub.releases) == 1


def test_a_tag_that_means_another_commit_stops_it(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    hub.tags[TAG] = "ab" * 20
    with pytest.raises(Failure, match="means another commit"):
        farm.publish(plan_of(store))
    assert not hub.releases


def test_a_repository_without_the_commit_gets_the_tag_on_its_own_branch(
    farm: Farm, hub: FakeGitHub, store: Store
) -> None:
    hub.commits.clear()
    farm.publish(plan_of(store))
    assert hub.tags == {TAG: "main"}


def test_an_older_release_does_not_become_the_latest(farm: Farm, hub: FakeGitHub, store: Store) -> None:
    farm.publish(plan_of(store))
    (done,) = farm.publish(plan_of(store, "20261124")).places
    assert done.pointers == []
    assert hub.latest is not None
    assert hub.releases[hub.latest].tag == TAG


@pytest.mark.parametrize(("size", "words"), [(0, "can't be uploaded"), (2**31, "can't be uploaded")])
def test_files_that_github_can_not_take_are_refused_first(
    farm: Farm, hub: FakeGitHub, store: Store, size: int, words: str
) -> None:
    plan = plan_of(store)
    odd = Asset("odd.bin", size, "00" * 32, "application/octet-stream", "archive")
    with pytest.raises(Failure, match=words):
        farm.publish(dataclasses.replace(plan, assets=[*plan.assets, odd]))
    assert not hub.releases


def test_more_files_than_a_release_may_have_are_refused(store: Store, tmp_path: Path) -> None:
    plan = plan_of(store)
    many = [dataclasses.replace(plan.assets[0], name=f"file-{number}") for number in range(MOST_ASSETS)]
    with pytest.raises(Failure, match="too many files"):
        delivery_of(dataclasses.replace(plan, assets=many), "00" * 32, tmp_path, store.path_of)


@pytest.mark.parametrize("text", ["", "two words", "line\nline"])
def test_a_file_that_holds_no_token_is_refused_without_repeating_it(
    farm: Farm, store: Store, token_file: Path, text: str
) -> None:
    token_file.write_text(text)
    with pytest.raises(Failure, match="holds no token") as refused:
        farm.publish(plan_of(store))
    assert not text or text not in str(refused.value)


def test_a_token_that_everybody_can_read_is_refused(farm: Farm, store: Store, token_file: Path) -> None:
    token_file.chmod(0o644)
    with pytest.raises(Failure, match="everybody on this machine may read"):
        farm.publish(plan_of(store))


def test_the_token_is_in_nothing_that_is_written(
    farm: Farm, hub: FakeGitHub, store: Store, said: list[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    hub.faults = [
        Fault("POST", UPLOAD, "drop", times=1, after_bytes=10),
        Fault("POST", UPLOAD, 500, "after", skip=2),
        Fault("PATCH", RELEASE, 401),
    ]
    with pytest.raises(Failure) as refused:
        farm.publish(plan_of(store))
    error: BaseException | None = refused.value
    while error is not None:
        assert TOKEN not in f"{error!s} {error!r}"
        error = error.__cause__ or error.__context__
    farm.publish(plan_of(store))
    written = [*said, caplog.text, *(path.read_text("latin-1") for path in farm.state.rglob("*") if path.is_file())]
    assert caplog.text
    assert not [text for text in written if TOKEN in text or TOKEN[:20] in text]


def test_uploads_never_leave_for_a_connection_that_others_read(farm: Farm) -> None:
    with pytest.raises(Failure, match="anybody can read"):
        farm.place().api.upload("http://uploads.example.com/x{?name}", "a", "text/plain", 1, iter([b"a"]))


def test_no_patience_is_the_same_as_the_real_one_but_for_the_clock() -> None:
    assert no_patience().attempts == Patience().attempts
