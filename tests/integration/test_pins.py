"""An upstream on loopback offers a newer CPython: it is looked for, pinned on a branch, built and proven."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from master.updates.stages import PINS, RULES
from tests.integration.conftest import WORKERS
from tests.integration.farm import Farm, cell_name, git, make_repository, until
from tests.unit.sources_server import Served, Server, serving, sha
from tests.unit.upstream import Signer, directory_page, pins_toml, tarball
from workers.sources.pins import parse_pins

SOURCE = "cpython-3.13"
OLD, NEW = tarball("Python-3.13.5"), tarball("Python-3.13.99")
LIE = tarball("Python-3.12.1")
# No night of a test's: only the form.
SETTINGS = """[updates]
hours = []
advisories = ["osv"]
keys = "keys-of-upstream"
[sources]
distro = false
"""


@dataclass
class Upstream:
    site: Server
    signer: Signer


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    if shutil.which("gpg") is None or shutil.which("gpgv") is None:
        pytest.skip("this machine has no gpg or no gpgv")
    signer = Signer(tmp_path_factory.mktemp("signer") / "gpg", "release manager")
    with serving() as site:
        site.files["ftp/"] = Served(directory_page({"3.13.5/": "05-Jan-2026", "3.13.99/": "21-Sep-2026"}))
        site.files["ftp/3.13.99/Python-3.13.99.tar.gz"] = Served(NEW)
        site.files["ftp/3.13.99/Python-3.13.99.tar.gz.asc"] = Served(signer.sign(NEW))
        yield Upstream(site, signer)
    signer.close()


@pytest.fixture(scope="module")
def pins_farm(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Farm]:
    one = Farm(tmp_path_factory.mktemp("pins"), [cell_name("3.13"), cell_name("3.12")], WORKERS + SETTINGS)
    make_repository(one.repository)
    url = upstream.site.url("ftp/{version}/Python-{version}.tar.gz")
    (one.repository / PINS).write_text(pins_toml(SOURCE, "3.13.5", url.replace("{version}", "3.13.5"), OLD))
    (one.repository / RULES).write_text(
        f'["{SOURCE}"]\nline = "3.13"\nurls = ["{url}"]\n'
        f'announced = {{ shape = "directory", url = "{upstream.site.url("ftp/")}", entry = "{{version}}/" }}\n'
        f'pgp = {{ keys = "manager.asc", fingerprints = ["{upstream.signer.fingerprint}"] }}\n'
    )
    git(one.repository, "add", "-A")
    git(one.repository, "commit", "--quiet", "-m", "pins")
    one.first = git(one.repository, "rev-parse", "HEAD")
    advisory = {
        "id": "CVE-2026-4242", "modified": "2026-09-20T10:00:00Z", "summary": "A tarball of the test is too small",
        "affected": [{"package": {"ecosystem": "Bitnami", "name": "cpython-313"},
                      "ranges": [{"type": "SEMVER", "events": [{"introduced": "3.13.0"}, {"fixed": "3.13.99"}]}]}],
    }  # fmt: skip
    (one.home.root / "osv").mkdir()
    (one.home.root / "osv" / "one.json").write_text(json.dumps(advisory))
    keys = one.home.root / "keys-of-upstream"
    keys.mkdir()
    (keys / "manager.asc").write_bytes(upstream.signer.public)
    try:
        yield one.up()
    finally:
        one.close()


def look(farm: Farm, **fields: Any) -> dict[str, Any]:
    """The build of `pins` that the form asks for."""
    answer = farm.call("forceschedulers/force-pins", "force", **fields)
    assert answer.status_code == 200, answer.text
    (request,) = answer.json()["result"][1].values()
    return farm.finished(int(request))


def branch(farm: Farm, name: str = "bump/cpython-3.13-3.13.99") -> str:
    return git(farm.repository, "rev-parse", name)


def builds_of(farm: Farm, commit: str) -> list[dict[str, Any]]:
    return [
        one for one in farm.get("builds", property="*", order="-buildid")["builds"]
        if one["properties"].get("got_revision", [""])[0] == commit
    ]  # fmt: skip


def test_a_newer_release_is_pinned_on_a_branch_built_and_proven(pins_farm: Farm, upstream: Upstream) -> None:
    main = git(pins_farm.repository, "rev-parse", "main")
    build = look(pins_farm)
    steps = pins_farm.steps(build)
    assert build["results"] == 0, [step["state_string"] for step in steps.values()]
    assert git(pins_farm.repository, "rev-parse", "main") == main
    commit = branch(pins_farm)
    assert git(pins_farm.repository, "rev-parse", f"{commit}^") == main
    assert git(pins_farm.repository, "diff", "--name-only", main, commit) == PINS
    pins = parse_pins(git(pins_farm.repository, "show", f"{commit}:{PINS}") + "\n")[SOURCE]
    assert next((one.version, one.sha256, one.released) for one in pins) == ("3.13.99", sha(NEW), "2026-09-21")
    assert [one.version for one in pins] == ["3.13.99", "3.13.5"]
    told = git(pins_farm.repository, "show", "-s", "--format=%B", commit)
    assert upstream.signer.fingerprint in told
    assert "CVE-2026-4242" in told
    assert steps["request-builds"]["state_string"] == "1 build of 1 branch requested"
    done = until(
        "the candidate is built", lambda: [one for one in builds_of(pins_farm, commit) if one["complete"]], 900
    )
    assert [one["results"] for one in done] == [0]
    page = pins_farm.http.get("pages/pins").text
    assert "1 of 1 cell built and proven" in page
    assert "CVE-2026-4242" in page
    # Only the cell that is made of it, though a push builds 3.12 too.
    assert {one["properties"]["version"][0] for one in done} == {"3.13"}


def test_what_is_on_a_branch_cannot_be_released_until_it_is_merged(pins_farm: Farm) -> None:
    commit = branch(pins_farm)
    answer = pins_farm.http.get("releases/readiness", params={"sha": commit}).json()
    assert not answer["ready"]
    assert f"the commit {commit} is not on main" in " ".join(answer["objections"])


def test_a_second_look_makes_nothing_anew(pins_farm: Farm) -> None:
    commit, before = branch(pins_farm), len(pins_farm.get("buildrequests")["buildrequests"])
    build = look(pins_farm, only=SOURCE)
    assert build["results"] == 0
    assert branch(pins_farm) == commit
    assert pins_farm.steps(build)["request-builds"]["state_string"] == "nothing new to build"
    assert len(pins_farm.get("buildrequests")["buildrequests"]) == before + 1


def test_a_lie_is_refused_loudly_and_nothing_is_written(pins_farm: Farm, upstream: Upstream) -> None:
    site = upstream.site
    site.files["ftp/"].content = directory_page({"3.13.99/": "21-Sep-2026", "3.13.100/": "22-Sep-2026"})
    site.files["ftp/3.13.100/Python-3.13.100.tar.gz"] = Served(LIE)
    site.files["ftp/3.13.100/Python-3.13.100.tar.gz.asc"] = Served(upstream.signer.sign(LIE))
    build = look(pins_farm)
    assert build["results"] == 2
    step = pins_farm.steps(build)["candidates"]
    assert step["state_string"] == "updates: what is offered as cpython-3.13 3.13.100 may be something else"
    assert "at its top it should have Python-3.13.100, and has Python-3.12.1" in pins_farm.step_log(step, "problem")
    assert "3.13.100" not in git(pins_farm.repository, "branch", "--list", "bump/*")
    assert "it should have Python-3.13.100" in pins_farm.http.get("pages/pins").text


def test_the_form_takes_names_only(pins_farm: Farm) -> None:
    answer = pins_farm.call("forceschedulers/force-pins", "force", only="$(id)")
    assert answer.status_code == 400
    assert "Names of sources.toml" in answer.text
