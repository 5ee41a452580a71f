"""A stage's step against a fake worker: what it sends, and what it makes of each way to fail."""

from __future__ import annotations

from typing import Any

from buildbot.process.properties import Properties
from buildbot.process.results import FAILURE, SUCCESS
from twisted.internet import defer
from twisted.trial import unittest

from steps import program
from steps.program import Limits
from steps.stages import Openssl, Plan, Sources
from steps.transfer import Memory, read_file
from tests.unit.fake_worker import (
    ExpectRemoteRef,
    ExpectShell,
    ExpectUploadFile,
    TestBuildStepMixin,
    TestReactorMixin,
)
from workers.errors import Failure
from workers.reports.base import Measure, encode
from workers.reports.build import CellName, FetchedSource, NodesReport, PlanReport, ProviderFacts, SourcesReport
from workers.reports.build import Plan as Planned

FETCHED = [FetchedSource("zlib", "1", "0", 1, "the cache", 0.0)]
REPORT = encode(SourcesReport("pymint/sources/1", True, FETCHED, [], Measure(0.3, 0, 0)))
NOT_OK = REPORT.replace(b'"ok": true', b'"ok": false')
PROBLEM = str(Failure("sources", "no origin delivers zlib", todo="Connect to something."))
ARGV = [
    "/venv/bin/python", "-m", "workers", "sources", "--run", "../run/92", "--state", "/state", "--cache", "/cache",
    "--no-distro",
]  # fmt: skip


class TestStage(TestBuildStepMixin, TestReactorMixin, unittest.TestCase):
    async def setUp(self) -> None:
        self.setup_test_reactor()
        await self.setup_test_build_step()
        self.setup_step(Sources(["--no-distro"], Limits(60, 600)))
        self.build.buildid = 92
        self.worker.info = Properties(pymint_python="/venv/bin/python", pymint_state="/state", pymint_cache="/cache\n")

    def shell(self) -> Any:
        environment = {"PYMINT_EVENTS": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        environment["PYMINT_FLOOR_GB"] = "2.0"
        return ExpectShell(
            workdir="wkdir", command=ARGV, env=environment, timeout=60, max_time=600, sigterm_time=30,
            log_environ=False, use_pty=False, interrupt_signal="TERM",
        )  # fmt: skip

    def report(self, content: bytes | None) -> Any:
        expected = ExpectUploadFile(
            workdir="wkdir", workersrc="../run/92/reports/sources.json", maxsize=16 * 1024 * 1024,
            blocksize=512 * 1024, keepstamp=False, writer=ExpectRemoteRef(Memory),
        )  # fmt: skip
        return expected.exit(1) if content is None else expected.upload_string(content.decode()).exit(0)

    async def test_a_stage_that_went_well_leaves_its_report_and_one_line(self) -> None:
        self.expect_commands(self.shell().stdout("zlib: from the cache\n").exit(0), self.report(REPORT))
        self.expect_outcome(SUCCESS, "1 source: all in the cache, 0.3 s")
        self.expect_build_data("sources", REPORT, "pymint")
        self.expect_log_file("stdio", "zlib: from the cache\n")
        await self.run_step()

    async def test_event_lines_are_progress_and_no_log(self) -> None:
        event = '::pymint {"event": "progress", "done": 1, "total": 4, "what": "zlib"}\n'
        self.expect_commands(self.shell().stdout(f"one\n{event}two\n").exit(0), self.report(REPORT))
        self.expect_outcome(SUCCESS)
        self.expect_build_data("sources", REPORT, "pymint")
        self.expect_log_file("stdio", "one\ntwo\n")
        await self.run_step()
        assert self.step.at == ("zlib", 25)
        assert self.step.getCurrentSummary() == {"step": "zlib, 25 %"}

    async def test_a_failure_is_a_log_and_the_line(self) -> None:
        self.expect_commands(self.shell().stderr(f"a warning\n{PROBLEM}\n").exit(1), self.report(None))
        self.expect_outcome(FAILURE, "sources: no origin delivers zlib")
        self.expect_log_file("problem", PROBLEM + "\n")
        await self.run_step()

    async def test_the_report_of_a_failure_is_kept_too(self) -> None:
        self.expect_commands(self.shell().stderr(PROBLEM).exit(1), self.report(NOT_OK))
        self.expect_outcome(FAILURE, "sources: no origin delivers zlib")
        self.expect_build_data("sources", NOT_OK, "pymint")
        await self.run_step()

    async def test_done_without_a_report_is_a_failure(self) -> None:
        self.expect_commands(self.shell().exit(0), self.report(None))
        self.expect_outcome(FAILURE, "sources: the program left no report")
        await self.run_step()

    async def test_done_with_a_report_that_says_no_is_a_failure(self) -> None:
        self.expect_commands(self.shell().exit(0), self.report(NOT_OK))
        self.expect_outcome(FAILURE, "sources: the program ended well, but its report says that it did not")
        self.expect_build_data("sources", NOT_OK, "pymint")
        await self.run_step()

    async def test_a_report_of_another_schema_is_a_failure(self) -> None:
        other = REPORT.replace(b"pymint/sources/1", b"pymint/sources/2")
        self.expect_commands(self.shell().exit(0), self.report(other))
        self.expect_outcome(FAILURE, "report: sources.json of test is not a report of the kind SourcesReport")
        await self.run_step()

    async def test_silence_for_too_long_names_the_setting(self) -> None:
        shell = self.shell().behavior(
            lambda command: command.remoteUpdate("failure_reason", "timeout_without_output", False)
        )
        self.expect_commands(shell.exit(1), self.report(None))
        self.expect_outcome(FAILURE, "sources: ended after 60 s without any output")
        await self.run_step()
        assert "silent_minutes" in self.step.logs["problem"].stdout

    async def test_a_worker_that_is_set_up_in_another_way_is_named(self) -> None:
        self.worker.info = Properties()
        self.expect_commands()
        self.expect_outcome(FAILURE, "worker: test does not say where its programs work")
        await self.run_step()


class TestOtherStages(TestBuildStepMixin, TestReactorMixin, unittest.TestCase):
    async def setUp(self) -> None:
        self.setup_test_reactor()
        await self.setup_test_build_step()

    async def test_a_report_that_is_larger_than_the_worker_may_send_is_none(self) -> None:
        class Careless:
            """A step of a worker that sends all of it, whatever it was asked for."""

            workdir = "wkdir"

            async def runCommand(self, command: Any) -> None:
                command.args["writer"].remote_write(REPORT)
                command.rc = 0

        assert await read_file(Careless(), "report.json", len(REPORT)) == REPORT
        assert await read_file(Careless(), "report.json", len(REPORT) - 1) is None
        assert await read_file(Careless(), "report.json", 5, cut=True) == REPORT[:5]

    async def test_of_more_logs_than_a_stage_can_have_nodes_the_first_are_asked_for(self) -> None:
        asked: list[str] = []

        async def read(step: Any, path: str, limit: int, *, cut: bool = False) -> bytes:
            asked.append(path)
            return b""

        async def listed(path: str, **kwargs: Any) -> list[str]:
            return [f"/run/logs/{number:04}.log" for number in range(1000)]

        self.setup_step(Openssl())
        self.build.buildid, self.build.workdir = 92, "wkdir"
        self.step.runGlob = listed
        self.patch(program, "read_file", read)
        self.step.addCompleteLog = lambda name, text: defer.succeed(None)
        await self.step._node_logs(NodesReport("pymint/nodes/1", False, "openssl", [], Measure()), failed=True)
        assert len(asked) == program.NODE_LOGS
        assert asked[0] == "../run/92/logs/0000.log"

    async def test_a_plan_for_another_cell_than_the_builders_is_refused(self) -> None:
        self.setup_step(Plan())
        facts = ProviderFacts("3.5.7", "toolchain", None, "2.17")
        cell, commit = CellName("3.13", "x86_64-unknown-linux-gnu", "noopt"), "c" * 40
        plan = Planned("pymint/plan/2", cell, commit, False, 0, "3.13.5", "n", "k", False, {}, facts, [], [])
        said = {"got_revision": commit, "version": cell.version, "target": cell.target, "variant": cell.variant}
        for name, value in said.items():
            self.build.setProperty(name, value, "test")
        report = PlanReport("pymint/plan-report/2", True, plan, Measure())
        assert self.step.objection(report) is None
        self.build.setProperty("variant", "debug", "test")
        problem = self.step.objection(report)
        assert problem is not None
        assert "this builder is for" in problem
