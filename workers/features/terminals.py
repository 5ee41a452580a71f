"""Terminals, tried inside the archive's own interpreter like all else in workers/features/probes.py."""

from __future__ import annotations

import os

from workers.fips.probes.core import Outcome, Wrong, probe


@probe("terminals")
def _terminals() -> Outcome:
    ends = []
    try:
        child, end = os.forkpty()
        if child == 0:
            # Its own session and its controlling terminal, on all three streams.
            own = os.getsid(0) == os.tcgetpgrp(0) == os.getpid() and all(os.isatty(stream) for stream in (0, 1, 2))
            os._exit(0 if own else 1)
        ends = [end, *os.openpty()]
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
            raise Wrong("the child's streams are not its terminal")
        os.write(ends[2], b"said")
        if os.read(ends[1], 100) != b"said":
            raise Wrong("what was written is not what is read")
        if hasattr(os, "login_tty"):  # 3.11
            child = os.fork()
            if child == 0:
                os.login_tty(ends[2])
                os._exit(0 if os.tcgetpgrp(0) == os.getpid() else 1)
            if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
                raise Wrong("login_tty did not make it the controlling terminal")
    except FileNotFoundError as error:
        return "unknown", f"this machine has no terminals: {error}"
    finally:
        for end in ends:
            os.close(end)
    return "works"


@probe("line-speeds")
def _line_speeds() -> Outcome:
    import termios

    # glibc numbers speeds anew since 2.42: a header of after and a function of before know nothing of each other's.
    try:
        ends = os.openpty()
    except FileNotFoundError as error:
        return "unknown", f"this machine has no terminals: {error}"
    try:
        for name in ("B1200", "B9600", "B115200"):
            speed, wanted = getattr(termios, name), termios.tcgetattr(ends[1])
            wanted[4:6] = [speed, speed]
            termios.tcsetattr(ends[1], termios.TCSANOW, wanted)
            if (found := termios.tcgetattr(ends[1])[4:6]) != [speed, speed]:
                raise Wrong(f"{name} is {speed}, and the line's speeds are {found}")
    finally:
        for end in ends:
            os.close(end)
    return "works"
