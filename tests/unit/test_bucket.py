"""What is decided about a store in a bucket, without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from master import settings as farm_settings
from master.bucket.access import Access, Bucket, StorePlace
from master.bucket.choice import StoreSettings, complaint, encrypted
from master.bucket.remote import REST_S, Away, Remote
from master.bucket.replica import GRACE_S, NAME, SMALL, SPARED_S, Cached, stale, to_drop
from master.bucket.trouble import Trouble
from master.home import Home
from master.release.places.s3 import S3
from master.settings import Settings
from steps.handover import pauses

MB = 1_000_000
CHOSEN = StoreSettings(bucket="pythons", endpoint="https://s3.example", credentials_file="secrets/store")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"bucket": "Not A Name"}, "bucket"),
        ({"prefix": "../main"}, "prefix"),
        ({"prefix": ""}, "prefix"),
        ({"endpoint": "s3.example"}, "endpoint"),
        ({"endpoint": "http://s3.example"}, "endpoint"),
        ({"endpoint": "http://127.0.0.1:8333", "ca_file": "ca.pem"}, "ca_file"),
        ({"bucket": None, "endpoint": None, "credentials_file": None, "ca_file": "ca.pem"}, "ca_file"),
        ({"cache_gb": 0.0}, "cache_gb"),
        ({"cache_gb": float("inf")}, "cache_gb"),
        ({"patience_minutes": -1.0}, "patience_minutes"),
        ({"max_archive_mb": 6000}, "max_archive_mb"),
        ({"bucket": None}, "endpoint"),
        ({"bucket": None, "endpoint": None}, "credentials_file"),
    ],
)
def test_what_can_not_be_is_refused_by_its_key(change: dict[str, object], key: str) -> None:
    found = complaint(replace(CHOSEN, **change))  # type: ignore[arg-type]
    assert found is not None
    assert found.key == key


def test_a_bucket_and_a_directory_are_well() -> None:
    assert complaint(CHOSEN) is None
    assert complaint(replace(CHOSEN, endpoint=None)) is None
    assert complaint(StoreSettings()) is None


@pytest.mark.parametrize(
    ("endpoint", "well"),
    [
        ("https://s3.example", True),
        ("http://127.0.0.1:8333", True),
        ("http://[::1]:8333", True),
        ("http://localhost:8333", True),
        ("http://10.0.0.1:8333", False),
        ("http://127.0.0.1.example", False),
        ("http://localhost.example", False),
    ],
)
def test_tls_is_wanted_wherever_somebody_could_listen(endpoint: str, well: bool) -> None:
    assert encrypted(endpoint) is well


def test_the_cache_of_another_bucket_is_another(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path)

    def place(store: StoreSettings) -> StorePlace:
        return farm_settings.store_place(Settings(store=store), home)

    one = place(CHOSEN)
    assert one.bucket is not None
    assert one.bucket.access.credentials == tmp_path / "secrets/store"
    assert one == place(CHOSEN)
    others = [replace(CHOSEN, prefix="other"), replace(CHOSEN, bucket="other"), replace(CHOSEN, endpoint=None)]
    assert len({place(other).root for other in [CHOSEN, *others]}) == 4
    assert place(StoreSettings()) == StorePlace(tmp_path / "store")


def test_uploads_lie_beside_the_cache_and_not_in_it(tmp_path: Path) -> None:
    """Of another farm's with the same cache apart; without a bucket they are the farm's, as ever."""
    home = Home(tmp_path, tmp_path)
    one, other = (Settings(store=replace(CHOSEN, cache="cache", prefix=name)) for name in ("one", "other"))
    place = farm_settings.uploads_path(one, home)
    assert place.parent == tmp_path / "cache"
    assert place not in (farm_settings.store_path(one, home), farm_settings.uploads_path(other, home))
    assert farm_settings.uploads_path(Settings(), home) == home.incoming


def test_who_has_no_network_sees_a_directory(tmp_path: Path) -> None:
    home, chosen = Home(tmp_path, tmp_path), Settings(store=CHOSEN)
    alone = farm_settings.without_bucket(chosen, home)
    assert farm_settings.store_place(alone, home) == StorePlace(farm_settings.store_path(chosen, home))
    assert farm_settings.without_bucket(Settings(), home) == Settings()


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentChecksumMismatch", "InvalidRequest"])
def test_a_service_that_checks_may_say_so_in_its_own_words(code: str) -> None:
    """AWS's and SeaweedFS' word, MinIO's, and one of others."""

    class Refusing:
        def put_object(self, **said: object) -> None:
            raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "PutObject")

    place = S3(Access("b", "", "http://127.0.0.1:1", "r", None), parallel=1)
    place._client = Refusing()
    assert place._checked_by_the_service("20261125")


def cached(name: str, size: int, age: float, now: float = 10**6) -> Cached:
    return Cached(Path(name), size, now - age)


def test_the_longest_unused_goes_first_and_small_files_last() -> None:
    old, older = cached("old", 10 * MB, SPARED_S + 1), cached("older", 10 * MB, SPARED_S + 2)
    report = cached("report", SMALL - 1, SPARED_S + 1000)
    files = [old, older, report]
    assert to_drop(files, 30 * MB, 10**6) == []
    assert to_drop(files, 20 * MB, 10**6) == [Path("older")]
    assert to_drop(files, 5 * MB, 10**6) == [Path("older"), Path("old")]
    assert to_drop(files, 0, 10**6) == [Path("older"), Path("old"), Path("report")]


def test_what_is_just_used_stays_whatever_the_size() -> None:
    files = [cached("used", 10 * MB, SPARED_S - 1), cached("old", MB, SPARED_S + 1)]
    assert to_drop(files, 0, 10**6) == [Path("old")]


def test_what_is_not_in_the_bucket_any_more_is_dropped_but_not_what_is_new_here() -> None:
    local = [("index/a", 0.0), ("index/b", 0.0), ("index/new", 10**6 - GRACE_S + 1)]
    assert stale(local, ["index/a"], 10**6) == ["index/b"]


@pytest.mark.parametrize(
    ("key", "well"),
    [
        (f"index/{'c' * 40}/cpython-3.13-x/1.json", True),
        ("releases/20261130/published.json", True),
        (f"releases/20261130/{'a' * 64}/release-plan.json", True),
        ("index/../../etc/passwd", False),
        ("index/a/../b.json", False),
        ("index/a/.b/1.json", False),
        ("index//a/b.json", False),
        ("index/a/b.json\n", False),
        ("sha256/ab/cd", False),
        ("/index/a/b/c", False),
    ],
)
def test_only_names_of_the_index_come_from_a_bucket(key: str, well: bool) -> None:
    assert bool(NAME.match(key)) is well


def test_a_build_waits_longer_and_longer_until_its_patience_is_over() -> None:
    assert list(pauses(0)) == []
    assert list(pauses(60)) == [5, 10, 20, 25]
    assert sum(pauses(900)) == 900
    assert max(pauses(900)) == 60


def remote(patience_s: float) -> tuple[Remote, list[float]]:
    """Without a client: what it waited for is in the list, by a clock that goes on with it."""
    waited: list[float] = []
    access = Access("pythons", "store", "https://s3.example", "r", None)
    made = Remote(Bucket(access, 1, 900), patience_s=patience_s, pause=waited.append, clock=lambda: sum(waited))
    return made, waited


def test_a_service_that_is_away_is_asked_again_for_so_long_and_no_longer() -> None:
    made, waited = remote(60)

    def ask() -> None:
        raise Trouble("s3: the connection broke")

    with pytest.raises(Away, match="pythons does not answer") as caught:
        made._patiently(ask)
    assert waited[:4] == [0.5, 1, 2, 4]
    assert max(waited) <= 20
    assert 40 < sum(waited) <= 60
    assert "the connection broke" in str(caught.value.found)


def test_a_service_that_wants_to_be_left_alone_is() -> None:
    made, waited = remote(60)
    answers = [Trouble("s3: busy", 7.0), None]

    def ask() -> str:
        if (trouble := answers.pop(0)) is not None:
            raise trouble
        return "done"

    assert made._patiently(ask) == "done"
    assert waited == [7.0]


def test_of_many_that_have_no_patience_only_the_first_waits() -> None:
    """A page's threads are few: with each waiting its ten seconds there would be none left."""
    made, waited = remote(10)
    asked: list[None] = []

    def ask() -> None:
        asked.append(None)
        raise Trouble("s3: the connection broke")

    with pytest.raises(Away):
        made._patiently(ask)
    so_far = len(asked), len(waited)
    with pytest.raises(Away, match="does not answer"):
        made._patiently(ask)
    assert (len(asked), len(waited)) == so_far
    waited.append(REST_S + 0.1)
    assert made._patiently(lambda: "back") == "back"
