"""Whose build is next, when a worker that does one at a time has become free."""

from __future__ import annotations

import time

from tests.integration.farm import Farm, cell_name, commit, until
from tests.integration.test_failures import running_step


def test_what_a_person_forces_goes_before_what_a_push_queued(own_farm: Farm) -> None:
    slow = commit(own_farm.repository, {"slow": {"cpython": 4}})
    own_farm.up("master")
    own_farm.up("worker")
    first = own_farm.force(cell_name("3.11"), revision=slow)
    until("the worker is busy", lambda: running_step(own_farm, first))
    pushed = commit(own_farm.repository, {}, "pushed first")
    change = until("the poller saw it", lambda: own_farm.get("changes", revision=pushed)["changes"])
    until("and it waits", lambda: [one for one in own_farm.get("buildrequests", complete="false")["buildrequests"]
                                   if one["priority"] == 0])  # fmt: skip
    forced = [own_farm.force(cell_name("3.12"), revision=pushed)]
    time.sleep(1.1)  # a master remembers whole seconds
    forced.append(own_farm.force(cell_name("3.10"), revision=pushed))
    builds = [own_farm.finished(request) for request in forced]
    own = until(
        "the push is built",
        lambda: [
            one
            for one in own_farm.get(f"changes/{change[0]['changeid']}/builds")["builds"]
            if one["complete"] and one["buildid"] not in {build["buildid"] for build in builds}
        ],
    )
    started = [build["started_at"] for build in builds]
    assert started == sorted(started), "among equals, who came first"
    assert max(started) <= min(one["started_at"] for one in own)
    assert max(build["buildid"] for build in builds) < min(one["buildid"] for one in own)
