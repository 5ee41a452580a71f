"""Brings the farm up on this machine, whatever state it is in: nothing there, half of it killed, or all well."""

from __future__ import annotations

from collections.abc import Callable

from master import instance, settings
from master.cli import daemons, fitness, ports, processes
from master.cli.context import Farm
from master.cli.daemons import Daemon
from master.cli.rest import Refused, Rest, SignInFirst, Unreachable
from master.cli.signing_in import sign_in
from workers.errors import Failure

MASTER_STARTS_S = 300.0  # 3 s on an idle machine; a machine that compiles on all processors takes many times that
WORKER_CONNECTS_S = 60.0

Say = Callable[[str], None]


def bring_up(farm: Farm, say: Say, user: str | None = None, known: Rest | None = None) -> Rest:
    """Starts what does not run and waits until it answers. Raises Failure with the end of the log when it does not.

    user: who signs in; with nobody, a farm that tells nothing without is up when its page and its worker's process are.
    known: a connection that is signed in, from before.
    """
    farm.require_one()
    with daemons.only_one(farm.home):
        master = daemons.master_daemon(farm.home)
        worker = daemons.worker_daemon(farm.home)
        wanted = settings.local_worker(farm.settings) is not None
        rest = known or Rest(farm.api)
        if (count := daemons.end_leftovers(farm.home)) > 0:
            say(f"machine: ended {count} process(es) that a killed master or worker had left behind")
        if master.running() is None:
            for port in fitness.ports_of(farm.settings):
                ports.require_free(port, farm.home.settings_file)
            instance.prepare(farm.home, farm.settings)
            say("master: starting ...")
            master.spawn()
            _await_master(master, rest)
            say(f"master: answers at {farm.page}")
        else:
            _await_master(master, rest)
        if known is None:
            sign_in(farm, rest, user)
            _await_master(master, rest)
        if wanted:
            if worker.running() is None:
                instance.prepare(farm.home, farm.settings)
                say("worker: starting ...")
                worker.spawn()
            _await_worker(worker, rest)
        return rest


def answers(rest: Rest) -> bool:
    try:
        return any(row["active"] for row in rest.rows("masters", "masters"))
    except SignInFirst:  # whoever may read is asked for once the page and its rules are there
        return True
    except (Unreachable, Refused):  # it refuses while it is starting
        return False


def local_worker_connected(rest: Rest) -> bool:
    try:
        rows = rest.rows("workers", "workers", name=settings.LOCAL_WORKER)
    except SignInFirst:  # its process is all that can be seen
        return True
    except Unreachable:
        return False
    return any(row["connected_to"] for row in rows)


def _await_master(master: Daemon, rest: Rest) -> None:
    _await(master, lambda: answers(rest), MASTER_STARTS_S, "its web page answers")


def _await_worker(worker: Daemon, rest: Rest) -> None:
    _await(worker, lambda: local_worker_connected(rest), WORKER_CONNECTS_S, "it is connected to the master")


def _await(daemon: Daemon, ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits until `ready` or the process has ended. One that runs but is not ready is left running, to be looked at."""
    if not processes.wait_until(lambda: ready() or daemon.running() is None, seconds, pause=0.2):
        raise Failure(
            daemon.name,
            f"the {daemon.name} runs, but is not ready after {seconds:.0f} s",
            wanted=what,
            found=daemon.tail(),
            todo=f"Read {daemon.start.log}; `./mint down` ends it, `./mint up` tries again.",
        )
    if daemon.running() is None:
        daemon.pid_file.unlink(missing_ok=True)
        raise daemon.died()
