"""The farm's two processes on this machine: started each in a session of its own, known by a pid file, ended by pid."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from master import instance
from master.cli import processes
from master.cli.processes import Process
from master.home import MASTERS, Home
from workers.errors import Failure
from workers.logs import for_people

# In the environment of both processes and so of everything they start: how what a crash left behind is found.
MARK = "MINT_PROCESS_OF"
LOG_LINES = 15


@dataclass(frozen=True)
class Daemon:
    """One of the two. The pid file holds a processes.Process."""

    name: str
    home: Home
    start: instance.Process

    @property
    def pid_file(self) -> Path:
        return self.start.cwd / "process.json"

    @property
    def output(self) -> Path:
        """What it says before its log is open, and what kills it."""
        return self.start.cwd / "output.log"

    def running(self) -> Process | None:
        return processes.remembered(self.pid_file)

    def crashed(self) -> bool:
        """It was started, nobody ended it, and it is gone."""
        return self.pid_file.exists() and self.running() is None

    def spawn(self) -> Process:
        """Starts it in the background. Raises Failure when it can't even be started."""
        environment = {**self.start.environment, MARK: mark_of(self.home)}
        try:
            with self.output.open("wb") as output:
                child = subprocess.Popen(
                    self.start.argv,
                    cwd=self.start.cwd,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as error:
            raise Failure(
                self.name, "it can't be started", found=str(error), todo="Run ./mint doctor; it says how to mend it."
            ) from error
        process = processes.now(child.pid)
        if process is None:
            raise self.died()
        processes.remember(self.pid_file, process)
        return process

    def died(self) -> Failure:
        return Failure(
            self.name,
            f"the {self.name} ended as soon as it was started",
            found=self.tail(),
            todo=f"All of its log: {self.start.log}",
        )

    def tail(self) -> str:
        """The end of its log and of its raw output, indented as part of a Failure."""
        lines: list[str] = []
        for path in (self.start.log, self.output):
            try:
                told = path.read_text(errors="replace").splitlines()[-LOG_LINES:]
                lines += [one for line in told for one in for_people(line)]
            except OSError:
                continue
        return "the end of its log\n" + "\n".join(f"    {line}" for line in lines) if lines else "no log"


def mark_of(home: Home) -> str:
    """Of several masters each has its own: what another one started is no leftover of this one's."""
    return str(home.root) if home.name is None else f"{home.root}#{home.name}"


def others_run(home: Home) -> bool:
    """Whether another one of several masters runs on this machine."""
    files = (home.root / MASTERS).glob("*/process.json") if home.name else ()
    return any(processes.remembered(path) is not None for path in files if path.parent != home.master)


def master_daemon(home: Home) -> Daemon:
    return Daemon("master", home, instance.master_process(home))


def worker_daemon(home: Home) -> Daemon:
    return Daemon("worker", home, instance.worker_process(home))


@contextmanager
def only_one(home: Home) -> Iterator[None]:
    """Two commands that start or end the farm wait for each other."""
    home.root.mkdir(parents=True, exist_ok=True)
    with (home.root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def leftovers(home: Home) -> list[Process]:
    """What an earlier master or worker of this farm started and did not end, while neither of them runs any more."""
    ours = [daemon.running() for daemon in (master_daemon(home), worker_daemon(home))]
    roots = [process for process in ours if process is not None]
    known = {process.pid for process in [*roots, *processes.below([r.pid for r in roots], processes.every())]}
    return [process for process in processes.marked(MARK, mark_of(home)) if process.pid not in known]


def end_leftovers(home: Home) -> int:
    """Ends what a crash left behind, so that it can't write where the next build works. Returns how many."""
    left = leftovers(home)
    everything = [*left, *processes.below([process.pid for process in left], processes.every())]
    processes.end(list(dict.fromkeys(everything)), seconds=5)
    return len(left)


def stop(home: Home, *, seconds: float = 20) -> list[str]:
    """Ends worker and master, and everything below them. Returns lines that say what was done."""
    said = []
    worker = [] if others_run(home) else [worker_daemon(home)]
    for daemon in (*worker, master_daemon(home)):
        process = daemon.running()
        if process is None:
            daemon.pid_file.unlink(missing_ok=True)
            continue
        children = processes.below([process.pid], processes.every())
        killed = processes.end([process], seconds=seconds)
        # The worker asks its programs to end; what did not is ended here.
        late = [child for child in children if processes.alive(child)]
        processes.end(late, seconds=5)
        daemon.pid_file.unlink(missing_ok=True)
        said.append(f"{daemon.name}: ended{' (it had to be killed)' if killed else ''}")
    if count := end_leftovers(home):
        said.append(f"{count} process{'es' if count > 1 else ''} that they had left behind: ended")
    return said
