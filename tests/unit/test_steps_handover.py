"""The step that records, with a store that is away for a while: it waits, says so, and ends in the end."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from buildbot.process.results import CANCELLED, FAILURE, SUCCESS
from buildbot.test import fakedb
from twisted.internet import defer
from twisted.trial import unittest

from steps import handover
from steps.handover import NotNow, Record, Recorded, Submission, Upload
from tests.unit.fake_worker import ExpectRmdir, TestBuildStepMixin, TestReactorMixin
from workers.errors import Failure

AWAY = Failure("store", "the bucket pythons does not answer", todo="Wait.")
DONE = Recorded("a.tar.zst", "a" * 64, 10, {"a.tar.zst": "archives/b/1/a.tar.zst"})


class TestRecord(TestBuildStepMixin, TestReactorMixin, unittest.TestCase):
    async def setUp(self) -> None:
        self.setup_test_reactor()
        await self.setup_test_build_step()
        self.incoming = Path(mkdtemp())
        self.kept: list[Path] = []

    def record(self, *, away: int, patience_s: float) -> None:
        """A store that is away for so many attempts."""

        def keep(submission: Submission) -> Recorded:
            assert submission.directory.is_dir(), "what the worker sent is kept meanwhile"
            self.kept.append(submission.directory)
            if len(self.kept) <= away:
                raise NotNow(AWAY)
            return DONE

        self.setup_step(Record(str(self.incoming), keep, "http://page/", patience_s))
        self.build.buildid = 92
        self.build.getWorkerName = lambda: "local"
        (self.incoming / "92").mkdir()

    def run_for(self, seconds: list[float]) -> Any:
        """The step, on a clock that goes on by so much, again and again."""
        running = defer.ensureDeferred(self.run_step())
        self.reactor.pump(seconds)
        return running

    async def test_it_waits_for_a_store_that_comes_back(self) -> None:
        self.record(away=2, patience_s=60)
        self.expect_commands(ExpectRmdir(dir="build/../run/92", log_environ=False).exit(0))
        self.expect_outcome(SUCCESS, f"a.tar.zst: 10 bytes, sha256 {'a' * 16}…")
        running = self.run_for([0, 4.9])
        assert len(self.kept) == 1
        assert self.step.getCurrentSummary() == {"step": "waiting: the bucket pythons does not answer"}
        self.reactor.pump([0.2, 10])
        await running
        assert len(self.kept) == 3
        assert not (self.incoming / "92").exists()

    async def test_its_patience_ends(self) -> None:
        self.record(away=99, patience_s=60)
        self.expect_outcome(FAILURE, "store: the bucket pythons does not answer")
        await self.run_for([0, 5, 10, 20, 25])
        assert len(self.kept) == 5
        assert not (self.incoming / "92").exists()

    async def test_a_build_that_is_stopped_waits_no_longer(self) -> None:
        self.record(away=99, patience_s=3600)
        self.expect_outcome(CANCELLED)
        running = self.run_for([0, 1])
        await self.step.interrupt("enough")
        await running
        assert len(self.kept) == 1


class TestUpload(TestBuildStepMixin, TestReactorMixin, unittest.TestCase):
    async def setUp(self) -> None:
        self.setup_test_reactor()
        await self.setup_test_build_step(want_db=True, want_data=True)
        self.incoming = Path(mkdtemp())

    async def test_a_build_that_is_stopped_meanwhile_blames_no_file(self) -> None:
        self.setup_step(Upload(mkdtemp(), 1000))
        self.build.buildid = 92
        self.build.setProperty("archive_name", "cpython-3.13.5-t-noopt-1.tar.zst", "test")

        async def stopped(step: Any, source: str, destination: Path, limit: int) -> None:
            step.stopped = True
            raise Failure("upload", "plan.json did not arrive whole", todo="Raise something.")

        self.patch(handover, "fetch_file", stopped)
        assert await self.step.run() == CANCELLED

    async def test_it_drops_what_ended_builds_left_and_nothing_of_those_that_run(self) -> None:
        await self.master.db.insert_test_data([
            fakedb.Master(id=88, name="m"), fakedb.Worker(id=47, name="w"), fakedb.Builder(id=77, name="b"),
            fakedb.Buildset(id=8822), fakedb.BuildRequest(id=82, buildsetid=8822, builderid=77),
            *(fakedb.Build(id=number, buildrequestid=82, number=number, masterid=88, workerid=47, builderid=77,
                           results=result, complete_at=1 if result is not None else None)
              for number, result in ((1, 5), (2, None))),
        ])  # fmt: skip
        for name in ("1", "2", "404", "no number"):
            (self.incoming / name).mkdir()
        self.setup_step(Upload(str(self.incoming), 1000))
        await self.step._clear()
        assert sorted(path.name for path in self.incoming.iterdir()) == ["2", "404", "no number"]
