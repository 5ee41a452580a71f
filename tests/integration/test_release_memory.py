"""Publishing takes no more memory for large files than for small ones, so that 6 GB stay far below 500 MB.

What a whole release of real size takes is measured by `python -m tests.bench.publish`.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from master.release.model import Plan, identity
from master.release.places.base import Place
from master.release.places.directory import Directory
from master.release.places.github import GitHub
from master.release.places.github_api import Api
from master.release.places.s3 import S3
from master.release.publishing import publish
from master.store import Store
from tests.integration import seaweed
from tests.unit import fake_github
from tests.unit.publish_samples import COMMIT, TAG, no_patience, plan_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")

LARGE = 160_000_000  # and one of half of it, and one of a third, at once
# Blocks of 1 MiB and parts of 16 MiB for each of four uploads, and what clients buffer.
GROWTH = 120_000_000


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, Plan]:
    """A store, a small plan and a large one."""
    root = tmp_path_factory.mktemp("store")
    return root, plan_of(Store(root), "20261124", seed="small"), plan_of(Store(root), TAG, large=LARGE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("seaweed") / "s3") as server:
        yield server


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def published(place: Place, root: Path, plans: list[Plan], state: Path, said: Connection) -> None:
    """In a process of its own: publishes them one after the other, and tells the peak after each."""
    for plan in plans:
        done = publish(plan, Store(root), [place], state, lambda line: None, patience=no_patience())
        said.send((done.identity, done.places[0].sent_size, peak()))


def growth(place: Place, plans: tuple[Path, Plan, Plan], state: Path) -> int:
    """How much more memory the large release took than the small one before it."""
    root, *both = plans
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=published, args=(place, root, both, state, there))
    process.start()
    there.close()
    process.join()
    assert process.exitcode == 0
    (_, _, small), (found, sent, large) = here.recv(), here.recv()
    assert found == identity(both[1])
    assert sent > LARGE * 1.8
    return int(large - small)


def test_a_directory(plans: tuple[Path, Plan, Plan], tmp_path: Path) -> None:
    assert growth(Directory(tmp_path / "releases", parallel=4), plans, tmp_path / "state") < GROWTH


@pytest.mark.parametrize("single", [2 * LARGE, LARGE // 10], ids=["whole", "in parts"])
def test_a_bucket(plans: tuple[Path, Plan, Plan], service: seaweed.Seaweed, tmp_path: Path, single: int) -> None:
    place = S3(service.access(f"memory-{single}"), parallel=4, single=single)
    assert growth(place, plans, tmp_path / "state") < GROWTH


def test_github(plans: tuple[Path, Plan, Plan], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(fake_github.TOKEN)
    token.chmod(0o600)
    with fake_github.running() as hub:
        hub.commits.add(COMMIT)
        place = GitHub(Api(hub.url, fake_github.REPOSITORY, token), parallel=4, pace_s=0)
        assert growth(place, plans, tmp_path / "state") < GROWTH
