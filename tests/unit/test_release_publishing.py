"""Publishing to a directory: whole or not at all, once, and again without harm."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from master.bucket.trouble import Trouble
from master.home import Home
from master.release.checkpoints import Checkpoint, alone
from master.release.choice import Release
from master.release.model import Asset, identity
from master.release.places.base import Delivery, Held, newer
from master.release.places.chosen import QUICK_S, places_of
from master.release.places.directory import Directory
from master.release.places.github import GitHub
from master.release.places.s3 import S3
from master.release.publishing import abandon, publish
from master.settings import Settings
from master.store import Store
from tests.unit.publish_samples import TAG, changed, damage, digests_below, files_of, no_patience, plan_of
from workers.errors import Failure
from workers.reports.base import read_report


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def place(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "releases")


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_release_is_there_with_every_byte_and_the_pointers_lead_to_it(
    store: Store, place: Directory, tmp_path: Path, said: list[str]
) -> None:
    plan = plan_of(store)
    (done,) = publish(plan, store, [place], tmp_path / "state", said.append).places
    assert digests_below(place.root / TAG) == files_of(plan)
    assert (place.root / "latest").readlink() == Path(TAG)
    assert (place.root / "versions.ndjson").read_bytes() == (place.root / TAG / "versions.ndjson").read_bytes()
    assert not list((place.root / ".drafts").iterdir())
    assert (done.files, done.sent_files, done.was_there) == (len(plan.assets) + 1, len(plan.assets) + 1, False)
    assert done.address == str(place.root / TAG)
    reached = read_report(tmp_path / "state" / TAG / identity(plan) / "directory.json", Checkpoint)
    assert reached.state == "pointed"


def test_what_is_served_shares_nothing_with_the_store(store: Store, place: Directory, tmp_path: Path) -> None:
    publish(plan_of(store), store, [place], tmp_path / "state", print)
    assert {path.stat().st_nlink for path in (place.root / TAG).iterdir()} == {1}
    assert {path.stat().st_mode & 0o777 for path in (place.root / TAG).iterdir()} == {0o644}


def test_the_same_plan_again_is_nothing_to_do(store: Store, place: Directory, tmp_path: Path, said: list[str]) -> None:
    plan = plan_of(store)
    publish(plan, store, [place], tmp_path / "state", said.append)
    before = {path: path.stat().st_mtime_ns for path in (place.root / TAG).iterdir()}
    (again,) = publish(plan, store, [place], tmp_path / "state", said.append).places
    assert "nothing to do" in said[-1]
    assert (again.was_there, again.sent_files) == (True, 0)
    assert {path: path.stat().st_mtime_ns for path in (place.root / TAG).iterdir()} == before


def test_the_same_tag_with_another_plan_is_refused_and_named(store: Store, place: Directory, tmp_path: Path) -> None:
    plan = plan_of(store)
    other = changed(plan, "another")
    publish(plan, store, [place], tmp_path / "state", print)
    with pytest.raises(Failure) as refused:
        publish(other, store, [place], tmp_path / "state", print)
    assert identity(plan) in str(refused.value)
    assert identity(other) in str(refused.value)
    assert digests_below(place.root / TAG) == files_of(plan)


def test_a_tag_that_is_taken_anywhere_changes_nothing_elsewhere(store: Store, place: Directory, tmp_path: Path) -> None:
    plan = plan_of(store)
    second = Directory(tmp_path / "second")
    publish(changed(plan, "another"), store, [second], tmp_path / "state", print)
    with pytest.raises(Failure, match="taken by another"):
        publish(plan, store, [place, second], tmp_path / "state", print)
    assert not place.root.exists()


def test_what_no_farm_published_under_the_tag_is_left_alone(store: Store, place: Directory, tmp_path: Path) -> None:
    (place.root / TAG).mkdir(parents=True)
    with pytest.raises(Failure, match="no release of ours"):
        publish(plan_of(store), store, [place], tmp_path / "state", print)
    assert not list((place.root / TAG).iterdir())


@pytest.mark.parametrize("rehearsal", [False, True])
def test_a_byte_that_rotted_is_refused_and_named(store: Store, tmp_path: Path, rehearsal: bool) -> None:
    place = Directory(tmp_path / "releases", rehearsal=rehearsal)
    plan = plan_of(store, rehearsal=rehearsal)
    archive = next(one for one in plan.assets if one.role == "archive")
    damage(store.path_of(archive.sha256))
    with pytest.raises(Failure, match="damaged in the store") as refused:
        publish(plan, store, [place], tmp_path / "state", print, patience=no_patience())
    assert archive.name in str(refused.value)
    assert not (place.root / TAG).exists()
    assert archive.name not in {path.name for path in (place.root / ".drafts").rglob("*")}


@pytest.mark.parametrize("size", [-1, 1])
def test_a_file_that_grew_or_shrank_is_refused(store: Store, place: Directory, tmp_path: Path, size: int) -> None:
    plan = plan_of(store)
    path = store.path_of(next(one for one in plan.assets if one.role == "archive").sha256)
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size + size)
    with pytest.raises(Failure, match="damaged in the store"):
        publish(plan, store, [place], tmp_path / "state", print)


def test_the_latest_stays_with_the_newest(store: Store, place: Directory, tmp_path: Path) -> None:
    for tag in ("20261125", "2026112501", "20261124"):
        publish(plan_of(store, tag), store, [place], tmp_path / "state", print)
    assert (place.root / "latest").readlink() == Path("2026112501")
    assert '"2026112501"' in (place.root / "latest-release.json").read_text()
    assert (place.root / "20261124" / "SHA256SUMS").exists()


@pytest.mark.parametrize(
    ("tag", "other", "answer"),
    [("20261125", None, True), ("20261125", "20261124", True), ("20261125", "2026112501", False),
     ("2026112502", "2026112501", True), ("20261126", "2026112599", True), ("20261125", "20261125", False)],
)  # fmt: skip
def test_which_tag_is_newer(tag: str, other: str | None, answer: bool) -> None:
    assert newer(tag, other) is answer


class Stubborn(Directory):
    """Loses the connection before or after it has done what it was asked."""

    def __init__(self, root: Path, method: str, when: str, times: int) -> None:
        super().__init__(root)
        self.left = times
        real = getattr(self, method)

        def faulty(*arguments: object) -> object:
            if self.left and when == "before":
                self.left -= 1
                raise Trouble("lost")
            answer = real(*arguments)
            if self.left:
                self.left -= 1
                raise Trouble("lost")
            return answer

        setattr(self, method, faulty)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["published", "draft", "held", "put", "digest", "publish", "point"])
def test_any_step_may_be_lost_before_and_after_it_is_done(store: Store, tmp_path: Path, method: str, when: str) -> None:
    place, plan = Stubborn(tmp_path / "releases", method, when, 3), plan_of(store)
    publish(plan, store, [place], tmp_path / "state", print, patience=no_patience())
    assert place.left == 0
    assert digests_below(place.root / TAG) == files_of(plan)


def test_a_place_that_stays_away_is_given_up_and_found_again(store: Store, tmp_path: Path, said: list[str]) -> None:
    plan = plan_of(store)
    with pytest.raises(Failure, match="can't be worked with now"):
        publish(
            plan, store, [Stubborn(tmp_path / "releases", "publish", "before", 99)], tmp_path / "state", said.append,
            patience=no_patience(),
        )  # fmt: skip
    place = Directory(tmp_path / "releases")
    (done,) = publish(plan, store, [place], tmp_path / "state", said.append).places
    assert "directory: goes on after the state 'sealed'" in said
    assert done.sent_files == 0
    assert digests_below(place.root / TAG) == files_of(plan)


class Forgetful(Directory):
    """Keeps other bytes than it was given, so many times."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self.left = times

    def put(self, delivery: Delivery, asset: Asset) -> None:
        super().put(delivery, asset)
        if asset.role == "archive" and self.left:
            self.left -= 1
            damage(self._draft(delivery) / asset.name)


def test_the_audit_finds_other_bytes_of_the_same_size_and_mends_them_once(store: Store, tmp_path: Path) -> None:
    plan = plan_of(store)
    place = Forgetful(tmp_path / "releases", 2)
    publish(plan, store, [place], tmp_path / "state", print)
    assert digests_below(place.root / TAG) == files_of(plan)
    worse = Forgetful(tmp_path / "worse", 4)
    with pytest.raises(Failure, match="does not keep what it is given"):
        publish(plan, store, [worse], tmp_path / "state", print)
    assert not (worse.root / TAG).exists()


class Crowded(Directory):
    def held(self, delivery: Delivery) -> dict[str, Held]:
        return super().held(delivery) | {"stranger.tar.gz": Held("stranger.tar.gz", 1)}


def test_files_that_nobody_planned_stop_it(store: Store, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"(?s)nobody planned.*stranger\.tar\.gz"):
        publish(plan_of(store), store, [Crowded(tmp_path / "releases")], tmp_path / "state", print)
    assert not (tmp_path / "releases" / TAG).exists()


class Full(Directory):
    """Takes nothing any more, from the first file on."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, parallel=1)
        self.asked: list[str] = []

    def put(self, delivery: Delivery, asset: Asset) -> None:
        self.asked.append(asset.name)
        raise Failure("publish", "no space is left", todo="Make room.")


def test_where_one_file_fails_no_other_is_begun(store: Store, tmp_path: Path) -> None:
    place = Full(tmp_path / "releases")
    with pytest.raises(Failure, match="no space is left"):
        publish(plan_of(store), store, [place], tmp_path / "state", print)
    assert len(place.asked) == 1


class Meddled(Directory):
    """Somebody takes an archive away, after the audit."""

    def put(self, delivery: Delivery, asset: Asset) -> None:
        super().put(delivery, asset)
        if asset is delivery.seal:
            (self._draft(delivery) / "SHA256SUMS").unlink()


def test_a_draft_that_changed_after_the_audit_is_not_shown(store: Store, tmp_path: Path) -> None:
    place = Meddled(tmp_path / "releases")
    with pytest.raises(Failure, match=r"(?s)the draft changed while it was looked at.*wanted +SHA256SUMS"):
        publish(plan_of(store), store, [place], tmp_path / "state", print)
    assert not (place.root / TAG).exists()


class Deaf(Directory):
    """Says yes, and shows nothing."""

    def publish(self, delivery: Delivery) -> None:
        pass


def test_a_place_that_only_says_that_it_published_is_told(store: Store, tmp_path: Path) -> None:
    place, plan = Deaf(tmp_path / "releases"), plan_of(store)
    with pytest.raises(Failure, match="is not there although it was published"):
        publish(plan, store, [place], tmp_path / "state", print)
    assert not (place.root / "latest").is_symlink()
    (done,) = publish(plan, store, [Directory(place.root)], tmp_path / "state", print).places
    assert done.sent_files == 0
    assert digests_below(place.root / TAG) == files_of(plan)


def test_nothing_is_shown_anywhere_before_everything_is_everywhere(store: Store, tmp_path: Path) -> None:
    first, second = Directory(tmp_path / "first"), Stubborn(tmp_path / "second", "put", "before", 99)
    with pytest.raises(Failure, match="can't be worked with"):
        publish(plan_of(store), store, [first, second], tmp_path / "state", print, patience=no_patience())
    assert not (first.root / TAG).exists()


def test_another_plan_that_is_half_done_is_named_and_can_be_thrown_away(
    store: Store, place: Directory, tmp_path: Path, said: list[str]
) -> None:
    plan = plan_of(store)
    half = Stubborn(place.root, "publish", "before", 99)
    with pytest.raises(Failure):
        publish(plan, store, [half], tmp_path / "state", print, patience=no_patience())
    other = changed(plan, "another")
    with pytest.raises(Failure, match=rf"(?s)is not published.*{identity(plan)}"):
        publish(other, store, [place], tmp_path / "state", print)
    abandon(TAG, [place], tmp_path / "state", said.append)
    assert not list((place.root / ".drafts").iterdir())
    publish(other, store, [place], tmp_path / "state", print)
    abandon(TAG, [place], tmp_path / "state", said.append)
    assert digests_below(place.root / TAG) == files_of(other)


def test_two_processes_do_not_publish_the_same_tag_at_once(store: Store, place: Directory, tmp_path: Path) -> None:
    with alone(tmp_path / "state", TAG):
        with pytest.raises(Failure, match="being published already"):
            publish(plan_of(store), store, [place], tmp_path / "state", print)
        with pytest.raises(Failure, match="being published already"):
            abandon(TAG, [place], tmp_path / "state", print)
    publish(plan_of(store), store, [place], tmp_path / "state", print)


def test_what_a_process_that_was_killed_left_half_written_goes(store: Store, place: Directory, tmp_path: Path) -> None:
    plan = plan_of(store)
    half = tmp_path / "state" / TAG / identity(plan) / ".directory.json.half"
    half.parent.mkdir(parents=True)
    half.write_text("{")
    publish(plan, store, [place], tmp_path / "state", print)
    assert not half.exists()


class Dying(Directory):
    """Ends as soon as everybody sees the release, before it has put away what only it knew of."""

    dies = True

    def publish(self, delivery: Delivery) -> None:
        super().publish(delivery)
        if self.dies:
            raise KeyboardInterrupt
        (self.root / "leftover").unlink(missing_ok=True)


def test_what_was_left_when_it_was_killed_while_it_was_published_goes(store: Store, tmp_path: Path) -> None:
    place, plan = Dying(tmp_path / "releases"), plan_of(store)
    place.root.mkdir()
    (place.root / "leftover").touch()
    with pytest.raises(KeyboardInterrupt):
        publish(plan, store, [place], tmp_path / "state", print)
    place.dies = False
    (done,) = publish(plan, store, [place], tmp_path / "state", print).places
    assert done.was_there
    assert not (place.root / "leftover").exists()


@pytest.mark.parametrize("name", ["../escaped", ".hidden", "a b", "a/b", "", "release-plan.json"])
def test_names_that_would_become_paths_are_refused(store: Store, place: Directory, tmp_path: Path, name: str) -> None:
    plan = plan_of(store)
    bad = Asset(name, plan.assets[0].size, plan.assets[0].sha256, "text/plain", "index")
    worse = dataclasses.replace(plan, assets=[*plan.assets, bad])
    with pytest.raises(Failure, match="can't be published under its name"):
        publish(worse, store, [place], tmp_path / "state", print)


def test_a_rehearsal_and_a_release_keep_apart(store: Store, place: Directory, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="a rehearsal goes to the rehearsal's directory"):
        publish(plan_of(store, rehearsal=True), store, [place], tmp_path / "state", print)
    with pytest.raises(Failure, match="a rehearsal goes to the rehearsal's directory"):
        publish(plan_of(store), store, [Directory(tmp_path / "r", rehearsal=True)], tmp_path / "state", print)


def test_a_rehearsal_of_another_plan_takes_the_place_of_the_one_before(store: Store, tmp_path: Path) -> None:
    place = Directory(tmp_path / "rehearsal", rehearsal=True)
    for seed in ("", "another"):
        plan = plan_of(store, rehearsal=True, seed=seed)
        publish(plan, store, [place], tmp_path / "state", print)
        assert digests_below(place.root / TAG) == files_of(plan)
    assert not list((place.root / ".drafts").iterdir())


def test_the_form_learns_what_is_taken(store: Store, place: Directory, tmp_path: Path) -> None:
    plan = plan_of(store)
    assert place.published(TAG) is None
    publish(plan, store, [place], tmp_path / "state", print)
    assert place.published(TAG) == identity(plan)


def test_a_rehearsal_has_one_place_whatever_the_settings_say(tmp_path: Path) -> None:
    (one,) = places_of(Settings(), Home(tmp_path, tmp_path), rehearsal=True)
    assert one.rehearsal
    assert one.address(TAG) == str(tmp_path / "rehearsal" / TAG)
    (other,) = places_of(Settings(), Home(tmp_path, tmp_path), rehearsal=False)
    assert not other.rehearsal
    assert other.address(TAG) == str(tmp_path / "releases" / TAG)


def test_places_come_in_the_order_of_the_settings_and_ask_nobody_yet(tmp_path: Path) -> None:
    chosen = Release(
        places=["s3", "github", "directory"], s3_bucket="pythons", s3_prefix="/below/", s3_endpoint="http://127.0.0.1:9",
        s3_credentials_file="keys.toml", s3_ca_file="ca.pem", parallel=7, github_repository="o/r",
        github_token_file="/elsewhere/token",
        pace_s=2.5, github_api="https://github.example/api/v3/",
    )  # fmt: skip
    settings = Settings(release=chosen)
    s3, github, directory = places_of(settings, Home(tmp_path, tmp_path), rehearsal=False)
    assert isinstance(s3, S3)
    assert isinstance(github, GitHub)
    assert isinstance(directory, Directory)
    assert (s3.access.credentials, s3.parallel, s3.pace_s) == (tmp_path / "keys.toml", 7, 0)
    assert s3.access.authority == tmp_path / "ca.pem"
    assert s3.address(TAG) == f"http://127.0.0.1:9/pythons/below/{TAG}"
    assert (github.api.token_file, github.parallel, github.pace_s) == (Path("/elsewhere/token"), 7, 2.5)
    assert github.address(TAG) == f"https://github.example/o/r/releases/download/{TAG}"
    hasty = places_of(settings, Home(tmp_path, tmp_path), rehearsal=False, quick=True)[0]
    assert isinstance(hasty, S3)
    assert hasty.access.read_s == QUICK_S < s3.access.read_s
