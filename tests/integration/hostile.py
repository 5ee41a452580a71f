"""What a hostile pull request puts in the place of a worker's program: it tries everything, and says what came of it.

A commit of test_hostile.py has it as `workers/hostile.py`, run as the program `plan`. `standin.json` says in "hostile"
what it is to do: "steal", "flood" or "never end", and where to find what it is after.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.standin import plan  # type: ignore[import-not-found]

from workers.model import ROOT
from workers.sandbox import run_in_sandbox

ORDERS: dict[str, Any] = json.loads((ROOT / "standin.json").read_text())["hostile"]
HOME, STATE = Path(ORDERS["home"]), Path(ORDERS["state"])


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("evil")


def _force() -> None:
    """Everything on the machine reaches the page on loopback."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "force", "params": {"builderNames": [ORDERS["main"]], "revision": ""}}
    _post("api/v2/forceschedulers/force-cell", json.dumps(body).encode(), {})


def _post(path: str, body: bytes, headers: dict[str, str]) -> None:
    said = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(f"http://127.0.0.1:{ORDERS['port']}/{path}", data=body, headers=said)
    urllib.request.urlopen(request, timeout=10).read()


def _hook() -> None:
    body = b'{"repository": {"full_name": "example/pythons"}}'
    _post("change_hook/github", body, {"X-GitHub-Event": "push", "X-GitHub-Delivery": "12345678"})


def _environment() -> None:
    """Nothing in it opens anything: neither by its name nor by what it holds."""
    names = [name for name in os.environ if any(word in name.upper() for word in ("SECRET", "TOKEN", "KEY", "PASS"))]
    if not names and not any(ORDERS["token"] in value for value in os.environ.values()):
        raise PermissionError("nothing")


def _network() -> None:
    """From a recipe: where it is sealed."""
    place = Path("../hostile").resolve()
    for name in ("build", "deps", "out", "toolchain", "data"):
        (place / name).mkdir(parents=True, exist_ok=True)
    connect = f'import socket; socket.create_connection(("127.0.0.1", {ORDERS["port"]}), 5)'
    ended = run_in_sandbox(
        [str(Path(sys.executable).resolve()), "-c", connect],
        build=place / "build", deps=place / "deps", out=place / "out", toolchain=place / "toolchain",
        data=place / "data", environment={"PATH": "/usr/bin:/bin"}, log=place / "log",
    )  # fmt: skip
    said = (place / "log").read_text()
    if ended.exit_code and "Connection refused" in said:
        raise PermissionError(said.splitlines()[-1])
    raise AssertionError(said)


def _outside() -> None:
    """Not sealed: a worker's program is a process like any other. Shows that the attempt in the sandbox can succeed."""
    socket.create_connection(("127.0.0.1", ORDERS["port"]), 5).close()


ATTACKS: dict[str, Callable[[], Any]] = {
    "an object of main's worker": lambda: _write(STATE / "store" / "evil"),
    "an archive of main": lambda: _write(HOME / "store" / "sha256" / "ee" / ("e" * 64)),
    "a record of main": lambda: _write(HOME / "store" / "index" / ("e" * 40) / ORDERS["main"] / "1.json"),
    "an upload of another build": lambda: _write(HOME / "incoming" / "1" / "archive.tar.zst"),
    "the repository": lambda: _write(Path(ORDERS["repository"]) / ".git" / "refs" / "heads" / "evil"),
    "the password of main's worker": lambda: (HOME / "secrets" / "worker-local").read_bytes(),
    "the key that signs": lambda: (HOME / "keys" / "farm.pem").read_bytes(),
    "GitHub's token": lambda: (HOME / "github-token").read_bytes(),
    "the webhook's secret": lambda: (HOME / "hook-secret").read_bytes(),
    "the database with the sessions' secret": lambda: (HOME / "master" / "state.sqlite").read_bytes(),
    "the environment": _environment,
    "a forced build of main": _force,
    "an unsigned delivery": _hook,
    "the network, from a recipe": _network,
}  # fmt: skip


def steal() -> None:
    for name, attack in ATTACKS.items():
        try:
            attack()
        except Exception as error:
            print(f"stopped: {name}: {type(error).__name__} {error}", flush=True)
        else:
            print(f"SUCCEEDED: {name}", flush=True)
    _outside()
    print("reached: the page, outside of a recipe", flush=True)


def flood() -> None:
    while True:
        print("x" * 100_000, flush=True)
        time.sleep(0.05)


def never_end() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("never", flush=True)
    while True:
        time.sleep(0.5)
        print("still here", flush=True)


{"steal": steal, "flood": flood, "never end": never_end}[ORDERS["do"]]()
command = plan
