"""A running farm whose store is in a bucket, and a bucket that goes away while a build wants to store."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from master import settings
from master.cli.settings import ask_bucket
from master.store import ArchiveRecord
from tests.integration import seaweed
from tests.integration.conftest import WORKERS
from tests.integration.farm import Farm, cell_name, make_repository, until
from tests.integration.seaweed import BUCKET, KEY_ID, SECRET, Seaweed
from workers.errors import Failure
from workers.model import load_matrix
from workers.reports.base import decode


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("seaweed") / "s3") as server:
        yield server


@pytest.fixture(scope="module")
def farm(service: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    top = tmp_path_factory.mktemp("farm")
    one = Farm(top, more_settings=f"""
[store]
bucket = "{BUCKET}"
prefix = "farms/one"
endpoint = "{service.endpoint}"
credentials_file = {json.dumps(str(service.credentials))}
cache = {json.dumps(str(top / "cache"))}
[release]
cells = ["{cell_name("3.12")}"]
allow_unvalidated = true
{WORKERS}""", pushed=[])  # fmt: skip
    one.first = make_repository(one.repository)
    try:
        yield one.up()
    finally:
        one.close()


def held(service: Seaweed) -> dict[str, bytes]:
    found = service.client.list_objects_v2(Bucket=BUCKET, Prefix="farms/one/")["Contents"]
    return {
        one["Key"].removeprefix("farms/one/"): service.client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
        for one in found
    }


def in_the_bucket(farm: Farm, service: Seaweed, build: dict[str, Any], version: str) -> ArchiveRecord:
    """The record of a build; everything that it names is there, and is what its name says."""
    there = held(service)
    name = f"{farm.first}/{cell_name(version)}/{build['number']}.json"
    record = decode(there[f"index/{name}"], ArchiveRecord, name)
    assert f"attested/{name}" in there
    for one in record.files():
        assert hashlib.sha256(there[f"sha256/{one.sha256[:2]}/{one.sha256}"]).hexdigest() == one.sha256
    return record


def cache_of(farm: Farm) -> Path:
    return settings.store_path(settings.load(farm.home, load_matrix()), farm.home)


def test_an_archive_goes_to_the_bucket_and_from_there_to_whoever_asks(farm: Farm, service: Seaweed) -> None:
    build = farm.finished(farm.force(cell_name("3.12")))
    assert build["results"] == 0, {name: one["state_string"] for name, one in farm.steps(build).items()}
    record = in_the_bucket(farm, service, build, "3.12")
    assert not (farm.home.root / "store").exists()
    shutil.rmtree(cache_of(farm))
    url = farm.properties(build)["archive_url"]
    assert hashlib.sha256(farm.http.get(url).content).hexdigest() == record.archive.sha256
    listed = farm.http.get(f"archives/{cell_name('3.12')}/{build['number']}/").text
    assert all(one.name in listed for one in record.files())
    checks = {one["name"]: one for one in farm.http.get("health").json()["checks"]}
    assert (checks["bucket"]["ok"], checks["bucket"]["found"]) == (True, "it answers")


def released(farm: Farm, *, dry_run: bool) -> dict[str, Any]:
    answer = farm.call("forceschedulers/release", "force", tag="20261130", revision=farm.first, dry_run=dry_run)
    assert answer.status_code == 200, answer.text
    (request,) = answer.json()["result"][1].values()
    build = farm.finished(request)
    assert build["results"] == 0, {name: one["state_string"] for name, one in farm.steps(build).items()}
    return build


@pytest.mark.real
def test_a_release_reads_from_the_bucket_what_it_confines_itself_with(farm: Farm, service: Seaweed) -> None:
    """A dry run and the collecting have no network: what they need is brought before, what a dry run made after."""
    shutil.rmtree(cache_of(farm))
    rehearsed = farm.properties(released(farm, dry_run=True))["release_identity"]
    there = held(service)
    assert f"releases/20261130/{rehearsed}/release-plan.json" in there
    assert "releases/20261130/published.json" not in there
    shutil.rmtree(cache_of(farm))
    page = farm.http.get(f"releases/20261130/{rehearsed}/SHA256SUMS")
    assert page.status_code == 200, page.text
    made = farm.properties(released(farm, dry_run=False))["release_identity"]
    assert made in held(service)["releases/20261130/published.json"].decode()
    sums = (farm.home.root / "releases/20261130/SHA256SUMS").read_text().splitlines()
    assert len(sums) > 5
    for line in sums:
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((farm.home.root / "releases/20261130" / name).read_bytes()).hexdigest() == digest


@pytest.mark.real
def test_a_bucket_that_is_lost_while_a_build_ends_loses_no_archive(farm: Farm, service: Seaweed) -> None:
    service.kill()
    request = farm.force(cell_name("3.11"))

    def record_step() -> dict[str, Any] | None:
        steps = farm.steps(builds[0]) if (builds := farm.builds(request)) else {}
        return steps.get("record")

    until(
        "the step waits and says so",
        lambda: (step := record_step()) and "waiting: the bucket pythons does not answer" in step["state_string"],
        900,
    )
    checks = {one["name"]: one for one in farm.http.get("health").json()["checks"]}
    assert not checks["bucket"]["ok"]
    with pytest.raises(Failure, match="the bucket pythons does not answer"):
        ask_bucket(farm.home, farm.home.settings_file)
    assert checks["master"]["ok"]
    service.start()
    until("it answers", lambda: farm.http.get("health").json()["healthy"])
    ask_bucket(farm.home, farm.home.settings_file)
    build = farm.finished(request)
    assert build["results"] == 0, {name: one["state_string"] for name, one in farm.steps(build).items()}
    in_the_bucket(farm, service, build, "3.11")
    assert service.endpoint in farm.step_log(farm.steps(build)["record"], "waiting")


def test_the_keys_are_in_no_log_and_with_no_worker(farm: Farm) -> None:
    logs = [*farm.home.master.rglob("*.log*"), *farm.home.worker.rglob("*.log*"), farm.home.database]
    assert logs
    for path in logs:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert KEY_ID.encode() not in content, path
    environment = Path(f"/proc/{farm.running['worker'].pid}/environ")
    if not environment.exists():
        pytest.skip("no /proc here to read a process's environment from")
    assert SECRET.encode() not in environment.read_bytes()
