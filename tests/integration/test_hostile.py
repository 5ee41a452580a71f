"""A hostile pull request, through a real master and real workers: what stops it, and that main goes on as before.

The worker for pull requests has a user of its own, as docs/github.md wants it: that, and no program of this farm, is
what keeps its code from files that are not its own. Found by polling alone: this farm has no webhook.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from master import instance
from master.store import Store
from tests.integration.farm import Farm, cell_name, commit, make_repository, until
from tests.integration.strangers import (
    PULLED,
    Stranger,
    propose,
    python_for_others,
    requests_of,
    settings_for,
    write_secrets,
)
from tests.unit.fake_github import REPOSITORY, TOKEN, serving
from tests.unit.fake_pulls import FakePulls
from workers.model import ROOT

# Nobody has it.
UID = 65321
PROGRAMS = {
    "workers/hostile.py": Path(__file__).with_name("hostile.py").read_text(),
    "workers/programs/plan.py": "from workers.hostile import command\n",
}

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="not root: no worker with a user of its own can be started here"),
    pytest.mark.skipif(python_for_others() is None, reason="no Python on this machine that another user may run"),
]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Where another user may pass through, which pytest's own directories do not let it."""
    path = Path(tempfile.mkdtemp(prefix="pymint-hostile-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def attacked(place: Path) -> Iterator[tuple[Farm, FakePulls, dict[str, str]]]:
    """A farm with a head of each kind of attack, all found and being built. The heads, by what they do."""
    with serving(FakePulls()) as hub:
        limits = "log_mb = 1\nmax_archive_mb = 1\nstage_minutes = 0.5\n"
        farm = Farm(place / "farm", more_settings=settings_for(hub, pulls=limits, github="poll_minutes = 0.05\n"))
        farm.first = make_repository(farm.repository)
        hub.commits.add(farm.first)
        write_secrets(farm)
        where = {
            "home": str(farm.home.root), "state": str(farm.home.worker_state), "main": cell_name(),
            "port": farm.port, "repository": str(farm.repository), "token": TOKEN,
        }  # fmt: skip
        attacks: dict[str, dict[str, Any]] = {
            "steal": {"hostile": {**where, "do": "steal"}},
            "flood": {"hostile": {**where, "do": "flood"}},
            "never end": {"hostile": {**where, "do": "never end"}},
            "fill the disk": {"archive_bytes": 3_000_000},
        }
        heads = {}
        for number, (name, orders) in enumerate(attacks.items(), 20):
            heads[name] = propose(farm, number, orders, PROGRAMS if "hostile" in orders else None)
            # Of the repository itself, so that nobody has to say a word: worse than a fork.
            hub.open_pull(number, heads[name], REPOSITORY)
        stranger = Stranger(farm, place / "stranger", UID)
        try:
            farm.up()
            stranger.up()
            yield farm, hub, heads
        finally:
            stranger.down()
            farm.close()


def ended(farm: Farm, head: str) -> dict[str, Any]:
    (request,) = until("polling has found the pull request", lambda: requests_of(farm, head))
    return farm.finished(request["buildrequestid"])


def problem(farm: Farm, head: str, step: str) -> str:
    build = ended(farm, head)
    assert build["results"] == 2
    return farm.step_log(farm.steps(build)[step], "problem")


def test_it_reads_no_secret_and_writes_nothing_of_main(attacked: tuple[Farm, FakePulls, dict[str, str]]) -> None:
    farm, _, heads = attacked
    build = ended(farm, heads["steal"])
    said = farm.step_log(farm.steps(build)["plan"], "stdio").splitlines()
    attempts = [line for line in said if line.startswith(("stopped: ", "SUCCEEDED: "))]
    assert len(attempts) == 14
    refusals = (": PermissionError ", ": HTTPError HTTP Error 403", ": HTTPError HTTP Error 404")
    assert [line for line in attempts if not any(one in line for one in refusals)] == []
    assert "reached: the page, outside of a recipe" in said, "else nothing would follow from the recipe's failure"
    # It then told the truth, so that it was stored: where nothing of main looks.
    assert build["results"] == 0
    head, number = heads["steal"], build["number"]
    assert not (farm.home.root / "store" / "index" / head).exists()
    kept = Store(farm.home.root / "pull-requests").find(PULLED, number)
    assert kept is not None
    assert kept.worker == "strangers"
    readiness = farm.http.get("releases/readiness", params={"sha": head}).json()
    assert not readiness["ready"]
    assert readiness["cells"][0]["state"] != "built"
    signed = subprocess.run(
        [sys.executable, "-m", "master.signing", str(build["buildid"])], cwd=ROOT, capture_output=True, text=True,
        env=instance.master_process(farm.home).environment, check=False,
    )  # fmt: skip
    assert signed.returncode != 0
    assert not (farm.home.root / "store" / "attested" / head).exists()


def test_it_can_not_flood_the_masters_database(attacked: tuple[Farm, FakePulls, dict[str, str]]) -> None:
    farm, _, heads = attacked
    assert "plan: ended because it wrote too much\n  wanted  at most 1.0 MB" in problem(farm, heads["flood"], "plan")
    log = farm.step_log(farm.steps(ended(farm, heads["flood"]))["plan"], "stdio")
    assert len(log) <= 1_000_000


def test_it_can_not_fill_the_masters_disk(attacked: tuple[Farm, FakePulls, dict[str, str]]) -> None:
    farm, _, heads = attacked
    assert "did not arrive whole\n  wanted  at most 1.0 MB" in problem(farm, heads["fill the disk"], "upload")
    assert not (farm.home.incoming / str(ended(farm, heads["fill the disk"])["buildid"])).exists()


def test_it_can_not_go_on_for_ever(attacked: tuple[Farm, FakePulls, dict[str, str]]) -> None:
    """Though it does not listen when it is asked to end."""
    farm, hub, heads = attacked
    assert "plan: ended after 30" in problem(farm, heads["never end"], "plan")
    until("GitHub is told", lambda: hub.of(heads["never end"]).get("pymint") == "failure")


def test_the_next_build_of_main_is_unharmed(attacked: tuple[Farm, FakePulls, dict[str, str]]) -> None:
    farm, hub, _ = attacked
    made = commit(farm.repository, {}, "after the attack")
    hub.commits.add(made)
    until("main's build ended well", lambda: hub.of(made).get("pymint") == "success")
    (request,) = requests_of(farm, made, cell_name())
    build = farm.finished(request["buildrequestid"])
    assert farm.properties(build)["workername"] == "local"
    record = Store(farm.home.root / "store").find(cell_name(), build["number"])
    assert record is not None
    assert (record.commit, record.worker) == (made, "local")
    assert farm.properties(build)["attested"]
