"""Releases: from the form to a published directory, with a real master, worker and signer, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from master.access import hash_of
from master.release import guard
from tests.integration.farm import Farm, cell_name, commit, git, make_repository, until
from workers.model import ROOT

CELLS = [cell_name("3.12"), cell_name("3.13")]
SETTINGS = f"[release]\ncells = {json.dumps(CELLS)}\nallow_unvalidated = true\n"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Its first commit on main has both cells built."""
    one = Farm(tmp_path_factory.mktemp("release"), pushed=[], more_settings=SETTINGS)
    one.first = make_repository(one.repository)
    try:
        one.up()
        for build in [one.finished(request) for request in [one.force(name) for name in CELLS]]:
            assert build["results"] == 0, one.log("master")
        yield one
    finally:
        one.close()


def ask(farm: Farm, **params: Any) -> Any:
    return farm.call("forceschedulers/release", "force", **params)


def refusals(farm: Farm, **params: Any) -> dict[str, str]:
    answer = ask(farm, **params)
    assert answer.status_code == 400, answer.text
    found: dict[str, str] = answer.json()["error"]["message"]
    return found


def release(farm: Farm, **params: Any) -> dict[str, Any]:
    answer = ask(farm, **params)
    assert answer.status_code == 200, answer.text
    (request,) = answer.json()["result"][1].values()
    return farm.finished(request)


def rebuilt(farm: Farm, build: dict[str, Any]) -> dict[str, Any]:
    (request,) = farm.call(f"builds/{build['buildid']}", "rebuild").json()["result"][1].values()
    return farm.finished(request)


def states(farm: Farm, build: dict[str, Any]) -> dict[str, tuple[int, str]]:
    return {
        name: (step["results"], step["state_string"])
        for name, step in farm.steps(build).items()
        if name not in ("worker_preparation", "locks_acquire")
    }


def mint(farm: Farm, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MINT_HOME": str(farm.home.root), "MINT_PASSWORD": "correct horse"}
    return subprocess.run(
        [sys.executable, "-m", "master.cli", *map(str, arguments)], cwd=ROOT, env=environment, text=True,
        capture_output=True, check=False,
    )  # fmt: skip


def test_the_form_says_under_each_field_what_is_wrong(farm: Farm) -> None:
    found = refusals(farm, tag="v1.0", revision=farm.first[:12])
    assert found["tag"].startswith("This is no tag for a release.")
    assert "40 digits" in found["revision"]
    assert set(refusals(farm)) == {"tag", "revision"}
    assert set(refusals(farm, tag="20261325", revision=farm.first)) == {"tag"}
    assert refusals(farm, tag="20261125", revision=farm.first, dry_run="perhaps").keys() >= {"dry_run"}


def test_a_commit_that_is_not_on_the_branch_is_refused(farm: Farm) -> None:
    git(farm.repository, "checkout", "--quiet", "-b", "topic", "main")
    revision = commit(farm.repository, {})
    git(farm.repository, "checkout", "--quiet", "main")
    for unknown in (revision, "f" * 40):
        said = refusals(farm, tag="20261125", revision=unknown)
        assert said == {"revision": f"The commit {unknown} is not on main."}


def test_a_commit_whose_set_is_not_complete_is_refused_cell_by_cell(farm: Farm) -> None:
    revision = commit(farm.repository, {"fail": "plan", "slow": {"sources": 20}})
    text = refusals(farm, tag="20261125", revision=revision)["revision"]
    assert text == f"0 of 2 cells are ready (set [release] cells). Missing: {CELLS[0]}; {CELLS[1]}."
    failed = farm.finished(farm.force(CELLS[0], revision=revision))
    text = refusals(farm, tag="20261125", revision=revision)["revision"]
    assert f"Failed: {CELLS[0]} #{failed['number']} (it ended as failure)." in text
    slow = commit(farm.repository, {"slow": {"plan": 30}})
    request = farm.force(CELLS[1], revision=slow)
    until("it runs", lambda: farm.builds(request))
    (running,) = farm.builds(request)
    text = refusals(farm, tag="20261125", revision=slow)["revision"]
    assert f"Running: {CELLS[1]} #{running['number']}." in text
    answer = farm.http.get("releases/readiness", params={"sha": slow}).json()
    assert [one["state"] for one in answer["cells"]] == ["missing", "running"]
    checked = mint(farm, "release", "--check", "--sha", slow)
    assert checked.returncode == 1
    assert "can't be released: 0 of 2 cells are ready" in checked.stdout
    assert f"running  {CELLS[1]}" in checked.stdout
    farm.call(f"builds/{running['buildid']}", "stop", reason="seen")
    farm.finished(request)
    commit(farm.repository, {})


def test_the_gate_answers_on_the_page_and_on_the_command_line(farm: Farm) -> None:
    answer = farm.http.get("releases/readiness", params={"sha": farm.first}).json()
    assert answer["ready"] is True
    assert answer["objections"] == []
    assert answer["notes"] == ["The OpenSSL FIPS provider 3.5.7 (procedure toolchain) is not CMVP-validated."]
    assert [(one["builder"], one["state"]) for one in answer["cells"]] == [(name, "ready") for name in CELLS]
    checked = mint(farm, "release", "--check", "--sha", farm.first, "--json")
    assert (checked.returncode, json.loads(checked.stdout)) == (0, answer)
    assert farm.http.get("releases/readiness", params={"sha": "short"}).status_code == 400


@pytest.fixture(scope="module")
def rehearsed(farm: Farm) -> dict[str, Any]:
    return release(farm, tag="20261125", revision=farm.first)


def test_a_release_is_a_dry_run_by_default_and_publishes_nothing(farm: Farm, rehearsed: dict[str, Any]) -> None:
    said = states(farm, rehearsed)
    assert rehearsed["results"] == 0, (said, farm.log("master"))
    assert list(said) == ["gate", "collect", "plan", "publish"]
    assert said["gate"][1].startswith(f"dry run 20261125 of {farm.first[:12]}: 2 of 2 cells are ready; The OpenSSL")
    assert "20261125 is rehearsed" in said["publish"][1]
    assert not (farm.home.root / "releases" / "20261125").exists()
    for step in farm.steps(rehearsed).values():
        if step["name"] in said:
            log = farm.step_log(step, "stdio")
            if guard.namespaces() is not None:
                assert "no production key, by namespaces of the kernel" in log
    properties = farm.properties(rehearsed)
    assert properties["dry_run"] is True
    page = farm.http.get(f"releases/20261125/{properties['release_identity']}/")
    assert "Dry run of release 20261125" in page.text
    links = {one["name"]: one["url"] for one in farm.steps(rehearsed)["plan"]["urls"]}
    sums = farm.http.get(links["SHA256SUMS"])
    assert sums.status_code == 200
    assert len(sums.text.splitlines()) > 10


def test_a_dry_run_needs_no_production_key(farm: Farm, tmp_path: Path) -> None:
    secret = farm.home.keys / "farm.pem"
    secret.rename(tmp_path / "away")
    try:
        build = release(farm, tag="2026112502", revision=farm.first, dry_run=True)
    finally:
        (tmp_path / "away").rename(secret)
    assert build["results"] == 0, states(farm, build)


@pytest.fixture(scope="module")
def published(farm: Farm, rehearsed: dict[str, Any]) -> dict[str, Any]:
    return release(farm, tag="20261125", revision=farm.first, dry_run=False)


def test_a_release_is_published_and_verifies(farm: Farm, published: dict[str, Any]) -> None:
    said = states(farm, published)
    assert published["results"] == 0, (said, farm.log("master"))
    place = farm.home.root / "releases" / "20261125"
    assert farm.properties(published)["release_where"] == str(place)
    done = mint(farm, "verify", place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": verified") >= 7  # two cells of three archives, and the list of digests


def test_a_tag_that_is_taken_is_refused_and_a_rebuild_has_nothing_to_do(farm: Farm, published: dict[str, Any]) -> None:
    said = refusals(farm, tag="20261125", revision=farm.first, dry_run=False)
    assert said == {"tag": "The tag 20261125 is taken: it is published, of this very commit. Choose another one."}
    again = rebuilt(farm, published)
    assert again["results"] == 0
    assert states(farm, again)["publish"][1].startswith("nothing to do: 20261125 is published: ")


def test_a_tag_of_another_commit_is_refused_by_form_and_gate(farm: Farm, published: dict[str, Any]) -> None:
    newer = commit(farm.repository, {}, "another")
    for build in [farm.finished(request) for request in [farm.force(name, revision=newer) for name in CELLS]]:
        assert build["results"] == 0
    said = refusals(farm, tag="20261125", revision=newer)
    taken = f"he tag 20261125 is taken: the place directory has a release of that name, of the commit {farm.first[:12]}"
    assert said == {"tag": f"T{taken}. Choose another one."}


def test_the_first_step_asks_again_what_the_form_asked(farm: Farm, rehearsed: dict[str, Any]) -> None:
    """A rebuild goes past the form: the store may have lost what the form saw."""
    index = farm.home.root / "store" / "index" / farm.first / CELLS[0]
    index.rename(index.with_name("hidden"))
    try:
        again = rebuilt(farm, rehearsed)
    finally:
        index.with_name("hidden").rename(index)
    said = states(farm, again)
    text = f"release: {farm.first[:12]} can't be released as 20261125: 1 of 2 cells are ready"
    assert (again["results"], said["gate"]) == (2, (2, text))
    assert "collect" not in said or said["collect"][0] != 0
    problem = farm.step_log(farm.steps(again)["gate"], "problem")
    assert f"Refused: {CELLS[0]} #" in problem
    assert "not in the store any more: build it again" in problem


def killed_in(farm: Farm, stage: str) -> None:
    """Ends the process of a stage with SIGKILL as soon as it is there: on a quiet machine it is done in a second."""

    def found() -> list[int]:
        return [pid for pid, words in farm.processes() if b"master.release" in words and stage.encode() in words]

    for pid in until(f"the stage {stage} runs", found, 120):
        with suppress(ProcessLookupError):  # the confined one ended with the one outside
            os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")
@pytest.mark.parametrize(("stage", "number"), [("collect", 5), ("plan", 6), ("publish", 7)])
def test_a_stage_that_was_killed_is_taken_up_by_a_rebuild(farm: Farm, stage: str, number: int) -> None:
    tag = f"20261125{number:02d}"
    answer = ask(farm, tag=tag, revision=farm.first, dry_run=False)
    (request,) = answer.json()["result"][1].values()
    killed_in(farm, stage)
    build = farm.finished(request)
    result, said = states(farm, build)[stage]
    assert result == 2
    assert said.startswith(f"{stage}: the process was ended from outside")
    again = rebuilt(farm, build)
    assert again["results"] == 0, states(farm, again)
    assert mint(farm, "verify", farm.home.root / "releases" / tag).returncode == 0


def test_two_releases_are_made_one_after_the_other(farm: Farm) -> None:
    requests = []
    for tag in ("2026112508", "2026112509"):
        (request,) = ask(farm, tag=tag, revision=farm.first).json()["result"][1].values()
        requests.append(request)
    builds = sorted((farm.finished(request) for request in requests), key=lambda one: one["complete_at"])
    assert [one["results"] for one in builds] == [0, 0]
    assert farm.steps(builds[1])["gate"]["started_at"] >= builds[0]["complete_at"]


def test_the_command_line_builds_releases_and_says_where(tmp_path: Path) -> None:
    cell = cell_name("3.13")
    farm = Farm(tmp_path, pushed=[], more_settings=f'[release]\ncells = ["{cell}"]\nallow_unvalidated = true\n')
    sha = make_repository(farm.repository)
    try:
        unbuilt = mint(farm, "release", "--check", "--sha", sha)
        assert "nothing was ever built here" in unbuilt.stderr
        assert mint(farm, "build", "--variant", "noopt").returncode == 0
        assert mint(farm, "release", "--check").returncode == 0
        done = mint(farm, "release", "--tag", "20261125", "--sha", sha)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "dry run of release 20261125" in done.stdout
        assert f"where    {farm.home.root / 'rehearsal' / '20261125'}" in done.stdout
        done = mint(farm, "release", "--tag", "20261125", "--sha", sha, "--publish")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"where    {farm.home.root / 'releases' / '20261125'}" in done.stdout
        refused = mint(farm, "release", "--tag", "20261125", "--sha", sha, "--publish")
        assert refused.returncode == 1
        assert "tag: The tag 20261125 is taken: it is published, of this very commit." in refused.stderr
        assert mint(farm, "release", "--tag", "nonsense", "--sha", sha).returncode == 1
        assert mint(farm, "release", "--tag", "20261126").returncode == 2
    finally:
        mint(farm, "down")
        farm.http.close()


def test_only_releasers_release_through_the_real_rest_api(own_farm: Farm) -> None:
    word = hash_of("correct horse")
    with own_farm.home.settings_file.open("a") as settings:
        settings.write(f'[login.users]\nanna = "{word}"\notto = "{word}"\n[access]\nreleasers = ["anna"]\n')
    own_farm.up("master")
    ids = {one["name"]: one["builderid"] for one in own_farm.get("builders")["builders"]}

    def asked(path: str, method: str, **params: Any) -> int:
        return own_farm.call(path, method, **params).status_code

    def everything() -> list[int]:
        return [
            asked("forceschedulers/release", "force", tag="x"),
            asked("forceschedulers/housekeeping-now", "force", builderid=ids["release"]),
            asked(f"builders/{ids['release']}/forceschedulers", "force"),
        ]

    assert everything()[:2] == [403, 403]
    own_farm.http.get("auth/login", auth=("otto", "correct horse"))
    assert everything()[:2] == [403, 403]
    assert asked("forceschedulers/force-cell", "force", builderNames=[cell_name()], revision="zz") == 400
    own_farm.http.get("auth/login", auth=("anna", "correct horse"))
    assert asked("forceschedulers/release", "force", tag="x") == 400
