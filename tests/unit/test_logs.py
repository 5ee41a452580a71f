"""Logs as JSON: what a line holds, what it is about, and how people read it again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from buildbot.process.build import Build
from buildbot.process.buildstep import BuildStep
from twisted.internet import defer
from twisted.logger import FileLogObserver, Logger, LogPublisher
from twisted.python.failure import Failure as TwistedFailure
from twisted.python.log import LogPublisher as OldPublisher

from master.cli.daemons import Daemon
from master.home import Home
from master.instance import Process
from master.logs import observing
from workers.logs import for_people, json_line
from workers.model import ROOT


class Log:
    """What Twisted writes through its own observer, old-style events and new ones."""

    def __init__(self, known: dict[str, Any] | None = None) -> None:
        self.stream = io.StringIO()
        self.publisher = LogPublisher(FileLogObserver(self.stream, lambda one: observing.line_of(one, known or {})))
        self.old = OldPublisher(observerPublisher=self.publisher, publishPublisher=self.publisher)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def test_an_event_is_an_object_with_its_time_in_utc() -> None:
    log = Log()
    Logger("pymint.signer", observer=log.publisher).warn("build {buildid} waits", buildid=7)
    log.old.msg("two\nlines", system="Broker,0")
    log.old.msg(metric="of Buildbot's own, no text")
    first, second = log.lines
    assert (first["level"], first["namespace"], first["message"]) == ("warn", "pymint.signer", "build 7 waits")
    assert first["buildid"] == 7
    assert first["time"].endswith("+00:00")
    assert (second["system"], second["message"], second["level"]) == ("Broker,0", "two\nlines", "info")


def test_a_failure_has_its_traceback_in_a_field_and_its_reason_as_message() -> None:
    log = Log()
    try:
        raise ValueError("seven")
    except ValueError:
        failure = TwistedFailure()
    log.old.msg(failure=failure, why="while counting", isError=1)
    Logger("new", observer=log.publisher).failure("could not count", failure=failure)
    old, new = log.lines
    assert old["message"] == "while counting: ValueError: seven"
    assert old["level"] == new["level"] == "critical"
    assert new["message"] == "could not count"
    for one in (old, new):
        assert "Traceback" in one["traceback"]
        assert "ValueError: seven" in one["traceback"]


@pytest.mark.parametrize(
    ("message", "about"),
    [
        ("<Build cpython-3.13-x number:None results:success>.startBuild", {"builder": "cpython-3.13-x"}),
        (" <Build farm number:12 results:success>: build finished", {"builder": "farm", "build": 12}),
        (
            "starting <Build a number:3 results:x>.. <WorkerForBuilder builder='a' worker='local' state=BUILDING>",
            {"builder": "a", "build": 3, "worker": "local"},
        ),
        ("(command ['python', '-m', 'workers', 'plan', '--run', '../run/12', '--state', 's'])", {"buildid": 12}),
        ("nothing of the kind", {}),
    ],
)
def test_what_buildbot_writes_of_builds_and_workers_becomes_fields(message: str, about: dict[str, Any]) -> None:
    said = json.loads(json_line({}, message, {}))
    assert {name: said[name] for name in ("builder", "build", "buildid", "worker") if name in said} == about


def test_whatever_an_event_holds_makes_a_line() -> None:
    said = json_line({"log_time": 1e9, "builder": ROOT, "log_system": object()}, "\x00 \u2028 \ud800", {"worker": b"x"})
    assert said.count("\n") == 1
    assert json.loads(said)["builder"] == str(ROOT)
    said.encode()


def test_what_a_builds_own_code_logs_knows_its_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two builds at once, each of which waits in between."""
    stream = io.StringIO()
    publisher = LogPublisher(FileLogObserver(stream, lambda one: observing.line_of(one, observing.about(
        observing._BUILD.get()))))  # fmt: skip
    log = Logger("steps", observer=publisher)
    waits: list[defer.Deferred[None]] = []

    class Named:
        name = ""

    class One(Build):
        def __init__(self, name: str, number: int) -> None:
            self.builder, self.number, self.buildid, self.workername = Named(), number, number + 100, "local"
            self.builder.name = name

        def __repr__(self) -> str:
            return "a build"

    @defer.inlineCallbacks
    def start(self: Any, _: Any) -> Any:
        log.info("begun")
        yield object.__new__(Step).startStep(None)  # as a factory makes it
        log.info("done")

    @defer.inlineCallbacks
    def step(self: Any, _: Any) -> Any:
        yield self.run()  # as Buildbot does it

    class Step(BuildStep):
        def __init__(self) -> None:
            pass

        async def run(self) -> None:
            waits.append(defer.Deferred())
            await waits[-1]
            log.info("step")

    monkeypatch.setattr(Build, "startBuild", start)
    monkeypatch.setattr(BuildStep, "startStep", step)
    observing.follow_builds()
    observing.follow_builds()
    One("a", 1).startBuild(None)
    One("b", 2).startBuild(None)
    log.info("the master's own")
    for one in waits:
        one.callback(None)
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(one["message"], one.get("builder"), one.get("build"), one.get("buildid")) for one in found] == [
        ("begun", "a", 1, 101), ("begun", "b", 2, 102), ("the master's own", None, None, None),
        ("step", "a", 1, 101), ("done", "a", 1, 101), ("step", "b", 2, 102), ("done", "b", 2, 102),
    ]  # fmt: skip


def test_people_read_the_end_of_a_log_of_objects_as_they_read_any(tmp_path: Path) -> None:
    home = Home(tmp_path, ROOT)
    home.master.mkdir()
    event = {"log_time": 1_800_000_000.0, "log_namespace": "farm"}
    traced = json.dumps({"time": "t", "namespace": "n", "message": "it broke", "traceback": "Traceback:\nValueError"})
    (home.master / "twistd.log").write_text(json_line(event, "no such port", {}) + traced + '\nplain\n{"half\n')
    daemon = Daemon("master", home, Process([], home.master, {}, home.master / "twistd.log"))
    assert daemon.tail().splitlines() == [
        "the end of its log",
        "    2027-01-15T08:00:00.000000+00:00 [farm] no such port",
        "    t [n] it broke", "    Traceback:", "    ValueError", "    plain", '    {"half',
    ]  # fmt: skip
    assert for_people("[1]") == ["[1]"]


def test_settings_that_do_not_hold_leave_a_log_for_people(tmp_path: Path) -> None:
    home = Home(tmp_path, ROOT)
    home.settings_file.write_text('[logs]\nformat = "json"\n')
    assert observing.format_of(home) == "json"
    home.settings_file.write_text('[logs]\nformat = "xml"\n')
    assert observing.format_of(home) == "text"
