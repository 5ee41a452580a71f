"""What a master costs while many cells build, and how soon it does what is waited for: `python -m tests.bench.busy`.

A real master and a real worker; the builds are stand-ins (tests/integration/standin.py) that print as fast as a
compiler does, so that nearly all CPU that the master spends is its own. Nothing is asserted.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from master.cli import processes
from tests.integration.farm import Farm, cell_name, commit, make_repository, until
from workers.model import load_matrix

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 1800.0
PUSHES = 5


def cpu_s(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_mb(pid: int, name: str = "VmRSS") -> float:
    found = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(found[0].split()[1]) / 1024


def took(what: str, look: Callable[[], Any]) -> float:
    began = time.perf_counter()
    until(what, look, PATIENCE_S)
    return time.perf_counter() - began


def started(farm: Farm) -> None:
    """Prints how long until a master answers, with every builder there is."""
    began = time.perf_counter()
    farm.up("master")
    wall, pid = time.perf_counter() - began, farm.running["master"].pid
    builders = len(farm.get("builders")["builders"])
    print(f"start: answers after {wall:.1f} s, {cpu_s(pid):.1f} s of CPU, {memory_mb(pid):.0f} MB, {builders} builders")


def pushes(farm: Farm) -> None:
    """Prints the time from a commit to the first step of its build; the poller looks each second."""
    times = []
    for number in range(PUSHES):
        sha = commit(farm.repository, {}, f"push {number}")
        began = time.perf_counter()

        def first_step(sha: str = sha) -> bool:
            for change in farm.get("changes", revision=sha)["changes"]:
                for build in farm.get(f"changes/{change['changeid']}/builds")["builds"]:
                    return bool(farm.get(f"builds/{build['buildid']}/steps")["steps"])
            return False

        until("the first step", first_step, PATIENCE_S)
        times.append(time.perf_counter() - began)
        until("it is built", lambda: not farm.get("buildrequests", complete="false")["buildrequests"], PATIENCE_S)
    print(f"push to first step: {statistics.median(times):.1f} s (median of {PUSHES}, worst {max(times):.1f})")


def reconfigured(farm: Farm) -> None:
    """Prints how long `./mint reconfig` takes, and what of it the master spends."""
    process = processes.now(farm.running["master"].pid)
    assert process is not None
    processes.remember(farm.home.master / "process.json", process)
    file = farm.home.settings_file
    file.write_text(file.read_text() + "[build]\nsilent_minutes = 77\n")
    before, began = cpu_s(process.pid), time.perf_counter()
    command = [sys.executable, "-m", "master.cli", "reconfig"]
    environment = {**os.environ, "MINT_HOME": str(farm.home.root)}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    wall = time.perf_counter() - began
    if done.returncode:
        raise click.ClickException(f"reconfig: {done.stdout}{done.stderr}")
    print(f"reconfig: {wall:.1f} s in all, {cpu_s(process.pid) - before:.1f} s of CPU in the master")


def busy(farm: Farm, cells: int, lines: int, seconds: int) -> None:
    """Prints the master's CPU and memory while so many cells print so many lines a second each."""
    go = farm.root / "go"
    orders = {"hold": {"plan": str(go)}, "chatty": {"cpython": [lines, seconds]}}
    sha = commit(farm.repository, orders, "chatty")
    until("the master knows it", lambda: farm.get("changes", revision=sha)["changes"], PATIENCE_S)
    names = [cell.builder_name for cell in load_matrix().all_cells()][:cells]
    pid = farm.running["master"].pid
    requests = [farm.force(name, revision=sha) for name in names]
    at_work = took(f"{cells} builds run", lambda: len(farm.get("builds", complete="false")["builds"]) >= cells)
    time.sleep(10)
    quiet, began = cpu_s(pid), time.perf_counter()
    time.sleep(20)
    held = (cpu_s(pid) - quiet) / (time.perf_counter() - began)
    before, began = cpu_s(pid), time.perf_counter()
    go.touch()
    answers = []
    while farm.get("buildrequests", complete="false")["buildrequests"]:
        asked = time.perf_counter()
        farm.get("builds", limit=50, order="-buildid")
        answers.append(1000 * (time.perf_counter() - asked))
        time.sleep(2)
    wall, spent = time.perf_counter() - began, cpu_s(pid) - before
    good = sum(farm.builds(request)[0]["results"] == 0 for request in requests)
    print(
        f"{cells} cells, {lines} lines a second each for {seconds} s: all at work {at_work:.1f} s after the last form; "
        f"waiting, the master takes {100 * held:.1f} % of a CPU; then {spent:.1f} s of CPU in {wall:.0f} s "
        f"({100 * spent / wall:.0f} %), {memory_mb(pid):.0f} MB (at most {memory_mb(pid, 'VmHWM'):.0f}); "
        f"a REST call meanwhile {statistics.median(answers):.0f} ms (worst {max(answers):.0f}); {good} built"
    )


@click.command()
@click.option("--cells", default=36, show_default=True)
@click.option("--lines", default=20, show_default=True, help="That each cell prints in a second.")
@click.option("--seconds", default=60, show_default=True, help="That each cell prints for.")
def main(cells: int, lines: int, seconds: int) -> None:
    """Prints start-up, push to first step, reconfiguration, and a busy master's CPU and memory."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        targets = json.dumps(list(load_matrix().targets))
        worker = f'[[workers]]\nname = "local"\ntargets = {targets}\nmax_builds = {cells}\n'
        farm = Farm(root, pushed=[cell_name()], more_settings=worker)
        make_repository(farm.repository)
        try:
            started(farm)
            farm.up("worker")
            pushes(farm)
            busy(farm, cells, lines, seconds)
            reconfigured(farm)
        finally:
            farm.close()


if __name__ == "__main__":
    main()
