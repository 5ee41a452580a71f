"""A farm that publishes to the fake GitHub, as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from master.release.model import Plan
from master.release.places.github import GitHub
from master.release.places.github_api import Api
from master.release.publishing import Published, publish
from master.release.uploading import Patience
from master.store import Store
from tests.unit.fake_github import REPOSITORY, TOKEN, FakeGitHub, running
from tests.unit.publish_samples import COMMIT


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    with running() as server:
        server.commits.add(COMMIT)
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def said() -> list[str]:
    return []


class Farm:
    """Publishes to the hub, with a client of its own each time, as a process of its own would."""

    def __init__(self, hub: FakeGitHub, store: Store, token_file: Path, state: Path, said: list[str]) -> None:
        self.hub, self.store, self.token_file, self.state, self.said = hub, store, token_file, state, said
        self.slept: list[float] = []

    def place(self) -> GitHub:
        api = Api(self.hub.url, REPOSITORY, self.token_file, timeout=httpx.Timeout(10))
        return GitHub(api, parallel=3, pace_s=0)

    def publish(self, plan: Plan) -> Published:
        patience = Patience(sleep=self.slept.append, chance=lambda: 0.0)
        return publish(plan, self.store, [self.place()], self.state, self.said.append, patience=patience)


@pytest.fixture
def farm(hub: FakeGitHub, store: Store, token_file: Path, tmp_path: Path, said: list[str]) -> Farm:
    return Farm(hub, store, token_file, tmp_path / "state", said)
