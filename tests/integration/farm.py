"""A real farm for tests: its own repository, home and ports, a master process and a worker process, and HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from master import instance, settings
from master.cli.processes import marked
from master.home import Home
from master.instance import Process
from workers.machine import native_target
from workers.model import ROOT, load_matrix

PROGRAMS = (
    "plan", "sources", "build", "package", "validate", "prove", "test", "archive", "derive", "validate_flavours",
    "prove_flavours",
)  # fmt: skip
GIT = {
    "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip
TARGET = native_target() or "x86_64-unknown-linux-gnu"


def cell_name(version: str = "3.13", variant: str = "noopt") -> str:
    return f"cpython-{version}-{TARGET}-{variant}"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=repository, env={**os.environ, **GIT}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def make_repository(path: Path, orders: Mapping[str, Any] | None = None) -> str:
    """The checkout's `workers/` and matrix, with stand-ins for the programs. Returns the commit."""
    path.mkdir(parents=True)
    shutil.copytree(ROOT / "workers", path / "workers", ignore=shutil.ignore_patterns("__pycache__"))
    (path / "cpython-unix").mkdir()
    shutil.copy(ROOT / "cpython-unix" / "matrix.toml", path / "cpython-unix")
    shutil.copy(Path(__file__).with_name("standin.py"), path / "workers" / "standin.py")
    for name in PROGRAMS:
        (path / "workers" / "programs" / f"{name}.py").write_text(f"from workers.standin import {name} as command\n")
    (path / ".gitignore").write_text("__pycache__/\n")
    git(path, "init", "--quiet", "--initial-branch=main")
    return commit(path, orders or {})


def commit(repository: Path, orders: Mapping[str, Any], message: str = "a change") -> str:
    """A commit with these orders for the stand-ins."""
    (repository / "standin.json").write_text(json.dumps(orders))
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(repository, "rev-parse", "HEAD")


def until(what: str, look: Callable[[], Any], seconds: float = 300) -> Any:
    """What `look` returns once it is true. Fails with `what` when it never is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = look()
        except httpx.TransportError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


@dataclass
class Farm:
    """Started by `up`, ended by `down`. pushed: the cells of a push; first: the repository's first commit.

    poll_s: seconds between two looks at the repository; a farm where nothing is pushed need not look.
    """

    root: Path
    pushed: list[str] = field(default_factory=lambda: [cell_name()])
    more_settings: str = ""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    first: str = ""
    poll_s: int = 1

    def __post_init__(self) -> None:
        self.repository = self.root / "repository"
        self.home = Home(self.root / "home", ROOT)
        self.port = free_port()
        self.worker_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.home.root.mkdir(parents=True)
        self.home.settings_file.write_text(
            f"[web]\nport = {self.port}\n[protocol]\nport = {self.worker_port}\n"
            f"[repository]\nurl = {json.dumps(str(self.repository))}\npoll_s = {self.poll_s}\n"
            f"[push]\ncells = {json.dumps(self.pushed)}\n{self.more_settings}"
        )
        self.http = httpx.Client(base_url=self.url, timeout=120)

    def up(self, *names: str) -> Farm:
        """Starts master and worker (or those named) and waits until they are there."""
        chosen = settings.load(self.home, load_matrix())
        instance.prepare(self.home, chosen)
        for name in names or ("master", "worker"):
            process = {"master": instance.master_process, "worker": instance.worker_process}[name](self.home)
            self.running[name] = self._start(process)
        if not names or "master" in names:
            until(f"the master listens\n{self.log('master')}", lambda: self._alive("master") and self.masters())
        if not names or "worker" in names:
            until("the worker is connected", self.connected)
        return self

    def _start(self, process: Process) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            process.argv, cwd=process.cwd, env=process.environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _alive(self, name: str) -> bool:
        assert self.running[name].poll() is None, self.log(name)
        return True

    def processes(self) -> list[tuple[int, list[bytes]]]:
        """All that run for this farm, and for no other one of the machine, with their arguments. Linux only.

        What judges archives in a release is told nothing of MINT_HOME; it has a path below it among its arguments.
        """
        mine, found = {one.pid for one in marked("MINT_HOME", str(self.home.root))}, []
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = place.read_bytes()
            except OSError:  # it has ended
                continue
            if int(place.parent.name) in mine or bytes(self.home.root) + b"/" in words:
                found.append((int(place.parent.name), words.split(b"\0")))
        return found

    def log(self, name: str) -> str:
        path = (self.home.master if name == "master" else self.home.worker) / "twistd.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def down(self, *names: str, how: signal.Signals = signal.SIGTERM) -> None:
        for name in names or tuple(self.running):
            process = self.running.pop(name, None)
            if process is None:
                continue
            process.send_signal(how)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        self.down("worker", "master")
        self.http.close()

    def get(self, path: str, **params: Any) -> Any:
        answer = self.http.get(f"api/v2/{path}", params=params)
        answer.raise_for_status()
        return answer.json()

    def masters(self) -> bool:
        return any(one["active"] for one in self.get("masters")["masters"])

    def connected(self, name: str = "local") -> bool:
        return any(one["connected_to"] for one in self.get("workers")["workers"] if one["name"] == name)

    def call(self, path: str, method: str, **params: Any) -> httpx.Response:
        """A control request, as the page sends it."""
        return self.http.post(f"api/v2/{path}", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})

    def force(self, builder: str = "", **params: Any) -> int:
        """Forces a cell; the id of its build request."""
        answer = self.call("forceschedulers/force-cell", "force", builderNames=[builder or cell_name()], **params)
        assert answer.status_code == 200, answer.text
        (request,) = answer.json()["result"][1].values()
        return int(request)

    def finished(self, request: int, seconds: float = 900) -> dict[str, Any]:
        """The newest build of a request, once the request is complete."""
        until(
            f"request {request} is complete\n{self.log('master')}",
            lambda: self.get(f"buildrequests/{request}")["buildrequests"][0]["complete"],
            seconds,
        )
        return self.builds(request)[0]

    def builds(self, request: int) -> list[dict[str, Any]]:
        return list(self.get("builds", buildrequestid=request, order="-number")["builds"])

    def steps(self, build: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        return {step["name"]: step for step in self.get(f"builds/{build['buildid']}/steps")["steps"]}

    def step_log(self, step: Mapping[str, Any], name: str) -> str:
        logs = {one["name"]: one["logid"] for one in self.get(f"steps/{step['stepid']}/logs")["logs"]}
        answer = self.http.get(f"api/v2/logs/{logs[name]}/raw_inline")
        answer.raise_for_status()
        return answer.text

    def properties(self, build: Mapping[str, Any]) -> dict[str, Any]:
        found = self.get(f"builds/{build['buildid']}/properties")["properties"][0]
        return {name: value for name, (value, _) in found.items()}
