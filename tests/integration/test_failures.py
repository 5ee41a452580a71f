"""What a farm survives: killed processes, restarts, cells without a worker."""

from __future__ import annotations

import signal
import time
from typing import Any

from tests.integration.farm import Farm, cell_name, commit, until


def running_step(farm: Farm, request: int) -> Any:
    """The names of the steps that are at work."""
    return [
        step["name"]
        for build in farm.builds(request)
        if not build["complete"]
        for step in farm.steps(build).values()
        if step["started_at"] and not step["complete"] and step["name"] == "cpython"
    ]


def test_a_killed_worker_loses_no_build(own_farm: Farm) -> None:
    revision = commit(own_farm.repository, {"slow": {"cpython": 3}})
    own_farm.up()
    request = own_farm.force(revision=revision)
    until("the cpython stage runs", lambda: running_step(own_farm, request))
    own_farm.down("worker", how=signal.SIGKILL)
    until("the build is given up", lambda: own_farm.builds(request)[0]["complete"])
    assert own_farm.builds(request)[0]["results"] == 5
    own_farm.up("worker")
    build = own_farm.finished(request)
    assert build["results"] == 0
    assert [one["results"] for one in own_farm.builds(request)] == [0, 5]


def test_a_request_that_is_taken_back_as_its_build_begins_leaves_no_build_open(own_farm: Farm) -> None:
    """By Buildbot 4.3 (master/mended.py) such a build went on for ever, doing nothing."""
    own_farm.up()
    requests = []
    for number in range(24):
        requests.append(own_farm.force())
        time.sleep(0.005 * number)
        own_farm.call(f"buildrequests/{requests[-1]}", "cancel", reason="a test")

    def open_requests() -> list[int]:
        return [one for one in requests if not own_farm.get(f"buildrequests/{one}")["buildrequests"][0]["complete"]]

    until("all are done", lambda: not open_requests())
    assert own_farm.get("builds")["meta"]["total"] > 0
    until("no build is open", lambda: own_farm.get("builds", complete=False)["meta"]["total"] == 0)


def test_a_killed_master_loses_no_build_and_no_waiting_request(own_farm: Farm) -> None:
    revision = commit(own_farm.repository, {"slow": {"cpython": 3}})
    own_farm.up()
    first, second = own_farm.force(revision=revision), own_farm.force(cell_name("3.12"), revision=revision)
    until("the cpython stage runs", lambda: running_step(own_farm, first))
    own_farm.down("master", how=signal.SIGKILL)
    while_down = commit(own_farm.repository, {}, "made while the master was down")
    own_farm.up("master")
    assert own_farm.finished(first)["results"] == 0
    assert own_farm.finished(second)["results"] == 0
    change = until("the poller saw it", lambda: own_farm.get("changes", revision=while_down)["changes"])
    until(
        "and it was built",
        lambda: [
            build["results"]
            for build in own_farm.get(f"changes/{change[0]['changeid']}/builds")["builds"]
            if build["complete"]
        ],
    )


def test_a_cell_without_a_worker_is_listed_and_never_queued(own_farm: Farm) -> None:
    own_farm.up("master")
    waiting = "cpython-3.13-aarch64-apple-darwin-pgo-lto"
    assert waiting not in {one["name"] for one in own_farm.get("builders")["builders"]}
    assert own_farm.call("forceschedulers/force-cell", "force", builderNames=[waiting]).status_code == 400
    assert own_farm.get("buildrequests")["buildrequests"] == []
    projects = {one["name"]: one["description"] for one in own_farm.get("projects")["projects"]}
    assert waiting in projects["cpython-3.13"]


def test_a_stopped_build_ends_as_cancelled_and_the_next_one_works(own_farm: Farm) -> None:
    revision = commit(own_farm.repository, {"slow": {"cpython": 3}})
    own_farm.up()
    request = own_farm.force(revision=revision)
    until("the cpython stage runs", lambda: running_step(own_farm, request))
    (build,) = own_farm.builds(request)
    assert own_farm.call(f"builds/{build['buildid']}", "stop", reason="enough").status_code == 200
    stopped = own_farm.finished(request)
    assert stopped["results"] == 6
    assert own_farm.steps(stopped)["cpython"]["state_string"] == "cpython: stopped"
    assert own_farm.finished(own_farm.force(revision=revision))["results"] == 0
