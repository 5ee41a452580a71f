"""The store in a bucket of a real S3 service: two masters at once, bytes that rot, a service that is away."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from master.bucket.access import Access, Bucket, StorePlace
from master.bucket.remote import YOUNG_S, Away, Remote
from master.fleet.authority import Files, ensure
from master.release import kept
from master.store import ArchiveRecord, Store
from tests.integration import seaweed
from tests.integration.bucket_farm import Farm, attestation, farm, service
from tests.integration.seaweed import Fault, Wire
from tests.unit.publish_samples import plan_of
from tests.unit.test_master_store import BUILDER, COMMIT, file, record
from workers.errors import Failure

__all__ = ["farm", "service"]


def test_what_one_master_stores_another_reads(farm: Farm, tmp_path: Path) -> None:
    a, b = farm.store("a"), farm.store("b")
    archive = a.put(file(tmp_path, b"an archive"), "a.tar.zst")
    one = record(archive)
    a.add(one)
    assert b.record(COMMIT, BUILDER, 1) == b.find(BUILDER, 1) == one
    assert b.checked(archive).read_bytes() == b"an archive"
    assert b.attested(one) is None
    a.attest(one, attestation(1))
    assert b.attested(one) == attestation(1)
    assert list(b.records()) == [one]
    assert b.usage().size == 10
    assert sorted(farm.names()) == [
        ".create-only", f"attested/{COMMIT}/{BUILDER}/1.json", f"index/{COMMIT}/{BUILDER}/1.json",
        f"sha256/{archive.sha256[:2]}/{archive.sha256}",
    ]  # fmt: skip


def test_two_masters_that_write_at_once_lose_no_entry(farm: Farm, tmp_path: Path) -> None:
    """Each build's record by one of them; and one build's by both, of which one is told so."""
    archive = farm.store("a").put(file(tmp_path, b"x"), "a.tar.zst")
    refused: list[str] = []

    def write(name: str, numbers: range) -> None:
        store = farm.store(name)
        for number in numbers:
            store.add(record(archive, number))
        try:
            store.add(replace(record(archive, 100), worker=name))
        except Failure as failure:
            refused.append(failure.what)

    threads = [threading.Thread(target=write, args=(name, range(first, 20, 2))) for name, first in (("a", 0), ("b", 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in ("a", "b", "c"):
        assert sorted(one.number for one in farm.store(name).records()) == [*range(20), 100]
    assert len(refused) == 1
    assert "is recorded already" in refused[0]
    found = [farm.store(name).record(COMMIT, BUILDER, 100) for name in ("a", "b", "c")]
    assert found[0] == found[1] == found[2]


def test_what_another_master_dropped_is_gone_here_too(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = farm.store("a"), farm.store("b")
    archives = [a.put(file(tmp_path, bytes([number])), "a.tar.zst") for number in range(3)]
    for number, archive in enumerate(archives):
        a.add(record(archive, number + 1, commit=f"{number}" * 40, when=100 + number))
    loose = a.put(file(tmp_path, b"loose"), "loose")
    assert len(list(b.records())) == 3
    assert a.prune(really=True, keep_builds=2, grace_s=3600) == [a.root / "index" / ("0" * 40) / BUILDER / "1.json"]
    assert a.checked(loose), "too young to be dropped"
    dropped = a.prune(really=True, keep_builds=2)
    assert {path.name for path in dropped} == {archives[0].sha256, loose.sha256}
    assert a.size_at(dropped[0]) in (1, 5)
    monkeypatch.setattr("master.bucket.replica.GRACE_S", 0)
    assert [one.number for one in b.records()] == [2, 3]
    assert [key for key in farm.names() if archives[0].sha256 in key or loose.sha256 in key] == []


def test_prune_drops_nothing_of_a_release_that_another_master_planned(farm: Farm, tmp_path: Path) -> None:
    a, b = farm.store("a"), farm.store("b")
    plan = plan_of(a)
    a.share(kept.keep(a.root, plan))
    assert b.prune(really=True) == []
    assert kept.read(b.root, plan.tag, next((b.root / "releases" / plan.tag).iterdir()).name) == plan


def test_of_two_masters_that_publish_one_tag_the_second_is_told(farm: Farm) -> None:
    a, b = farm.store("a"), farm.store("b")
    plan, other = plan_of(a), replace(plan_of(a), commit="d" * 40)
    a.share(kept.mark_published(a.root, plan))
    with pytest.raises(Failure, match="another master wrote published"):
        b.share(kept.mark_published(b.root, other))
    assert kept.mark_published(a.root, plan)
    with pytest.raises(Failure, match="is another release's"):
        kept.mark_published(b.root, other)


@pytest.mark.parametrize("where", ["cache", "bucket"])
def test_no_byte_that_rotted_is_delivered(farm: Farm, tmp_path: Path, where: str) -> None:
    a = farm.store("a")
    stored = a.put(file(tmp_path, b"good"), "a.tar.zst")
    path = a.path_of(stored.sha256)
    if where == "cache":
        path.chmod(0o644)
        path.write_bytes(b"evil")
        assert a.checked(stored).read_bytes() == b"good", "brought again"
        return
    farm.change(f"sha256/{stored.sha256[:2]}/{stored.sha256}", b"evil")
    b = farm.store("b")
    with pytest.raises(Failure, match="damaged in the bucket"):
        b.checked(stored)
    assert not b._path(stored.sha256).exists()
    a.put(file(tmp_path, b"good"), "a.tar.zst")  # the next build of it
    assert b.checked(stored).read_bytes() == b"good"


def test_a_record_that_was_changed_here_is_brought_again(farm: Farm, tmp_path: Path) -> None:
    a = farm.store("a")
    one = record(a.put(file(tmp_path, b"x"), "a.tar.zst"))
    path = a.add(one)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"local"', b'"other"'))
    again = farm.store("a")
    assert [found.worker for found in again.records()] == ["local"]


def test_what_is_stored_again_is_young_again(farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a build stores has no record yet; old bytes that it shares may not be dropped under it."""
    a = farm.store("a")
    stored = a.put(file(tmp_path, b"x"), "a.tar.zst")
    puts = r"^PUT .*/sha256/"
    before = _count(farm.wire, puts)
    a.put(file(tmp_path, b"x"), "a.tar.zst")
    assert _count(farm.wire, puts) == before, "it is there, and young"
    monkeypatch.setattr("master.bucket.remote.YOUNG_S", 0)
    a.put(file(tmp_path, b"x"), "a.tar.zst")
    assert _count(farm.wire, puts) == before + 1
    assert farm.store("b").checked(stored)
    assert YOUNG_S < 3600, "housekeeping's grace"


def _count(wire: Wire, pattern: str) -> int:
    return sum(1 for line in wire.requests if re.search(pattern, line))


FAULTS: list[tuple[str, Callable[[], Fault]]] = [
    ("an upload that broke", lambda: Fault(r"PUT .*/sha256/", "drop", times=2, after_bytes=100)),
    ("an upload whose answer was lost", lambda: Fault(r"PUT .*/sha256/", "drop", when="after")),
    ("a record whose answer was lost", lambda: Fault(r"PUT .*/index/", "drop", when="after")),
    ("a service that is busy", lambda: Fault(r"PUT .*/index/", 503, times=2)),
    ("a look that broke", lambda: Fault(r"HEAD .*/sha256/", "drop")),
]


@pytest.mark.parametrize(("what", "fault"), FAULTS, ids=[one[0] for one in FAULTS])
def test_a_connection_that_breaks_costs_nothing(
    farm: Farm, tmp_path: Path, what: str, fault: Callable[[], Fault]
) -> None:
    made = fault()
    farm.wire.faults.append(made)
    a = farm.store("a", patience_s=60)
    one = record(a.put(file(tmp_path, b"x" * 300_000), "a.tar.zst"))
    a.add(one)
    assert made.struck, what
    assert farm.store("b").find(BUILDER, 1) == one
    assert farm.store("b").checked(one.archive).stat().st_size == 300_000


def test_a_download_that_breaks_is_begun_again(farm: Farm, tmp_path: Path) -> None:
    stored = farm.store("a").put(file(tmp_path, b"y" * 300_000), "a.tar.zst")
    farm.wire.faults.append(Fault(r"GET .*/sha256/", 500, times=2))
    assert farm.store("b").checked(stored).read_bytes() == b"y" * 300_000


def test_a_bucket_that_is_away_is_said_in_words(farm: Farm, tmp_path: Path) -> None:
    farm.wire.faults.append(Fault(".", 503, times=1000))
    store = farm.store("a", patience_s=0)
    with pytest.raises(Away, match="does not answer") as caught:
        store.put(file(tmp_path, b"x"), "a.tar.zst")
    assert store.is_away(caught.value)
    assert farm.wire.url in str(caught.value)
    assert "answered 503" in str(caught.value)
    assert seaweed.SECRET not in str(caught.value)


def test_a_key_that_is_refused_is_not_waited_for(farm: Farm, tmp_path: Path) -> None:
    wrong = tmp_path / "keys"
    wrong.write_text('access_key_id = "NOBODY"\nsecret_access_key = "nothing"\n')
    wrong.chmod(0o600)
    place = farm.place("a", patience_s=3600)
    assert place.bucket is not None
    bad = replace(place.bucket, access=replace(place.bucket.access, credentials=wrong))
    with pytest.raises(Failure, match=r"answered 403 InvalidAccessKeyId") as caught:
        Store(StorePlace(place.root, bad)).try_out()
    assert "[store] bucket, region" in caught.value.todo
    assert not isinstance(caught.value, Away)


@pytest.mark.parametrize(
    ("host", "authority", "said"),
    [
        ("127.0.0.1", "its", None),
        ("127.0.0.1", None, "unable to get local issuer certificate"),
        ("127.0.0.1", "another", "certificate"),
        ("localhost", "its", "hostname 'localhost' doesn't match '127.0.0.1'"),
        ("127.0.0.1", "no", "no certificate in it"),
    ],
)
def test_a_service_is_trusted_for_its_authority_and_its_name(
    farm: Farm, tmp_path: Path, host: str, authority: str | None, said: str | None
) -> None:
    """With a real handshake. What is not trusted is told at once, and is sent no key."""
    other = Files(tmp_path / "other")
    ensure(other, ["127.0.0.1"])
    (tmp_path / "no.pem").write_text("nothing")
    files = {"its": farm.service.authority, "another": other.authority, "no": tmp_path / "no.pem", None: None}
    place = farm.place("a", patience_s=120)
    assert place.bucket is not None
    url = f"https://{host}:{farm.service.secure_port}"
    access = replace(place.bucket.access, endpoint=url, authority=files[authority])
    store = Store(StorePlace(place.root, replace(place.bucket, access=access)), patient=True)
    if said is None:
        stored = store.put(file(tmp_path, b"x" * 100_000), "a.tar.zst")
        assert farm.store("b").checked(stored).stat().st_size == 100_000
        return
    with pytest.raises(Failure) as caught:
        store.put(file(tmp_path, b"x"), "a.tar.zst")
    assert said in str(caught.value.found)
    assert "[store] ca_file" in str(caught.value)
    assert (url if authority != "no" else "no.pem") in caught.value.what
    assert not isinstance(caught.value, Away)


def test_an_attempt_that_is_made_again_is_the_same_build(farm: Farm, tmp_path: Path) -> None:
    """Its record may have been written by the attempt before, at another second; another build's is refused."""
    a = farm.store("a")
    one = record(a.put(file(tmp_path, b"x"), "a.tar.zst"), when=1)
    a.add(one)
    farm.store("b").add(replace(one, recorded_at=2))
    with pytest.raises(Failure, match="is recorded already"):
        farm.store("b").add(replace(one, worker="another"))
    found: ArchiveRecord | None = farm.store("c").find(BUILDER, 1)
    assert found == one


def test_a_service_that_writes_over_is_refused(farm: Farm) -> None:
    place = farm.place("a")
    assert place.bucket is not None
    remote = Remote(place.bucket)

    class Heedless:
        """Of a service that knows no conditions."""

        def put_object(self, **said: object) -> dict[str, str]:
            said.pop("IfNoneMatch")
            return dict(farm.service.client.put_object(**said))

    remote._client = Heedless()
    with pytest.raises(Failure, match="writes over what is there"):
        remote.try_out()


def test_the_cache_is_kept_small_and_what_is_dropped_comes_back(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SPARED_S", "_LOOK_S"):
        monkeypatch.setattr(f"master.bucket.replica.{name}", -1)
    store = farm.store("a", cache=5_000_000)
    made = [store.put(file(tmp_path, bytes([n]) * 2_000_000), f"{n}.tar.zst") for n in range(4)]
    there = [one for one in made if store._path(one.sha256).exists()]
    assert 0 < sum(one.size for one in there) <= 5_000_000
    assert store.usage().files == 4
    for n, one in enumerate(made):
        assert store.checked(one).read_bytes() == bytes([n]) * 2_000_000


def test_no_name_in_a_bucket_leads_out_of_the_directory(farm: Farm) -> None:
    store = farm.store("a")
    for key in (f"index/{COMMIT}/.hidden/1.json", f"index/{COMMIT}/x/..1.json", f"index/{COMMIT}/x/y/z/1.json"):
        farm.change(key, b"{}")  # one with `..` is refused by this service itself
    store.refresh("index")
    assert [path for path in (store.root / "index").rglob("*") if path.is_file()] == []


def test_a_server_that_was_killed_and_started_again_is_waited_for(tmp_path: Path) -> None:
    """In the middle of a build's storing; what it had is there, and what comes after too."""
    with seaweed.running(tmp_path / "s3") as server:
        access: Access = replace(server.access("store"), connect_s=2, read_s=5)
        bucket = Bucket(access, 10**9, 300)
        place = StorePlace(tmp_path / "a", bucket)
        store = Store(place, patient=True)
        first = store.put(file(tmp_path, b"before"), "a.tar.zst")
        store.add(record(first, 1))
        server.kill()
        done: list[ArchiveRecord] = []

        def build() -> None:
            later = record(store.put(file(tmp_path, b"after", "later"), "b.tar.zst"), 2)
            store.add(later)
            done.append(later)

        thread = threading.Thread(target=build)
        thread.start()
        with pytest.raises(Away):
            Store(StorePlace(tmp_path / "b", replace(bucket, patience_s=0))).find(BUILDER, 1)
        server.start()
        thread.join()
        other = Store(StorePlace(tmp_path / "b", place.bucket), patient=True)
        assert [one.number for one in other.records()] == [1, 2]
        assert other.checked(first).read_bytes() == b"before"
        assert other.checked(done[0].archive).read_bytes() == b"after"
