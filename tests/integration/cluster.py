"""A whole cluster for tests: PostgreSQL, a router, two masters, workers that know both, all real processes.

Each is started again a second after it ended, as systemd does with Restart=always and RestartSec=1.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from master import instance, settings
from master.cluster import router
from master.home import Home
from master.instance import Process
from tests.integration.farm import TARGET, Farm, cell_name, free_port, make_repository, until
from tests.integration.postgres_server import PASSWORD, Server
from workers.model import ROOT, load_matrix

RESTART_S = 1.0
MASTERS = ("a", "b")
WORKERS = ("w1", "w2", "w3", "w4")
MAX_BUILDS = 7


class Supervised:
    """A process that is started again whenever it ends, until `close`. started: how often it was."""

    def __init__(self, name: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.name, self.start = name, start
        self.started = 0
        self.closing = threading.Event()
        self.process = self._begin()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _begin(self) -> subprocess.Popen[bytes]:
        self.started += 1
        return self.start()

    def _watch(self) -> None:
        while not self.closing.is_set():
            self.process.wait()
            if self.closing.wait(RESTART_S):
                return
            self.process = self._begin()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def kill_for_good(self) -> None:
        """Nobody starts it again."""
        self.closing.set()
        self.kill()
        self.thread.join(30)

    def close(self) -> None:
        self.closing.set()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.thread.join(30)


def spawn(process: Process) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        process.argv, cwd=process.cwd, env=process.environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@dataclass
class Seat(Farm):
    """One master's page and forms. Its files are the cluster's."""

    name: str = ""
    web_port: int = 0

    def __post_init__(self) -> None:
        self.repository = self.root / "repository"
        self.home = Home(self.root / "home", ROOT, self.name)
        self.port = self.web_port
        self.url = f"http://127.0.0.1:{self.port}/"
        # A connection each: one that is kept may be closed by a master just when it is used again.
        self.http = httpx.Client(base_url=self.url, timeout=300, limits=httpx.Limits(max_keepalive_connections=0))

    def active(self) -> bool:
        return any(one["active"] and one["name"] == f"pymint-{self.name}" for one in self.get("masters")["masters"])


@dataclass
class Cluster:
    """root: a directory that is its own. made_router: a MINT_HOME whose router is installed already.

    workers: their names. more: settings. environments: what each master has besides, by its name.
    """

    root: Path
    database: Server
    made_router: Path | None = None
    workers: tuple[str, ...] = WORKERS
    more: str = ""
    expire_minutes: int = 10
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    running: dict[str, Supervised] = field(default_factory=dict)
    seats: dict[str, Seat] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = Home(self.root / "home", ROOT)
        self.home.root.mkdir(parents=True)
        self.repository = self.root / "repository"
        self.first = make_repository(self.repository)
        self.ports = {name: (free_port(), free_port()) for name in MASTERS}
        self.router_url = f"ws://127.0.0.1:{free_port()}/ws"
        workers = "".join(
            f'[[workers]]\nname = "{one}"\ntargets = ["{TARGET}"]\nmax_builds = {MAX_BUILDS}\n' for one in self.workers
        )
        masters = "".join(
            f'[[masters]]\nname = "{name}"\nweb_port = {web}\nworker_port = {port}\n'
            for name, (web, port) in self.ports.items()
        )
        self.home.settings_file.write_text(
            f"[repository]\nurl = {json.dumps(str(self.repository))}\npoll_s = 1\n"
            f'[push]\ncells = ["{cell_name()}"]\n{workers}{masters}'
            f'[cluster]\nrouter = "{self.router_url}"\nexpire_minutes = {self.expire_minutes}\n'
            '[signing]\nbase = "https://mint.example"\n'
            f'[database]\nurl = "{self.database.url}"\npassword_file = "secrets/database"\n{self.more}'
        )
        self.home.secrets.mkdir(mode=0o700)
        (self.home.secrets / "database").write_text(PASSWORD)
        (self.home.secrets / "database").chmod(0o600)
        self.seats = {name: Seat(self.root, name=name, web_port=self.ports[name][0]) for name in MASTERS}

    def up(self) -> Cluster:
        if self.made_router is not None:
            place = router.place_of(self.home).root
            place.mkdir()
            (place / "venv").symlink_to((self.made_router / "router" / "venv").resolve())
        chosen = settings.load(self.home, load_matrix())
        command = router.prepare(self.home, chosen)
        self.running["router"] = Supervised("router", lambda: spawn(
            Process(command, self.home.root, dict(os.environ), self.root / "router.log")))  # fmt: skip
        for name, seat in self.seats.items():
            instance.prepare(seat.home, settings.load(seat.home, load_matrix()))
            process = self.master_process(name)
            self.running[name] = Supervised(name, lambda process=process: spawn(process))  # type: ignore[misc]
        for name in self.workers:
            process = self._worker(name, chosen)
            self.running[name] = Supervised(name, lambda process=process: spawn(process))  # type: ignore[misc]
        for seat in self.seats.values():
            until(f"master {seat.name} is there", seat.active, 900)
        polled = "SELECT count(*) FROM object_state WHERE name = 'lastRev'"
        until("the poller has looked once", lambda: self.database.rows(polled) != [(0,)], 600)
        until("the workers are connected", lambda: self.connected() == len(self.workers), 300)
        return self

    def master_process(self, name: str) -> Process:
        like = instance.master_process(self.seats[name].home)
        return replace(like, environment={**like.environment, **self.environments.get(name, {})})

    def _worker(self, name: str, chosen: settings.Settings) -> Process:
        place = self.root / name
        place.mkdir()
        (place / "buildbot.tac").write_text((ROOT / "workers" / "service" / "buildbot.tac").read_text())
        (one,) = [one for one in settings.workers_of(chosen) if one.name == name]
        text = instance.worker_toml(self.home, chosen, one).replace(str(self.home.worker_state), str(place / "state"))
        (place / "worker.toml").write_text(text)
        like = instance.worker_process(self.home)
        return Process(like.argv, place, like.environment, place / "twistd.log")

    def connected(self) -> int:
        names = ", ".join(f"'{one}'" for one in self.workers)
        return len(self.database.rows("SELECT DISTINCT workerid FROM connected_workers JOIN workers ON workers.id = "
                                      f"workerid WHERE workers.name IN ({names})"))  # fmt: skip

    def close(self) -> None:
        for name in (*self.workers, *MASTERS, "router"):
            if name in self.running:
                self.running[name].close()
        for seat in self.seats.values():
            seat.http.close()


def memory_mb(pid: int) -> float:
    """Of a process and all below it."""
    total = 0.0
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            total += int(line.split()[1]) / 1024
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        total += memory_mb(int(child))
    return total


def waited(what: str, look: Callable[[], Any], seconds: float) -> float:
    """How long it took."""
    begun = time.monotonic()
    until(what, look, seconds)
    return time.monotonic() - begun
