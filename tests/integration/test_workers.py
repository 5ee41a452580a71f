"""Workers that join over TLS, and what becomes of a build when one is killed, hung, full, paused or retired."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from master.fleet import authority, joining
from master.fleet.invitation import read, text_of
from master.instance import twistd_arguments
from tests.integration.farm import TARGET, commit
from tests.integration.fleet import WAIT_S, Fleet, make_fleet, mint, until
from workers.model import ROOT

SUCCESS, RETRY = 0, 5
# A build that is to be interrupted lasts until it is; only the worker that is interrupted is slow.
LONG = {"slow": {"sources": 600}, "only": "machines/second"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The first worker is in settings.toml, the second is invited while the master runs."""
    one = make_fleet(tmp_path_factory.mktemp("fleet"))
    try:
        one.up()
        one.join("first")
        yield one
    finally:
        one.close()


@pytest.fixture
def second(fleet: Fleet) -> Fleet:
    if "second" not in fleet.running:
        if fleet.base("second").exists():
            fleet.start("second")
            until(f"the second is back\n{fleet.log('second')}", lambda: fleet.farm.connected("second"))
        else:
            fleet.join("second", "--target", TARGET, "--disk-gb", "0.03")
    return fleet


def told(text: str) -> None:
    """For who measures: pytest -s shows it."""
    sys.stderr.write(f"\n{text}\n")


def test_a_created_worker_builds_over_tls_and_its_page_says_how_its_machine_is(fleet: Fleet) -> None:
    build = fleet.farm.finished(fleet.farm.force())
    assert build["results"] == SUCCESS, fleet.farm.steps(build)
    assert " is fit: " in fleet.farm.steps(build)["fit"]["state_string"]
    told_by = json.loads(fleet.row("first")["workerinfo"]["pymint_doctor"])
    assert fleet.row("first")["workerinfo"]["numcpus"] == os.cpu_count()
    assert told_by["problems"] == []
    assert told_by["disk_free_gb"] > 0
    assert abs(told_by["clock_offset_s"]) < 60
    listed = mint(fleet.farm.home.root, "worker", "list").stdout
    assert "first: waits for work\n" in listed
    with socket.create_connection(("127.0.0.1", fleet.farm.worker_port), 20) as plain:
        plain.sendall(b"\x02\x82pb\x04\x82none")  # how a client of the plain protocol begins
        assert b"pb" not in plain.recv(1000), "a plain-text client got an answer"


def test_a_wrong_password_another_authority_and_plain_text_are_refused(fleet: Fleet, tmp_path: Path) -> None:
    """Three workers that all say they are the second."""
    text = fleet.invite("second", "--target", TARGET, "--disk-gb", "0.03")
    good = read(text)
    stranger = make_stranger(tmp_path / "stranger")
    refused = fleet.create("second", text_of(dataclasses.replace(good, authority=stranger)))
    assert refused.returncode == 1
    assert "does not show the certificate of the master that invited this worker" in refused.stderr
    # A plain-text client waits for the master's first word, as the master does for a TLS client's: it says nothing.
    cases = {
        "password": (dataclasses.replace(good, password="wrong"), "unauthorized login"),
        "authority": (good, "Stopping factory"),
        "plain": (dataclasses.replace(good, authority=""), "Starting factory"),
    }
    processes = []
    try:
        for name, (invitation, _) in cases.items():
            where = joining.Place(tmp_path / name)
            joining.make_directory(where, invitation, ROOT, "nobody")
            if name == "authority":
                (where.authority / "authority.pem").write_text(stranger)
            processes.append(
                subprocess.Popen(
                    twistd_arguments(Path(sys.executable)),
                    cwd=where.base,
                    start_new_session=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        for name, (_, words) in cases.items():
            log = tmp_path / name / "worker" / "twistd.log"

            def says(log: Path = log, words: str = words) -> bool:
                return log.exists() and words in log.read_text()

            until(f"{name} is refused", says)
            assert "worker is ready" not in log.read_text(), name
        assert not fleet.farm.connected("second")
    finally:
        for process in processes:
            process.kill()
            process.wait()


def make_stranger(directory: Path) -> str:
    """The certificate of an authority that has nothing to do with this farm."""
    files = authority.Files(directory)
    authority.ensure(files, ["127.0.0.1"])
    return files.authority.read_text()


def test_a_killed_workers_build_goes_on_elsewhere(second: Fleet) -> None:
    farm = second.farm
    commit(farm.repository, LONG)
    request = second.begin_on("second", ["first"], "sources")
    began = time.monotonic()
    second.kill("second")
    until("its build is given up", lambda: farm.builds(request)[-1]["results"] == RETRY)
    told(f"killed: noticed after {time.monotonic() - began:.2f} s")
    assert farm.finished(request, WAIT_S)["results"] == SUCCESS
    assert second.builds_on(request) == ["second", "first"]
    assert second.notices("second")[-1]["kind"] == "lost"


def test_a_hung_worker_is_cut_off_its_build_goes_on_elsewhere_and_it_may_come_back(second: Fleet) -> None:
    farm = second.farm
    commit(farm.repository, LONG)
    request = second.begin_on("second", ["first"], "sources")
    began = time.monotonic()
    second.kill("second", signal.SIGSTOP)
    until("its build is given up", lambda: farm.builds(request)[-1]["results"] == RETRY)
    told(f"hung: noticed after {time.monotonic() - began:.2f} s, with silent_s = 4")
    assert farm.finished(request, WAIT_S)["results"] == SUCCESS
    assert second.builds_on(request) == ["second", "first"]
    assert "hung" in [one["kind"] for one in second.notices("second")]
    second.kill("second", signal.SIGCONT)
    until(f"it connects again\n{second.log('second')}", lambda: farm.connected("second"))


def test_a_worker_that_runs_full_gives_its_build_back_and_is_paused_until_there_is_room(second: Fleet) -> None:
    farm = second.farm
    second.control("second", "pause")
    small = second.machine("small")
    small.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "pymint-test", str(small)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be made here: {mounted.stderr.strip()}")
    try:
        second.join("small", "--target", TARGET, "--disk-gb", "0.03")
        commit(farm.repository, {"fill": {"sources": 55_000_000}, "only": "machines/small"})
        request = second.begin_on("small", ["first"], "sources")
        assert farm.finished(request, WAIT_S)["results"] == SUCCESS
        assert second.builds_on(request) == ["small", "first"]
        lost = farm.builds(request)[-1]
        said = farm.steps(lost)["sources"]
        assert said["state_string"].startswith("disk: the disk of "), said
        assert "ended before it was full" in said["state_string"]
        assert second.notices("small")[-1]["kind"] == "full"

        second.control("first", "pause")
        commit(farm.repository, {})  # what is forced now does not fill the disk again
        again = farm.force()
        until("it is paused", lambda: second.row("small")["paused"])
        assert second.row("small")["pause_reason"].startswith("not fit: ")
        assert "0.03 GB are wanted" in second.row("small")["pause_reason"]
        (small / "workers/small/state/filler").unlink()
        second.kill("small", signal.SIGTERM)
        second.running.pop("small").wait()
        second.start("small")
        assert farm.finished(again, WAIT_S)["results"] == SUCCESS
        assert "back" in [one["kind"] for one in second.notices("small")]
    finally:
        second.control("first", "unpause")
        second.control("second", "unpause")
        if "small" in second.running:
            second.kill("small", signal.SIGTERM)
            second.running.pop("small").wait()
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_retiring_loses_no_build_and_says_when_it_is_over(second: Fleet) -> None:
    farm = second.farm
    commit(farm.repository, {"slow": {"sources": 5}, "only": "machines/second"})
    request = second.begin_on("second", ["first"], "sources")
    at_once = mint(farm.home.root, "worker", "retire", "--no-wait", "second")
    assert at_once.returncode == 3, at_once.stderr
    assert "NOT yet to be switched off: second finishes build " in at_once.stdout
    done = mint(farm.home.root, "worker", "retire", "second")
    assert "it can be switched off now" in done.stdout, done.stderr
    assert farm.finished(request, WAIT_S)["results"] == SUCCESS
    assert second.builds_on(request) == ["second"]
    after = farm.force()
    farm.finished(after, WAIT_S)
    assert second.builds_on(after) == ["first"]
    assert "second: retired\n" in mint(farm.home.root, "worker", "list").stdout
    assert mint(farm.home.root, "worker", "resume", "second").returncode == 0
    assert not second.row("second")["paused"]
