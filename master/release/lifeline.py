"""A stage's life hangs on whoever hears it: the master, which reads the pipe that is the stage's standard output.

A master that is killed takes nothing along. What it had started would go on, publish while nobody watches, and be in
the way of the release that the next master takes up. So a stage ends as soon as the other end of that pipe is gone, by
the same SIGKILL: every state of a release can be taken up after one.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import threading

STDOUT = 1


def hang_on(descriptor: int = STDOUT) -> bool:
    """Ends this process, and the programs that it started, once nobody reads the pipe any more. Whether it is a pipe:
    in a terminal or a file nobody has to listen."""
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return False
    threading.Thread(target=_wait, args=(descriptor,), daemon=True, name="lifeline").start()
    return True


def _wait(descriptor: int) -> None:
    watched = select.poll()
    watched.register(descriptor, 0)  # an error is told without being asked for
    watched.poll()
    # The master starts each stage as the leader of a group of its own. Whoever is not shares a terminal's group.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
