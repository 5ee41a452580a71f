"""A farm with pull requests: a worker for them, with a directory, a state and, where that can be, a user of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from master.access import hash_of
from master.instance import TWISTD
from tests.integration.farm import TARGET, Farm, cell_name, commit, git, until
from tests.unit.fake_github import REPOSITORY, TOKEN
from tests.unit.fake_pulls import SECRET, FakePulls
from workers.model import ROOT

NAME = "strangers"
# Nobody logs in; without a login no pull request may be built.
PASSWORD_HASH = hash_of("correct horse")
PULLED = f"pr-{cell_name()}"


def settings_for(hub: FakePulls, *, pulls: str = "", github: str = "") -> str:
    """Main's worker, one for pull requests, the hub, and one cell of each pull request."""
    return (
        f'[[workers]]\nname = "local"\ntargets = ["{TARGET}"]\nmax_builds = 4\n'
        f'[[workers]]\nname = "{NAME}"\ntargets = ["{TARGET}"]\npull_requests = true\nmax_builds = 4\ndisk_gb = 1\n'
        f'[github]\nrepository = "{REPOSITORY}"\ntoken_file = "github-token"\napi = "{hub.url}"\n'
        f"pace_s = 0.02\n{github}"
        f'[login.users]\nanna = "{PASSWORD_HASH}"\n'
        f'[pull_requests]\ncells = ["{cell_name()}"]\n{pulls}'
    )


def write_secrets(farm: Farm) -> None:
    for name, text in (("github-token", TOKEN), ("hook-secret", SECRET)):
        path = farm.home.root / name
        path.write_text(text)
        path.chmod(0o600)


def propose(farm: Farm, number: int, orders: Mapping[str, Any], files: Mapping[str, str] | None = None) -> str:
    """A new head of a pull request, which no branch has: as a fork's is. Returns the commit."""
    git(farm.repository, "checkout", "--quiet", "--detach", "main")
    for path, text in (files or {}).items():
        (farm.repository / path).write_text(text)
    made = commit(farm.repository, {"number": number, **orders})
    git(farm.repository, "update-ref", f"refs/pull/{number}/head", made)
    git(farm.repository, "checkout", "--quiet", "main")
    return made


def for_everybody(path: Path) -> bool:
    """Whether any user may come to a file."""
    return path.exists() and all(one.stat().st_mode & 0o001 for one in path.resolve().parents)


def python_for_others() -> tuple[str, str] | None:
    """An interpreter that another user may run, and where the virtual environment's libraries are; None without one."""
    libraries = Path(httpx.__file__).parent.parent
    system = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    found = [one for one in (Path(sys.executable), system) if for_everybody(one) and for_everybody(libraries)]
    return (str(found[0]), str(libraries)) if found else None


@dataclass
class Stranger:
    """The worker's process. uid: its user; None for the one that runs the tests."""

    farm: Farm
    root: Path
    uid: int | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> Path:
        return self.root / "state"

    def up(self) -> None:
        """Lays everything out as docs/github.md says, starts it, and waits until it is connected."""
        worker = self.root / "worker"
        python, libraries = (sys.executable, "") if self.uid is None else python_for_others() or ("", "")
        for path in (worker, self.state, self.root / "cache"):
            path.mkdir(parents=True)
        shutil.copy(ROOT / "workers" / "service" / "buildbot.tac", worker)
        shutil.copy(self.farm.home.secrets / f"worker-{NAME}", worker / "password")
        (worker / "worker.toml").write_text(
            f'name = "{NAME}"\nhost = "127.0.0.1"\nport = {self.farm.worker_port}\npassword_file = "password"\n'
            f'python = "{python}"\nstate = "{self.state}"\ncache = "{self.root / "cache"}"\n'
            f'checkout = "{self.root / "checkout"}"\ndisk_gb = 1\n'
        )
        # Its own, since the one with the tests need not be for every user to read.
        for room in ("workers", "cpython-unix"):
            shutil.copytree(ROOT / room, self.root / "checkout" / room, ignore=shutil.ignore_patterns("__pycache__"))
        safe = "".join(f"\tdirectory = {json.dumps(str(self.farm.repository / one))}\n" for one in ("", ".git"))
        (self.root / "gitconfig").write_text(f"[safe]\n{safe}")
        if self.uid is not None:
            for path in (self.root, *self.root.rglob("*")):
                os.chown(path, self.uid, self.uid)
        self.process = subprocess.Popen(
            [python, "-c", TWISTD, "--no_save", "--nodaemon", "--pidfile=", "--python=buildbot.tac"],
            cwd=worker, start_new_session=True, user=self.uid, group=self.uid,
            extra_groups=None if self.uid is None else [],
            env={"PATH": os.environ["PATH"], "HOME": str(self.root), "GIT_CONFIG_GLOBAL": str(self.root / "gitconfig"),
                 **({"PYTHONPATH": libraries} if libraries else {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until("the worker for pull requests is connected", lambda: self.farm.connected(NAME))

    def down(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def requests_of(farm: Farm, commit: str, builder: str = PULLED) -> list[dict[str, Any]]:
    """The build requests of a commit by a builder, the oldest first."""
    builderid = farm.get(f"builders/{builder}")["builders"][0]["builderid"]
    sets = {
        one["bsid"] for one in farm.get("buildsets")["buildsets"] if one["sourcestamps"][0]["revision"] == commit
    }  # fmt: skip
    found = farm.get(f"builders/{builderid}/buildrequests", order="buildrequestid")["buildrequests"]
    return [one for one in found if one["buildsetid"] in sets]
