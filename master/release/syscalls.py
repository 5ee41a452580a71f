"""System calls that nobody needs who makes a release, and by which namespaces are got around: refused by the kernel.

seccomp(2): a filter for this process and all that it starts, which can't be taken back. Sockets of other families than
those that a network namespace confines (a virtual machine's AF_VSOCK leads to its host), io_uring, which makes sockets
and opens files past such a filter, files by handle, keyrings, and programs for the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, 16)  # 16: AF_NETLINK
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
# linux/bpf_common.h: load a word, jump if equal, jump if greater or equal, return.
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
# struct seccomp_data: nr, arch, instruction_pointer, args[6]; the low half of an argument comes first here.
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
X32 = 0x40000000


@dataclass(frozen=True)
class Machine:
    """A kind of processor to the kernel. socket: the number of that call; refused: those of the others."""

    audit: int
    socket: int
    refused: Sequence[int]


# In this order: io_uring_setup, open_by_handle_at, add_key, request_key, keyctl, bpf, perf_event_open.
MACHINES: Mapping[str, Machine] = {
    "x86_64": Machine(0xC000003E, 41, (425, 304, 248, 249, 250, 321, 298)),
    "aarch64": Machine(0xC00000B7, 198, (425, 265, 217, 218, 219, 280, 241)),
}


def program(machine: Machine) -> bytes:
    """The filter, an array of struct sock_filter. A call of another architecture's kind is refused whatever it is."""
    steps: list[tuple[int, int, int, int]] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, machine.audit),
        (RETURN, 0, 0, ERRNO | errno.EPERM),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, ERRNO | errno.ENOSYS),
    ]
    for number in machine.refused:
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | errno.EPERM)]
    steps += [(EQUAL, 1, 0, machine.socket), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, FIRST_ARGUMENT)]
    for family in FAMILIES:
        steps += [(EQUAL, 0, 1, int(family)), (RETURN, 0, 0, ALLOW)]
    steps.append((RETURN, 0, 0, ERRNO | errno.EAFNOSUPPORT))
    return b"".join(struct.pack("=HBBI", *one) for one in steps)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse() -> None:
    """From here on, for this process and whatever it starts. Does nothing on a processor that is not known here.

    Raises OSError when the kernel has no such filters.
    """
    machine = MACHINES.get(os.uname().machine)
    if machine is None:
        return
    code = program(machine)
    libc = ctypes.CDLL(None, use_errno=True)
    said = _Program(len(code) // 8, code)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(said))):
        if libc.prctl(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"prctl for a filter of system calls: {os.strerror(number)}")
