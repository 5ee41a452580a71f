"""`/metrics` of a real master, as Prometheus reads it."""

from __future__ import annotations

import json
import re

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.farm import Farm, cell_name, commit, free_port, until
from workers.model import ROOT


def scraped(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by name and labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_figures_of_a_farm_that_builds(own_farm: Farm) -> None:
    cell = cell_name()
    own_farm.pushed = []
    with own_farm.home.settings_file.open("a") as settings:
        settings.write(f"[release]\ncells = {json.dumps([cell])}\nallow_unvalidated = true\n")
    own_farm.up("master")
    request = own_farm.force(cell)
    found = scraped(own_farm.http.get("metrics").text)
    assert found["pymint_requests_waiting", (cell,)] == 1
    assert found["pymint_worker_connected", ("local",)] == 0
    own_farm.up("worker")
    assert own_farm.finished(request)["results"] == 0
    bad = commit(own_farm.repository, {"fail": "plan"})
    assert own_farm.finished(own_farm.force(cell, revision=bad))["results"] == 2
    until("the last build is counted", lambda: scraped(own_farm.http.get("metrics").text).get(
        ("pymint_builds_total", (cell, "failure"))))  # fmt: skip
    answer = own_farm.http.get("metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = scraped(answer.text)
    assert found["pymint_builds_total", (cell, "success")] == 1
    assert found["pymint_build_duration_seconds_count", (cell,)] == 1
    assert found["pymint_failed_steps_total", ("plan",)] == 1
    assert found["pymint_signing_failures_total", ()] == 0
    assert found["pymint_worker_connected", ("local",)] == 1
    assert found["pymint_database_bytes", ()] > 100_000
    assert found["pymint_disk_free_bytes", (str(own_farm.home.root / "store"),)] > 0
    assert found["pymint_healthy", ()] == 1
    assert sum(value for (name, _), value in found.items() if name == "pymint_release_cells") == 1
    documented = (ROOT / "docs" / "watching.md").read_text()
    names = {re.sub("_(bucket|sum|count|created|total)$", "", name) for name, _ in found if name.startswith("pymint_")}
    assert {name for name in names if f"`{name}" not in documented} == set()


def test_with_a_port_of_their_own_they_are_only_there(own_farm: Farm) -> None:
    port = free_port()
    with own_farm.home.settings_file.open("a") as settings:
        settings.write(f"[metrics]\nport = {port}\n")
    own_farm.up("master")
    assert own_farm.http.get("metrics").status_code in (404, 405)
    assert "pymint_healthy" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
