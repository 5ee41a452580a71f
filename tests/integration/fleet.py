"""A real farm with workers that were invited and created as people do it: over TLS, each with a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from master.cli.processes import Process, below, end, every
from tests.integration.farm import TARGET, Farm, make_repository
from tests.integration.farm import until as until_then
from workers.model import ROOT

SETTINGS = """\
[watch]
floor_gb = 0.02
ping_s = 0.5
silent_s = 4
unfit_times = 2
[[workers]]
name = "first"
targets = ["{target}"]
disk_gb = 0.03
"""


# Seconds on an idle machine; one that builds CPythons beside the tests takes a hundred times that.
WAIT_S = 1800


def until(what: str, look: Callable[[], Any]) -> Any:
    return until_then(what, look, WAIT_S)


def mint(home: Path, *arguments: str, said: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MINT_HOME": str(home), "MINT_CACHE": str(home / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "master.cli", *arguments], cwd=ROOT, env=environment, text=True, check=False,
        input=said, stdin=None if said is not None else subprocess.DEVNULL, capture_output=True, timeout=WAIT_S,
    )  # fmt: skip


@dataclass
class Fleet:
    """farm: the master. homes: of the machines that the workers are on."""

    farm: Farm
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    left: list[Process] = field(default_factory=list)

    def up(self) -> None:
        done = mint(self.farm.home.root, "up")
        assert done.returncode == 0, done.stdout + done.stderr

    def machine(self, name: str) -> Path:
        return self.farm.root / "machines" / name

    def base(self, name: str) -> Path:
        return self.machine(name) / "workers" / name / "worker"

    def invite(self, name: str, *arguments: str) -> str:
        done = mint(self.farm.home.root, "worker", "invite", name, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, name: str, invitation: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return mint(self.machine(name), "worker", "create", "--invitation", "-", *arguments, said=invitation)

    def start(self, name: str) -> None:
        """As `./mint worker run` does, which becomes this very process."""
        environment = {**os.environ, "MINT_HOME": str(self.machine(name))}
        self.running[name] = subprocess.Popen(
            [sys.executable, "-m", "master.cli", "worker", "run", name], cwd=ROOT, env=environment,
            start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def join(self, name: str, *arguments: str) -> None:
        done = self.create(name, self.invite(name, *arguments))
        assert done.returncode == 0, done.stdout + done.stderr
        self.start(name)
        until(f"{name} is connected\n{self.log(name)}", lambda: self.farm.connected(name))

    def log(self, name: str) -> str:
        path = self.base(name) / "twistd.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """The worker's process alone, as a crash does: what it started is left, until the fleet is closed."""
        self.left.extend(below([self.running[name].pid], every()))
        self.running[name].send_signal(how)
        if how == signal.SIGKILL:
            self.running.pop(name).wait()

    def close(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        end(self.left, seconds=5)
        mint(self.farm.home.root, "down")
        self.farm.close()

    def row(self, name: str) -> dict[str, Any]:
        (found,) = (one for one in self.farm.get("workers")["workers"] if one["name"] == name)
        return dict(found)

    def notices(self, name: str) -> list[dict[str, Any]]:
        return list(json.loads(self.row(name)["workerinfo"].get("pymint_notices", "[]")))

    def control(self, name: str, what: str, reason: str = "a test") -> None:
        self.farm.call(f"workers/{self.row(name)['workerid']}", what, reason=reason)
        until(f"{name} is told to {what}", lambda: self.row(name)["paused"] == (what == "pause"))

    def builds_on(self, request: int) -> list[str]:
        """The workers of a request's builds, in their order."""
        names = {one["workerid"]: one["name"] for one in self.farm.get("workers")["workers"]}
        return [names[build["workerid"]] for build in reversed(self.farm.builds(request))]

    def begin_on(self, name: str, others: list[str], step: str) -> int:
        """Forces a cell while only `name` takes builds; returns its request once `step` runs there."""
        for other in others:
            self.control(other, "pause")
        request = self.farm.force()

        def runs() -> bool:
            builds = self.farm.builds(request)
            return bool(builds) and self.farm.steps(builds[0]).get(step, {}).get("started_at") is not None

        until(f"{step} runs on {name}\n{self.farm.log('master')}", runs)
        for other in others:
            self.control(other, "unpause")
        return request


def make_fleet(place: Path) -> Fleet:
    farm = Farm(place, pushed=[], more_settings=SETTINGS.format(target=TARGET))
    text = farm.home.settings_file.read_text().replace("[protocol]\n", "[protocol]\ntls = true\n")
    farm.home.settings_file.write_text(text)
    farm.http.timeout = 300
    farm.first = make_repository(farm.repository)
    return Fleet(farm)
