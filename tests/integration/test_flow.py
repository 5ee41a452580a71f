"""From a commit to a recorded archive, through a real master and a real worker."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from typing import Any

import pytest

from master.store import Store
from tests.integration.farm import TARGET, Farm, cell_name, commit, git, until
from workers.model import DERIVED

STEPS = [
    "worker_preparation", "fit", "checkout", "plan", "sources", "dependencies", "openssl", "fips-provider", "cpython",
    "package", "validate", "prove-fips", "test-suite", "archive", "derive", "validate-flavours", "prove-flavours",
    "upload", "record", "attest",
]  # fmt: skip


def on_branch(farm: Farm, name: str, **orders: object) -> str:
    """A commit of its own branch with these orders, so that no push builds it. Back on main afterwards."""
    git(farm.repository, "checkout", "--quiet", "-b", name, "main")
    made = commit(farm.repository, orders)
    git(farm.repository, "checkout", "--quiet", "main")
    return made


def failed_step(farm: Farm, request: int) -> dict[str, object]:
    build = farm.finished(request)
    assert build["results"] == 2
    return next(step for step in farm.steps(build).values() if step["results"] == 2)


@pytest.fixture(scope="module")
def good(farm: Farm) -> dict[str, Any]:
    """A build of 3.12 at the head of main that went well."""
    build = farm.finished(farm.force(cell_name("3.12"), reason="by hand"))
    assert build["results"] == 0
    return build


def test_a_forced_cell_goes_from_commit_to_recorded_archive(farm: Farm, good: dict[str, Any]) -> None:
    build, head = good, farm.first
    steps = farm.steps(build)
    assert list(steps) == STEPS
    assert all(step["state_string"] for step in steps.values())
    assert steps["openssl"]["state_string"].startswith("openssl 1.2.3: built")
    assert "not CMVP-validated" in steps["fips-provider"]["state_string"]
    said = farm.properties(build)
    assert said["got_revision"] == head
    assert said["variant"] == "noopt"
    assert said["python_version"] == "3.12.5"
    archive = farm.http.get(said["archive_url"])
    assert hashlib.sha256(archive.content).hexdigest() == said["archive_sha256"]
    record = Store(farm.home.root / "store").find(cell_name("3.12"), build["number"])
    assert record is not None
    assert (record.commit, record.archive.sha256) == (head, said["archive_sha256"])
    assert record.provider.certificate is None
    assert [one.flavour for one in record.derived] == list(DERIVED)
    links = {link["name"]: link["url"] for link in steps["record"]["urls"]}
    for one in record.archives():
        delivered = farm.http.get(links[one.name])
        assert hashlib.sha256(delivered.content).hexdigest() == one.sha256
        assert delivered.headers["content-type"] == f"application/{'gzip' if one.name.endswith('.gz') else 'zstd'}"
        assert one.name in delivered.headers["content-disposition"]
    assert not list(farm.home.incoming.iterdir())


def test_event_lines_are_progress_and_not_in_the_log(farm: Farm) -> None:
    """Nine seconds, since a worker of Buildbot collects output for five before it sends it."""
    request = farm.force(cell_name("3.11"), revision=on_branch(farm, "slow", slow={"openssl": 9}))
    until(
        "the step says how far it is",
        lambda: any(
            step["state_string"] == "openssl, 25 %"
            for build in farm.builds(request)
            for step in farm.steps(build).values()
        ),
    )
    build = farm.finished(request)
    assert build["results"] == 0
    step = farm.steps(build)["openssl"]
    assert "done by a stand-in" in farm.step_log(step, "stdio")
    assert "::pymint" not in farm.step_log(step, "stdio")
    assert farm.step_log(step, "openssl") == "compiling openssl\n"


def test_a_push_builds_the_configured_cells_and_every_commit_of_it(farm: Farm) -> None:
    git(farm.repository, "checkout", "--quiet", "main")
    commits = [commit(farm.repository, {}, f"number {number}") for number in range(2)]
    for one in commits:
        change = until("the poller saw it", lambda: farm.get("changes", revision=one)["changes"])  # noqa: B023
        builds = until(
            "all its builds are done",
            lambda: [b for b in farm.get(f"changes/{change[0]['changeid']}/builds")["builds"] if b["complete"]],  # noqa: B023
        )
        assert [build["results"] for build in builds] == [0]
    forced = farm.finished(farm.force(cell_name("3.10"), revision=commits[-1]))
    found = farm.get(f"changes/{change[0]['changeid']}/builds")["builds"]
    assert forced["buildid"] in {build["buildid"] for build in found}, "a forced build must be found by its commit"


def test_a_force_without_a_commit_builds_the_head(farm: Farm) -> None:
    request = farm.force(cell_name("3.10"))
    (build,) = until("it is built", lambda: farm.builds(request))
    # A build is listed a moment before its properties are.
    revision = until("its properties are written", lambda: farm.properties(build).get("revision"))
    assert revision == git(farm.repository, "rev-parse", "main")
    farm.call(f"buildrequests/{request}", "cancel", reason="seen")


@pytest.mark.parametrize(
    ("revision", "text"),
    [("zz", "40 digits"), ("A" * 40, "40 digits"), ("a" * 40 + "\n$(id)", "40 digits"), ("a" * 40, "no branch of")],
)
def test_a_wrong_commit_is_refused_under_its_field(farm: Farm, revision: str, text: str) -> None:
    answer = farm.call("forceschedulers/force-cell", "force", builderNames=[cell_name()], revision=revision)
    assert answer.status_code == 400
    assert text in answer.json()["error"]["message"]["revision"]


@pytest.mark.parametrize("builders", [["no-such-cell"], [], ["farm"], ["housekeeping"], "farm"])
def test_a_force_of_what_no_worker_builds_is_refused(farm: Farm, builders: object) -> None:
    answer = farm.call("forceschedulers/force-cell", "force", builderNames=builders)
    assert answer.status_code == 400
    assert "builderNames" in answer.json()["error"]["message"]


def test_a_builder_id_does_not_get_around_the_form(farm: Farm) -> None:
    ids = {one["name"]: one["builderid"] for one in farm.get("builders")["builders"]}
    answer = farm.call("forceschedulers/force-cell", "force", builderid=ids["farm"])
    assert answer.status_code == 400


def test_the_farm_form_builds_chosen_cells_in_one_go(farm: Farm) -> None:
    cells = [cell_name("3.10"), cell_name("3.11", "debug")]
    head = git(farm.repository, "rev-parse", "main")
    answer = farm.call("forceschedulers/force-farm", "force", cells=cells, revision=head)
    assert answer.status_code == 200, answer.text
    (request,) = answer.json()["result"][1].values()
    build = farm.finished(request)
    assert build["results"] == 0
    assert build["state_string"] == "build successful"
    triggered = farm.get(f"builds/{build['buildid']}/triggered_builds")["builds"]
    names = {one["builderid"]: one["name"] for one in farm.get("builders")["builders"]}
    assert sorted(names[one["builderid"]] for one in triggered) == cells
    assert {farm.properties(one)["got_revision"] for one in triggered} == {head}
    assert farm.steps(build)["fan-out"]["state_string"] == "2 of 2 cells built"


def test_the_farm_form_takes_targets_versions_and_variants(farm: Farm) -> None:
    fields = {"targets": [TARGET], "versions": ["3.13", "3.14"], "variants": ["freethreaded+pgo+lto", "noopt"]}
    answer = farm.call("forceschedulers/force-farm", "force", **fields)
    (request,) = answer.json()["result"][1].values()
    (build,) = until("it started", lambda: farm.builds(request))
    chosen = until("its properties are written", lambda: farm.properties(build).get("cells"))
    farm.call(f"builds/{build['buildid']}", "stop", reason="seen")
    slugs = ("noopt", "freethreaded-pgo-lto")
    assert set(chosen) == {cell_name(v, s) for v in ("3.13", "3.14") for s in slugs}


@pytest.mark.parametrize("fields", [{}, {"versions": ["3.10"], "variants": ["freethreaded+pgo+lto"]}])
def test_a_farm_force_of_nothing_is_refused(farm: Farm, fields: dict[str, object]) -> None:
    answer = farm.call("forceschedulers/force-farm", "force", **fields)
    assert answer.status_code == 400
    assert "No cell is left" in answer.json()["error"]["message"]["cells"]


def test_two_forces_of_one_commit_are_two_builds(farm: Farm) -> None:
    """Buildbot's default would collapse them, and end the first as skipped."""
    head = git(farm.repository, "rev-parse", "main")
    requests = [farm.force(cell_name("3.10"), revision=head, reason=text) for text in ("one", "two")]
    builds = [farm.finished(request) for request in requests]
    assert [build["results"] for build in builds] == [0, 0]
    assert [farm.properties(build)["reason"] for build in builds] == ["one", "two"]


def test_a_failing_program_says_why_on_the_page(farm: Farm) -> None:
    step = failed_step(farm, farm.force(cell_name("3.10"), revision=on_branch(farm, "sources-fail", fail="sources")))
    assert (step["name"], step["state_string"]) == ("sources", "sources: the stand-in was told to fail")
    problem = farm.step_log(step, "problem")
    assert problem.splitlines()[1:] == ["  wanted  success", "  found   an order", "  Change standin.json."]


def test_a_failing_node_shows_its_log(farm: Farm) -> None:
    step = failed_step(farm, farm.force(cell_name("3.10"), revision=on_branch(farm, "node-fails", fail="cpython")))
    assert step["state_string"] == "cpython: it broke"
    assert farm.step_log(step, "cpython-3.13") == "compiling cpython-3.13\n"


def test_a_failed_validation_is_readable_in_the_browser_and_nothing_is_stored(farm: Farm) -> None:
    before = list(Store(farm.home.root / "store").records())
    step = failed_step(farm, farm.force(cell_name("3.10"), revision=on_branch(farm, "not-valid", fail="validate")))
    page = farm.step_log(step, "validation report")
    assert "GLIBC_2.38" in page
    assert "<script>" not in page
    assert list(Store(farm.home.root / "store").records()) == before


@pytest.mark.parametrize("stage", ["derive", "validate-flavours", "prove-flavours"])
def test_a_smaller_archive_that_is_not_good_ends_the_build_and_nothing_is_stored(farm: Farm, stage: str) -> None:
    before = list(Store(farm.home.root / "store").records())
    step = failed_step(farm, farm.force(cell_name("3.10"), revision=on_branch(farm, f"no-{stage}", fail=stage)))
    assert (step["name"], step["state_string"]) == (stage, f"{stage}: the stand-in was told to fail")
    assert list(Store(farm.home.root / "store").records()) == before


def test_a_report_of_another_schema_is_refused(farm: Farm) -> None:
    revision = on_branch(farm, "future", wrong_schema="prove")
    step = failed_step(farm, farm.force(cell_name("3.10"), revision=revision))
    assert step["name"] == "prove-fips"
    assert "is not a report of the kind ProveReport" in str(step["state_string"])
    assert "pymint/from-the-future/9" in farm.step_log(step, "problem")


@pytest.mark.parametrize("flavour", ["full", "install_only_stripped"])
def test_an_archive_that_is_not_what_was_reported_is_refused_and_named(farm: Farm, flavour: str) -> None:
    store = farm.home.root / "store"
    before = sorted(store.rglob("*"))
    step = failed_step(farm, farm.force(cell_name("3.10"), revision=on_branch(farm, f"bad-{flavour}", tamper=flavour)))
    assert step["name"] == "record"
    assert str(step["state_string"]).startswith("record: cpython-3.10.5-")
    assert "is not what the worker reported" in str(step["state_string"])
    problem = farm.step_log(step, "problem")
    assert "wanted  sha256" in problem
    assert "thrown away" in problem
    assert sorted(store.rglob("*")) == before
    assert not list(farm.home.incoming.iterdir())


def test_the_suite_is_in_buildbots_test_results_and_on_the_page(farm: Farm, good: dict[str, Any]) -> None:
    step = farm.steps(good)["test-suite"]
    assert step["state_string"].startswith("the quick part of the suite passed: FIPS off 80 tests in 1 file")
    sets = {one["description"]: one for one in farm.get(f"steps/{step['stepid']}/test_result_sets")["test_result_sets"]}
    files, failures = sets["test files, FIPS off"], sets["failures, FIPS off"]
    assert (files["tests_passed"], files["tests_failed"], files["complete"]) == (1, 0, True)
    found = farm.get(f"test_result_sets/{failures['test_result_setid']}/results")["test_results"]
    assert [(one["test_name"], one["value"]) for one in found] == [("test.test_x.T.test_y", "expected: the sandbox")]
    assert "The slowest" in farm.step_log(step, "test suite")


def test_a_new_failure_of_the_suite_is_named_and_nothing_is_archived(farm: Farm) -> None:
    step = failed_step(farm, farm.force(cell_name("3.10"), revision=on_branch(farm, "suite-fails", fail="test")))
    assert step["name"] == "test-suite"
    assert step["state_string"] == "1 new failure: test_x.T.test_y (FIPS off)"
    assert "&lt;script&gt;" in farm.step_log(step, "test suite").replace("&amp;", "&")


def test_reports_are_build_data(farm: Farm, good: dict[str, Any]) -> None:
    build = good
    for name, schema in (("plan", "pymint/plan-report/2"), ("validate", "pymint/validate/1")):
        answer = farm.http.get(f"api/v2/builds/{build['buildid']}/data/{name}/value")
        assert json.loads(answer.content)["schema"] == schema


def test_bills_of_materials_are_beside_their_archives(farm: Farm, good: dict[str, Any]) -> None:
    base = f"archives/{cell_name('3.12')}/{good['number']}/"
    page = farm.http.get(base).text
    names = re.findall(r'href="(cpython-[^"]*)\.tar\.(?:zst|gz)"', page)
    assert len(names) == 4
    for name in names:
        answer = farm.http.get(f"{base}{name}.cdx.json")
        assert answer.status_code == 200
        assert name in answer.json()["of"]


def test_stored_reports_can_run_nothing_in_the_browser(farm: Farm, good: dict[str, Any]) -> None:
    base = f"archives/{cell_name('3.12')}/{good['number']}/"
    names = ("validate.html", "prove.html", "test.html", "prove-install_only.html", "plan.json", "SHA256SUMS", "")
    for name in names:
        answer = farm.http.get(base + name)
        assert answer.status_code == 200, name
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["../../settings.toml", "%2e%2e/%2e%2e/secrets", "x/1/y", "farm/1/", "a/1e9/", f"{cell_name()}/999/"]
)
def test_no_path_leads_out_of_the_store(farm: Farm, path: str) -> None:
    answer = farm.http.get(f"archives/{path}")
    assert answer.status_code == 404
    assert "port" not in answer.text


def test_a_damaged_archive_is_not_delivered(farm: Farm, good: dict[str, Any]) -> None:
    said = farm.properties(good)
    path = Store(farm.home.root / "store").path_of(said["archive_sha256"])
    path.chmod(0o644)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    try:
        answer = farm.http.get(said["archive_url"])
    finally:
        path.write_bytes(whole)
    assert answer.status_code == 500
    assert "is damaged in the store" in answer.text
    assert farm.http.get(said["archive_url"]).content == whole


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_on_the_master_is_named_and_nothing_half_written_stays(farm: Farm) -> None:
    revision = on_branch(farm, "large", archive_bytes=3_000_000)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(farm.home.incoming)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        step = failed_step(farm, farm.force(cell_name("3.10"), revision=revision))
        left = list(farm.home.incoming.rglob("*"))
    finally:
        subprocess.run(["umount", "--lazy", str(farm.home.incoming)], check=True)
    assert (step["name"], step["state_string"]) == ("upload", "upload: the master could not write archive.tar.zst")
    assert "No space left on device" in farm.step_log(step, "problem")
    assert left == []
    assert farm.finished(farm.force(cell_name("3.10"), revision=revision))["results"] == 0


def test_a_request_that_no_form_checked_is_checked_by_the_first_step(farm: Farm) -> None:
    """A rebuild re-submits a build's source stamp without the form."""
    revision = on_branch(farm, "rebuilt", fail="plan")
    build = farm.finished(farm.force(cell_name("3.10"), revision=revision))
    answer = farm.call(f"builds/{build['buildid']}", "rebuild")
    assert answer.status_code == 200, answer.text
    (request,) = answer.json()["result"][1].values()
    again = farm.finished(request)
    assert farm.properties(again)["got_revision"] == revision
