"""Becomes an ordinary user and runs a command. Standard library only: it runs without the virtual environment.

CPython's tests are made for one: as root dozens of them are skipped or fail, and in a user namespace that knows no id
but 0 every `chown` fails. So this enters one more user namespace, in which the same files belong to user 1 (`daemon`,
or `bin`, in every /etc/passwd), and where the capabilities are gone after exec.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
USER = 1
NOT_ENTERED = 125  # as in enter_sandbox.py: the command was never run


def main() -> None:
    user, group = os.getuid(), os.getgid()
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWUSER) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"unshare: {os.strerror(number)}")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{USER} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{USER} {group} 1")
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    except OSError as error:
        os.write(2, f"no ordinary user can be had here: {error}\n".encode())
        os._exit(NOT_ENTERED)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
