"""Publishing to a real S3 service, over connections that break before and after the request was carried out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from master.bucket.client import credentials_of, words
from master.bucket.trouble import Trouble
from master.release.model import PLAN_NAME, Plan, identity
from master.release.places.base import delivery_of
from master.release.places.s3 import S3
from master.release.places.watched import Piece, Watched
from master.release.publishing import Published, abandon, publish
from master.store import Store
from tests.integration import seaweed
from tests.integration.seaweed import BUCKET, KEY_ID, SECRET, Fault, Seaweed, Wire
from tests.unit.publish_samples import TAG, changed, damage, files_of, no_patience, plan_of
from workers.errors import Failure

# Small, so that archives of the tests come in parts; 5 MiB is the least that S3 takes for a part.
SINGLE, PART = 400_000, 5 * 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("seaweed") / "s3") as server:
        yield server


@pytest.fixture
def wire(service: Seaweed) -> Iterator[Wire]:
    relay = Wire(service.endpoint)
    yield relay
    relay.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def said() -> list[str]:
    return []


class Farm:
    """Publishes below a prefix of its own, with a client of its own each time, as a process of its own would."""

    def __init__(self, service: Seaweed, wire: Wire, store: Store, tmp_path: Path, said: list[str]) -> None:
        self.service, self.wire, self.store, self.said = service, wire, store, said
        self.state = tmp_path / "state"
        self.direct = service.client
        self.prefix = f"releases/{tmp_path.name}"

    def place(self) -> S3:
        return S3(self.service.access(self.prefix, self.wire.url), parallel=3, single=SINGLE, part=PART)

    def publish(self, plan: Plan) -> Published:
        return publish(plan, self.store, [self.place()], self.state, self.said.append, patience=no_patience())

    def there(self, tag: str = TAG) -> dict[str, str]:
        """Name to sha256 of what really is below a tag, read past the relay."""
        found = self.direct.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/{tag}/").get("Contents", [])
        names = [one["Key"].rpartition("/")[2] for one in found]
        return {name: hashlib.sha256(self.read(f"{tag}/{name}")).hexdigest() for name in names}

    def read(self, name: str) -> bytes:
        return bytes(self.direct.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")["Body"].read())

    def leftovers(self) -> list[str]:
        """Unfinished uploads and marks of drafts."""
        uploads = self.direct.list_multipart_uploads(Bucket=BUCKET, Prefix=f"{self.prefix}/").get("Uploads", [])
        marks = self.direct.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/.drafts/").get("Contents", [])
        return [one["Key"] for one in [*uploads, *marks]]


@pytest.fixture
def farm(service: Seaweed, wire: Wire, store: Store, tmp_path: Path, said: list[str]) -> Farm:
    return Farm(service, wire, store, tmp_path, said)


def test_a_release_is_there_with_every_byte_and_the_plan_comes_last(farm: Farm, wire: Wire, store: Store) -> None:
    plan = plan_of(store)
    (done,) = farm.publish(plan).places
    assert farm.there() == files_of(plan)
    assert farm.leftovers() == []
    assert done.pointers == ["latest-release.json", "versions.ndjson"]
    assert farm.read("latest-release.json") == farm.read(f"{TAG}/latest-release.json")
    written = [one for one in wire.requests if one.startswith(("PUT", "POST")) and f"/{TAG}/" in one]
    assert written[-1].endswith(PLAN_NAME)
    assert any("uploadId=" in one for one in written), "an archive came in parts"


def test_the_same_plan_again_writes_nothing(farm: Farm, wire: Wire, store: Store, said: list[str]) -> None:
    plan = plan_of(store)
    farm.publish(plan)
    del wire.requests[:]
    farm.publish(plan)
    assert "nothing to do" in said[-1]
    assert {one.partition(" ")[0] for one in wire.requests} == {"GET"}


def test_the_same_tag_with_another_plan_is_refused(farm: Farm, store: Store) -> None:
    plan = plan_of(store)
    farm.publish(plan)
    with pytest.raises(Failure, match=rf"(?s)taken by another.*{identity(plan)}"):
        farm.publish(changed(plan, "another"))
    assert farm.there() == files_of(plan)


FAULTS = [
    *[("GET .*list-type=2", kind, "before") for kind in ("drop", 503)],
    *[("HEAD ", kind, "before") for kind in ("drop", 503)],
    *[
        (request, kind, when)
        for request in (
            r"PUT .*/\.drafts/2026\d+\Z", r"PUT .*SHA256SUMS\Z", r"PUT .*partNumber=2", r"POST .*uploads",
            r"POST .*uploadId=", rf"PUT .*/{TAG}/release-plan\.json", r"DELETE .*/\.drafts/2026\d+\Z",
            rf"PUT .*(?<!{TAG})/latest-release\.json",
        )
        for kind in ("drop", 500, 503)
        for when in ("before", "after")
    ],
]  # fmt: skip


@pytest.mark.parametrize(("request_", "kind", "when"), FAULTS)
def test_every_fault_before_and_after_the_fact_ends_in_the_same_release(
    farm: Farm, wire: Wire, store: Store, request_: str, kind: object, when: str
) -> None:
    wire.faults = [Fault(request_, kind, when, times=2)]  # type: ignore[arg-type]
    plan = plan_of(store, large=6_000_000)
    farm.publish(plan)
    assert wire.faults[0].struck, "the fault did not strike"
    assert farm.there() == files_of(plan)
    assert farm.leftovers() == []
    assert farm.read("latest-release.json") == farm.read(f"{TAG}/latest-release.json")


@pytest.mark.parametrize("request_", [r"PUT .*partNumber=1", r"PUT .*stripped\.tar\.gz\Z"])
def test_an_upload_cut_off_in_the_middle_is_made_anew(farm: Farm, wire: Wire, store: Store, request_: str) -> None:
    wire.faults = [Fault(request_, "drop", times=2, after_bytes=100_000)]
    plan = plan_of(store, large=1_000_000)
    farm.publish(plan)
    assert wire.faults[0].struck
    assert farm.there() == files_of(plan)
    assert farm.leftovers() == []


@pytest.mark.parametrize("large", [300_000, 1_000_000])
def test_a_byte_that_rotted_is_refused_and_named(farm: Farm, store: Store, large: int) -> None:
    plan = plan_of(store, large=large)
    archive = max((one for one in plan.assets if one.role == "archive"), key=lambda one: one.size)
    damage(store.path_of(archive.sha256))
    with pytest.raises(Failure, match="damaged in the store") as refused:
        farm.publish(plan)
    assert archive.name in str(refused.value)
    assert archive.name not in farm.there()
    assert not [one for one in farm.leftovers() if TAG not in one.partition(".drafts")[2]]


def test_other_bytes_of_the_same_size_are_found_and_mended_before_anybody_sees_them(
    farm: Farm, wire: Wire, store: Store
) -> None:
    plan = plan_of(store)
    wire.faults = [Fault(rf"PUT .*/{TAG}/release-plan\.json", 501, times=1)]
    with pytest.raises(Failure):
        farm.publish(plan)
    for one in (one for one in plan.assets if one.role == "archive"):
        farm.direct.put_object(Bucket=BUCKET, Key=f"{farm.prefix}/{TAG}/{one.name}", Body=b"x" * one.size)
    assert farm.there() != files_of(plan)
    farm.publish(plan)
    assert farm.there() == files_of(plan)


def test_the_service_refuses_bytes_that_are_not_their_checksums(farm: Farm) -> None:
    """What the audit may rely on, and is tried for each client anew."""
    assert farm.place()._checked_by_the_service(TAG)


def test_pointers_move_only_as_they_were_read_and_never_back(farm: Farm, store: Store) -> None:
    newer = "2026112501"
    farm.publish(plan_of(store, newer))
    (done,) = farm.publish(plan_of(store)).places
    assert done.pointers == []
    assert f'"{newer}"' in farm.read("latest-release.json").decode()
    place = farm.place()
    stale = place._read(f"{farm.prefix}/latest-release.json")
    assert stale is not None
    farm.publish(plan_of(store, "20261126"))
    with pytest.raises(Trouble), words():
        place.client.put_object(
            Bucket=BUCKET, Key=f"{farm.prefix}/latest-release.json", Body=b"{}", IfMatch=stale[1]
        )  # fmt: skip
    assert '"20261126"' in farm.read("latest-release.json").decode()


def test_of_two_releases_that_end_at_once_the_newer_stays_the_latest(
    farm: Farm, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.publish(plan_of(store, "20261124"))
    place, newer = farm.place(), [plan_of(store, "20261126")]
    read = place._read

    def overtaken(key: str) -> tuple[bytes, str] | None:
        """What this release read of the pointers is old before it writes the first."""
        found = read(key)
        if key == f"{farm.prefix}/versions.ndjson" and newer:
            farm.publish(newer.pop())
        return found

    monkeypatch.setattr(place, "_read", overtaken)
    (done,) = publish(plan_of(store), store, [place], farm.state, print, patience=no_patience()).places
    assert not newer
    assert done.pointers == []
    for name in ("latest-release.json", "versions.ndjson"):
        assert farm.read(name) == farm.read(f"20261126/{name}")


@pytest.mark.parametrize("role", ["archive", "sums"])
def test_what_is_there_is_never_written_over(farm: Farm, store: Store, tmp_path: Path, role: str) -> None:
    """An archive comes in parts, SHA256SUMS in one."""
    plan, place = plan_of(store), farm.place()
    delivery = delivery_of(plan, identity(plan), tmp_path / "plan.json", store.path_of)
    asset = max((one for one in plan.assets if one.role == role), key=lambda one: one.size)
    place.put(delivery, asset)
    with pytest.raises(Trouble):
        place.put(delivery, asset)
    assert farm.there() == {asset.name: asset.sha256}


def test_parts_that_a_killed_process_left_go_before_others_are_sent(farm: Farm, store: Store, tmp_path: Path) -> None:
    plan, key = plan_of(store), f"{farm.prefix}/{TAG}/cpython.tar.zst"
    farm.direct.create_multipart_upload(Bucket=BUCKET, Key=key)
    assert farm.leftovers() == [key]
    farm.place().draft(delivery_of(plan, identity(plan), tmp_path / "plan.json", store.path_of))
    assert key not in farm.leftovers()


def test_what_is_published_is_not_thrown_away_though_its_mark_is_still_there(
    farm: Farm, store: Store, said: list[str]
) -> None:
    """As a process leaves it that is killed between the two."""
    plan = plan_of(store)
    farm.publish(plan)
    farm.direct.put_object(Bucket=BUCKET, Key=f"{farm.prefix}/.drafts/{TAG}", Body=identity(plan).encode())
    abandon(TAG, [farm.place()], farm.state, said.append)
    assert farm.there() == files_of(plan)
    assert farm.leftovers() == []


def test_a_service_that_ignores_conditions_is_refused(
    farm: Farm, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = farm.place()
    real = place.client.put_object
    monkeypatch.setattr(
        place.client, "put_object", lambda **said: real(**{k: v for k, v in said.items() if k != "IfNoneMatch"})
    )
    with pytest.raises(Failure, match="writes over what is there"):
        publish(plan_of(store), store, [place], farm.state, print, patience=no_patience())


def test_another_plan_that_is_half_done_is_named_and_can_be_thrown_away(
    farm: Farm, wire: Wire, store: Store, said: list[str]
) -> None:
    plan = plan_of(store)
    wire.faults = [Fault(rf"PUT .*/{TAG}/release-plan\.json", 501, times=1)]
    with pytest.raises(Failure):
        farm.publish(plan)
    other = changed(plan, "another")
    with pytest.raises(Failure, match=rf"(?s)is not published.*{identity(plan)}"):
        farm.publish(other)
    abandon(TAG, [farm.place()], farm.state, said.append)
    assert farm.there() == {}
    assert farm.leftovers() == []
    farm.publish(other)
    abandon(TAG, [farm.place()], farm.state, said.append)
    assert farm.there() == files_of(other)


def test_files_that_nobody_planned_stop_it(farm: Farm, store: Store) -> None:
    farm.direct.put_object(Bucket=BUCKET, Key=f"{farm.prefix}/{TAG}/stranger", Body=b"x")
    with pytest.raises(Failure, match=r"(?s)nobody planned.*stranger"):
        farm.publish(plan_of(store))
    assert not farm.place().discard("20270101")
    assert list(farm.there()) == ["stranger"]


def test_wrong_keys_are_said_and_repeated_nowhere(
    farm: Farm, wire: Wire, store: Store, said: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    plan = plan_of(store)
    right = farm.service.credentials
    wrong = tmp_path / "wrong.toml"
    bad = "wr0ng/secret+0123456789abcdefghijklmnopqr"
    wrong.write_text(f'access_key_id = "{KEY_ID}"\nsecret_access_key = "{bad}"\n')
    wrong.chmod(0o600)
    farm.service.credentials = wrong
    try:
        with pytest.raises(Failure, match="answered 403") as refused:
            farm.publish(plan)
    finally:
        farm.service.credentials = right
    wire.faults = [Fault(r"PUT .*SHA256SUMS\Z", "drop"), Fault(r"PUT .*partNumber", 500, "after")]
    farm.publish(plan)
    error: BaseException | None = refused.value
    written = [*said, caplog.text, *(path.read_text("latin-1") for path in farm.state.rglob("*") if path.is_file())]
    while error is not None:
        written.append(f"{error!s} {error!r}")
        error = error.__cause__ or error.__context__
    assert caplog.text
    assert not [text for text in written if bad in text or SECRET in text]


@pytest.mark.parametrize(("text", "mode", "words"), [("access_key_id = 1", 0o600, "no keys"), ("= [", 0o600, "no keys"),
                                                     ("", 0o644, "everybody on this machine")])  # fmt: skip
def test_a_file_without_keys_is_refused_without_repeating_it(tmp_path: Path, text: str, mode: int, words: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(Failure, match=words):
        credentials_of(path)


def test_a_watched_file_gives_its_end_only_when_it_is_right(store: Store) -> None:
    (archive, *_) = [one for one in plan_of(store).assets if one.role == "archive"]
    path = store.path_of(archive.sha256)
    with Watched(path, archive) as body:
        assert body.read() == path.read_bytes()
        body.seek(0)
        assert b"".join(iter(lambda: body.read(1000), b"")) == path.read_bytes()
    damage(path)
    with Watched(path, archive) as body, pytest.raises(Failure, match="damaged"):
        list(iter(lambda: body.read(1000), b""))


def test_a_piece_of_a_file_is_a_file_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    with Piece(path, 20, 30) as piece:
        assert piece.read() == bytes(range(20, 50))
        assert piece.read(1) == b""
        assert (piece.seek(0, 2), piece.tell()) == (30, 30)
        piece.seek(28)
        assert (piece.read(10), piece.tell()) == (bytes([48, 49]), 30)
        piece.seek(40)
        assert piece.read(1) == b"", "what follows in the file is another piece's"
        assert piece.seek(-5, 1) == 35
        piece.seek(0)
        assert piece.read(3) == bytes([20, 21, 22])


def test_an_error_of_the_service_keeps_its_code(farm: Farm) -> None:
    with pytest.raises(Failure, match="NoSuchBucket") as refused, words():
        farm.place().client.list_objects_v2(Bucket="no-such-bucket")
    assert isinstance(refused.value.__cause__, ClientError)
