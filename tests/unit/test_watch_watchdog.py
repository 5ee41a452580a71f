from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from master.watch.watchdog import EXIT_CODE, Pulse, notify
from workers.model import ROOT

# A real reactor and a real thread, with small times.
PROGRAM = """
import sys, time
from twisted.internet import reactor
from master.watch.watchdog import Watchdog
stopped = []
dog = Watchdog(lambda: True, lambda: bool(stopped), hang_s=1.0, idle_s=0.5, pause_s=0.2)
dog.startService()
what = sys.argv[1]
if what == "blocks":
    reactor.callLater(0.3, time.sleep, 600)
if what == "guru":
    reactor.callLater(0.3, stopped.append, True)
if what == "well":
    reactor.callLater(3.0, reactor.stop)
reactor.run()
"""


def run(what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, what], cwd=ROOT, text=True, capture_output=True, check=False, timeout=300
    )


def test_a_loop_that_is_blocked_is_ended_with_where_it_hangs() -> None:
    done = run("blocks")
    assert done.returncode == EXIT_CODE
    assert "the event loop did not turn for" in done.stderr
    assert "most recent call first" in done.stderr


def test_a_master_whose_services_stopped_is_ended() -> None:
    done = run("guru")
    assert done.returncode == EXIT_CODE
    assert "Buildbot stopped its services" in done.stderr


def test_a_loop_that_turns_is_left_alone() -> None:
    assert run("well").returncode == 0


def test_a_process_that_was_stopped_itself_begins_to_count_anew() -> None:
    pulse = Pulse(beat=100, looked=100)
    assert pulse.verdict(4000, hang_s=120, idle_s=60, pause_s=2) == ""
    for now in range(4002, 4120, 2):
        assert pulse.verdict(now, hang_s=120, idle_s=60, pause_s=2) == ""
    assert pulse.verdict(4122, hang_s=120, idle_s=60, pause_s=2) != ""


def test_nobody_is_told_where_nobody_asked(tmp_path: Path) -> None:
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert not notify("READY=1", {"NOTIFY_SOCKET": "relative"})
