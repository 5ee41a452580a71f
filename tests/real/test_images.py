"""Images from debootstrap and a real Docker engine, and workers that are a fresh container for each build.

`PYMINT_TEST_ENGINE` names a directory that keeps the engine's store: a second run finds the layers of the first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from master.images import kept
from tests.integration.farm import TARGET, Farm, free_port, make_repository, until
from tests.real.engine import engine_in, no_engine
from workers.images.engine import Engine
from workers.images.making import prune
from workers.model import ROOT
from workers.reports.base import read_report
from workers.reports.image import ImageReport

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(no_engine() is not None, reason=f"no Docker engine can be started: {no_engine()}"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.environ.get("PYMINT_TEST_ENGINE") or tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def engine(place: Path) -> Iterator[Engine]:
    with engine_in(place) as one:
        yield one


def make(name: str, engine: Engine, place: Path, *options: str) -> ImageReport:
    run = place / f"run-{name}"
    done = subprocess.run(
        [sys.executable, "-m", "workers", "image", "--name", name, "--engine", engine.host, "--run", run, "--state",
         place / "state", "--cache", place / "cache", *options],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return read_report(run / "reports" / "image.json", ImageReport)


def test_the_policys_environment_is_debian_11_and_what_is_recorded_is_what_the_engine_has(
    engine: Engine, place: Path
) -> None:
    report = make("fips-policy", engine, place)
    assert report.ok
    assert report.id == engine.id_of(report.tag)
    assert report.engine == engine.identity()
    said = {one.command: one.said for one in report.smoke}
    assert said["cat /etc/debian_version"].startswith("11.")
    assert " 10.2.1 " in said["gcc --version"]
    assert "2.31" in said["ldd --version"]

    again = make("fips-policy", engine, place)
    assert (again.origin, again.id) == ("there", report.id)
    anew = make("fips-policy", engine, place, "--anew")
    assert anew.origin == "built"
    assert anew.id == report.id, "every layer came from the cache"


def test_an_image_that_was_saved_and_loaded_is_known_by_the_id_that_the_engine_then_has(
    engine: Engine, place: Path
) -> None:
    report = make("fips-policy", engine, place)
    archive = place / "saved.tar"
    engine.run("save", "--output", str(archive), report.tag, seconds=600)
    engine.run("image", "rm", "--force", report.tag)
    loaded = engine.load(archive)
    archive.unlink()
    assert loaded == engine.id_of(report.tag)
    assert prune("fips-policy", 1, loaded, engine) == []


def test_each_build_gets_a_fresh_container_of_the_recorded_id(engine: Engine, place: Path, tmp_path: Path) -> None:
    report = make("build", engine, place)
    port = free_port()
    settings = f"""\
[[workers]]
name = "fresh"
targets = ["{TARGET}"]
disk_gb = 1
[workers.docker]
host = "{engine.host}"
network = "host"
master = "127.0.0.1"
"""
    farm = Farm(tmp_path, pushed=[], more_settings=settings)
    text = farm.home.settings_file.read_text().replace("[protocol]\n", "[protocol]\ntls = true\n")
    text = text.replace(json.dumps(str(farm.repository)), f'"git://127.0.0.1:{port}/repository"')
    farm.home.settings_file.write_text(text)
    farm.http.timeout = 300
    make_repository(farm.repository)
    kept.keep(farm.home.images_file, report, "2026-11-30T12:00:00+00:00", 1)
    served = subprocess.Popen(
        ["git", "-c", "safe.directory=*", "daemon", "--export-all", f"--base-path={tmp_path}", "--listen=127.0.0.1",
         f"--port={port}"], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        farm.up("master")
        for _ in range(2):
            build = farm.finished(farm.force(), 3600)
            assert build["results"] == 0, farm.steps(build)
        until("the containers are gone", lambda: engine.run("ps", "--all", "--quiet") == "")
        log = (farm.home.master / "twistd.log").read_text(errors="replace")
        started = [line for line in log.splitlines() if "Container created, Id: " in line]
        assert len({line.rpartition("Id: ")[2] for line in started}) == 2
    finally:
        farm.close()
        served.terminate()
        served.wait()
