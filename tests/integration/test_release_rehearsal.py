"""A rehearsal takes the release's own way into a directory, with nothing of the network and nothing secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from master.release.places.chosen import REHEARSAL
from master.store import Store
from tests.unit.publish_samples import TAG, digests_below, files_of, plan_of
from workers.model import ROOT
from workers.reports.base import encode

# Places that a rehearsal of these settings must not even look for: neither host nor file exists.
SETTINGS = """
[release]
places = ["github", "s3", "directory"]
github_repository = "example/pythons"
github_token_file = "{secret}"
github_api = "https://api.github.invalid"
s3_bucket = "pythons"
s3_endpoint = "https://s3.invalid"
s3_credentials_file = "{secret}"
"""
PROGRAM = """
import json, sys
from pathlib import Path

seen = []
def note(event, arguments):
    # But for the code that reads them.
    secret = event == "open" and "secret" in str(arguments[0]) and not str(arguments[0]).endswith((".py", ".pyc"))
    if event.startswith("socket.") or secret:
        seen.append([event, str(arguments)[:200]])
sys.addaudithook(note)

from master import settings
from master.home import Home
from master.release.model import Plan
from master.release.places.chosen import places_of
from master.release.publishing import publish
from master.store import Store
from workers.model import load_matrix
from workers.reports.base import read_report

root = Path(sys.argv[1])
home = Home(root, Path.cwd())
places = places_of(settings.load(home, load_matrix()), home, rehearsal=True)
publish(read_report(root / "plan.json", Plan), Store(root / "store"), places, root / "state", print)
print(json.dumps(seen))
"""
ALONE = ["unshare", "--user", "--map-root-user", "--net"]


def _can_be_alone() -> bool:
    try:
        return subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def root(tmp_path: Path) -> Path:
    secret = tmp_path / "secret"
    secret.write_text("nobody may read this")
    (tmp_path / "settings.toml").write_text(SETTINGS.format(secret=secret))
    plan = plan_of(Store(tmp_path / "store"), rehearsal=True)
    (tmp_path / "plan.json").write_bytes(encode(plan))
    return tmp_path


def _rehearse(root: Path, *before: str) -> list[list[str]]:
    """What the process did with sockets and with what is secret."""
    command = [*before, sys.executable, "-c", PROGRAM, str(root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert digests_below(root / REHEARSAL / TAG) == files_of(plan_of(Store(root / "store"), rehearsal=True)), (
        "the whole release, as a real one would be"
    )
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_a_rehearsal_touches_no_socket_and_no_secret(root: Path) -> None:
    assert _rehearse(root) == []


@pytest.mark.skipif(not _can_be_alone(), reason="this system lets nobody make a network namespace")
def test_a_rehearsal_needs_no_network_at_all(root: Path) -> None:
    """In a network namespace of its own, where even loopback is down."""
    assert _rehearse(root, *ALONE) == []


def test_a_rehearsal_costs_no_disk(root: Path) -> None:
    _rehearse(root)
    archives = list((root / REHEARSAL / TAG).glob("*.tar.*"))
    assert archives
    assert {path.stat().st_nlink for path in archives} == {2}
