"""How the master has a release made: what the release builder's steps are given, and where a release works."""

from __future__ import annotations

import fcntl
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from master.home import Home
from master.mirror import Mirror
from steps.process import Command
from steps.release import StageName, Wanted
from workers.errors import Failure

KEPT_RUNS = 20
LOCK_WAIT_S = 60.0


def state_directory(home: Home, *, dry_run: bool) -> Path:
    """Where publishing keeps how far each place has come."""
    return home.releasing / ("rehearsals" if dry_run else "state")


def run_directory(home: Home, buildid: int) -> Path:
    """Where the stages of one build of `release` leave what the next one reads."""
    return home.releasing / "run" / str(buildid)


@dataclass(frozen=True)
class Releasing:
    """`Making` for one farm. Values, so that a reconfiguration can compare them. branch: whose commits are released."""

    home: Home
    repository: str
    branch: str
    page_url: str

    def command(self, stage: StageName, wanted: Wanted) -> Command:
        """How a stage is started."""
        directory = run_directory(self.home, wanted.buildid)
        if stage == "gate":
            _forget_old_runs(self.home, wanted.buildid)
        argv = [
            sys.executable, "-m", "master.release", stage, f"--tag={wanted.tag}", f"--commit={wanted.commit}",
            f"--run={directory}", *([] if wanted.dry_run else ["--publish"]),
        ]  # fmt: skip
        environment = {"MINT_HOME": str(self.home.root), "PYMINT_EVENTS": "1", "PYTHONUNBUFFERED": "1"}
        return Command(argv, str(self.home.checkout), environment, directory / f"{stage}.json")

    async def ready(self, reactor: Any, commit: str) -> None:
        """Brings the mirror up to date: the stages look the commit up in it, and a dry run has no network. Raises
        Failure when the repository can't be fetched."""
        await Mirror(self.home.repository, self.repository).on_branch(reactor, commit, self.branch)


def _forget_old_runs(home: Home, buildid: int) -> None:
    runs = sorted((one for one in (home.releasing / "run").glob("*") if one.name.isdigit()), key=lambda p: int(p.name))
    for old in [one for one in runs if int(one.name) < buildid][:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)


def prepare_lock(home: Home) -> None:
    """Makes what `one_at_a_time` locks, which a sealed process could not."""
    home.releasing.mkdir(parents=True, exist_ok=True)
    if not (home.releasing / "lock").exists():
        (home.releasing / "lock").touch()


@contextmanager
def one_at_a_time(home: Home, say: Callable[[str], None], wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Held by a stage while it works. Buildbot's lock is gone with a killed master, the master's children are not.

    Raises Failure when another process still works on a release after `wait_s` seconds.
    """
    deadline = time.monotonic() + wait_s
    with (home.releasing / "lock").open() as stream:
        said = False
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    say("another process works on a release: waiting for it")
                    said = True
            if time.monotonic() > deadline:
                raise Failure(
                    "release", "another process works on a release", wanted=f"its end within {wait_s:.0f} s",
                    found=f"{home.releasing / 'lock'} is held", todo="Let it end (`ps` shows `master.release`), then "
                    "rebuild this build.",
                )  # fmt: skip
            time.sleep(0.2)
        yield
