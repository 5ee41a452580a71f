"""kill -9 in any state, and the next run ends as the first would have: nothing missing, doubled or cut off."""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from master.release.checkpoints import Checkpoint
from master.release.model import Plan, identity
from master.store import Store
from tests.integration import seaweed
from tests.integration.killed_publisher import Ended, Job, run
from tests.unit import fake_github
from tests.unit.fake_github import FakeGitHub
from tests.unit.publish_samples import COMMIT, TAG, changed, digests_below, files_of, plan_of
from workers.reports.base import encode, read_report

# Forked from a process that has everything loaded and no threads.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.integration.killed_publisher", "boto3"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def plan(store: Store, tmp_path: Path) -> Plan:
    made = plan_of(store, large=1_500_000)
    (tmp_path / "plan.json").write_bytes(encode(made))
    return made


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("seaweed") / "s3") as server:
        yield server


def _job(kind: str, where: object, tmp_path: Path, number: object) -> Job:
    return Job(kind, where, tmp_path / "plan.json", tmp_path / "store", tmp_path / f"state-{number}")  # type: ignore[arg-type]


def _publish(job: Job, kill_at: int | None) -> Ended | str | None:
    """How it ended, or why it was refused, or None for a process that was killed. Any other end fails."""
    here, there = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=run, args=(job, kill_at, there))
    process.start()
    there.close()
    process.join()
    if kill_at is not None and process.exitcode == -signal.SIGKILL:
        return None
    assert process.exitcode == 0
    said: Ended | str = here.recv()
    return said


def _whole(job: Job) -> Ended:
    """A run that comes to its end."""
    ended = _publish(job, None)
    assert isinstance(ended, Ended), ended
    return ended


def _all_moments(step: int, job_of: Callable[[object], Job], check: Callable[[Job], None]) -> None:
    """Kills a run in each of its moments, or in each `step`-th, and lets another one end it."""
    whole = job_of("whole")
    count = _whole(whole).moments
    check(whole)
    assert count > 60
    killed = 0
    for moment in range(0, count, step):
        job = job_of(moment)
        killed += _publish(job, moment) is None
        _whole(job)
        check(job)
    # Threads do not take their turns twice in the same order, so that the last moments may be missed.
    assert killed >= (count // step) * 0.9


def each_moment(some: int) -> pytest.MarkDecorator:
    """Every `some`-th moment always, every single one among the real tests: each costs two runs."""
    return pytest.mark.parametrize("step", [some, pytest.param(1, marks=pytest.mark.real)])


def _pointed(job: Job, plan: Plan) -> bool:
    return read_report(job.state / TAG / identity(plan) / f"{job.kind}.json", Checkpoint).state == "pointed"


@each_moment(9)
def test_a_directory_is_whole_after_a_kill_in_any_moment(plan: Plan, tmp_path: Path, step: int) -> None:
    def check(job: Job) -> None:
        root: Path = job.where
        assert digests_below(root / TAG) == files_of(plan)
        assert sorted(path.name for path in root.iterdir()) == [
            ".drafts", ".lock", TAG, "latest", "latest-release.json", "versions.ndjson",
        ]  # fmt: skip
        assert not list((root / ".drafts").iterdir())
        assert (root / "latest").readlink() == Path(TAG)
        assert (root / "versions.ndjson").read_bytes() == (root / TAG / "versions.ndjson").read_bytes()
        assert _pointed(job, plan)

    _all_moments(step, lambda number: _job("directory", tmp_path / f"releases-{number}", tmp_path, number), check)


@each_moment(6)
def test_github_is_whole_after_a_kill_in_any_moment(plan: Plan, tmp_path: Path, step: int) -> None:
    token = tmp_path / "token"
    token.write_text(fake_github.TOKEN)
    token.chmod(0o600)
    with fake_github.running() as hub:
        hub.commits.add(COMMIT)

        def job_of(number: object) -> Job:
            _empty(hub)
            return _job("github", (hub.url, fake_github.REPOSITORY, token), tmp_path, number)

        def check(job: Job) -> None:
            assert hub.published(TAG) == files_of(plan)
            assert len(hub.releases) == 1
            assert hub.tags == {TAG: COMMIT}
            assert hub.latest in hub.releases
            assert _pointed(job, plan)

        _all_moments(step, job_of, check)


def _empty(hub: FakeGitHub) -> None:
    hub.releases.clear()
    hub.tags.clear()
    hub.latest = None


@each_moment(12)
def test_a_bucket_is_whole_after_a_kill_in_any_moment(
    plan: Plan, tmp_path: Path, service: seaweed.Seaweed, step: int
) -> None:
    def check(job: Job) -> None:
        below = f"{job.where.prefix}/"
        listed = service.client.list_objects_v2(Bucket=seaweed.BUCKET, Prefix=below)["Contents"]
        sizes = {one["Key"].removeprefix(below): one["Size"] for one in listed}
        wanted = {f"{TAG}/{one.name}": one.size for one in plan.assets}
        wanted |= {f"{TAG}/release-plan.json": len(encode(plan))}
        wanted |= {one.name: one.size for one in plan.assets if one.role == "index"}
        assert sizes == wanted
        for one in plan.assets:
            head = service.client.head_object(
                Bucket=seaweed.BUCKET, Key=f"{below}{TAG}/{one.name}", ChecksumMode="ENABLED"
            )
            assert head["Metadata"]["sha256"] == one.sha256
        assert not service.client.list_multipart_uploads(Bucket=seaweed.BUCKET, Prefix=below).get("Uploads")
        assert _pointed(job, plan)

    _all_moments(step, lambda number: _job("s3", service.access(f"killed/{number}"), tmp_path, number), check)


def _one_wins(step: int, plan: Plan, job_of: Callable[[object], Job], there: Callable[[Job], dict[str, str]]) -> None:
    """After a kill in any moment another plan of the same tag is refused, or has it all if nothing was begun.

    there: name to sha256 of what is published.
    """
    first = job_of("whole")
    other = changed(plan, "another")
    rival = first.plan.with_name("other.json")
    rival.write_bytes(encode(other))
    count = _whole(first).moments
    won = set()
    for moment in range(0, count, step):
        first = job_of(moment)
        second = replace(first, plan=rival)
        _publish(first, moment)
        said = _publish(second, None)
        if isinstance(said, Ended):
            assert there(first) == files_of(other)
            refused = _publish(first, None)
        else:
            assert said is not None
            assert "was begun and is not published" in said or "is taken by another release" in said
            _whole(first)
            assert there(first) == files_of(plan)
            again = _whole(first)
            assert (again.was_there, again.sent) == (True, 0)
            refused = _publish(second, None)
            assert there(first) == files_of(plan)
        assert isinstance(refused, str)
        assert "is taken by another release" in refused
        won.add(isinstance(said, Ended))
    assert won == {True, False}, "of the first moment, and of later ones"


@each_moment(25)
def test_of_two_plans_one_wins_a_directory(plan: Plan, tmp_path: Path, step: int) -> None:
    _one_wins(
        step, plan, lambda number: _job("directory", tmp_path / f"rivals-{number}", tmp_path, f"rivals-{number}"),
        lambda job: digests_below(job.where / TAG),
    )  # fmt: skip


@each_moment(25)
def test_of_two_plans_one_wins_a_github(plan: Plan, tmp_path: Path, step: int) -> None:
    token = tmp_path / "token"
    token.write_text(fake_github.TOKEN)
    token.chmod(0o600)
    with fake_github.running() as hub:
        hub.commits.add(COMMIT)

        def job_of(number: object) -> Job:
            _empty(hub)
            return _job("github", (hub.url, fake_github.REPOSITORY, token), tmp_path, f"rivals-{number}")

        _one_wins(step, plan, job_of, lambda job: hub.published(TAG))


@each_moment(40)
def test_of_two_plans_one_wins_a_bucket(plan: Plan, tmp_path: Path, service: seaweed.Seaweed, step: int) -> None:
    def there(job: Job) -> dict[str, str]:
        below = f"{job.where.prefix}/{TAG}/"
        listed = service.client.list_objects_v2(Bucket=seaweed.BUCKET, Prefix=below)["Contents"]
        bodies = {
            one["Key"].removeprefix(below): service.client.get_object(Bucket=seaweed.BUCKET, Key=one["Key"])["Body"]
            for one in listed
        }
        return {name: hashlib.sha256(body.read()).hexdigest() for name, body in bodies.items()}

    _one_wins(
        step, plan, lambda number: _job("s3", service.access(f"rivals/{number}"), tmp_path, f"rivals-{number}"), there
    )
