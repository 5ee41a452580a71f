"""Masters that share a store in a bucket of a real S3 service, and fixtures of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from master.bucket.access import OF_THE_STORE, Bucket, StorePlace
from master.store import Attestation, Store
from tests.integration import seaweed
from tests.integration.seaweed import BUCKET, Seaweed, Wire


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("seaweed") / "s3") as server:
        yield server


class Farm:
    """Masters, each with a directory of its own, that share a prefix of the bucket."""

    def __init__(self, service: Seaweed, tmp_path: Path, wire: Wire) -> None:
        self.service, self.root, self.wire = service, tmp_path, wire
        self.prefix = f"store/{tmp_path.name}"

    def place(self, name: str, *, patience_s: float = 300, cache: int = 10**9) -> StorePlace:
        access = self.service.access(self.prefix, self.wire.url)
        access = replace(access, connect_s=2, read_s=10, telling=OF_THE_STORE)
        return StorePlace(self.root / name, Bucket(access, cache, patience_s))

    def store(self, name: str, **how: float) -> Store:
        return Store(self.place(name, **how), patient=True)  # type: ignore[arg-type]

    def names(self) -> list[str]:
        found = self.service.client.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix).get("Contents", [])
        return [one["Key"].removeprefix(f"{self.prefix}/") for one in found]

    def change(self, key: str, content: bytes) -> None:
        self.service.client.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}", Body=content)


@pytest.fixture
def farm(service: Seaweed, tmp_path: Path) -> Iterator[Farm]:
    wire = Wire(service.endpoint)
    yield Farm(service, tmp_path, wire)
    wire.close()


def attestation(number: int) -> Attestation:
    return Attestation("pymint/attestation/1", number, "key", "builder", number, [], [])
