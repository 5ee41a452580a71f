"""Runs a command on a kernel that plays an older one: it says so, and some system calls answer ENOSYS (seccomp).

Arguments: the calls' names, separated by commas, and the command. Run by the Python of the tests, never imported.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

# include/uapi/asm-generic/unistd.h (aarch64) and arch/x86/entry/syscalls/syscall_64.tbl of Linux.
NUMBERS = {
    "x86_64": {
        "getrandom": 318, "memfd_create": 319, "copy_file_range": 326, "statx": 332, "pidfd_send_signal": 424,
        "pidfd_open": 434, "clone3": 435, "close_range": 436, "faccessat2": 439,
    },
    "aarch64": {
        "getrandom": 278, "memfd_create": 279, "copy_file_range": 285, "statx": 291, "pidfd_send_signal": 424,
        "pidfd_open": 434, "clone3": 435, "close_range": 436, "faccessat2": 439,
    },
}  # fmt: skip
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
UNAME26 = 0x0020000  # uname says 2.6.N
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06


class Filter(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def instruction(code: int, value: int, if_true: int = 0) -> bytes:
    """struct sock_filter."""
    return struct.pack("HBBI", code, if_true, 0, value)


def program(numbers: list[int]) -> bytes:
    """Loads the call's number, the first word of struct seccomp_data, and looks for it."""
    tests = [instruction(JUMP_IF_EQUAL, number, len(numbers) - at) for at, number in enumerate(numbers)]
    ends = [instruction(RETURN, SECCOMP_RET_ALLOW), instruction(RETURN, SECCOMP_RET_ERRNO | errno.ENOSYS)]
    return b"".join([instruction(LOAD_WORD, 0), *tests, *ends])


def main() -> None:
    names = sys.argv[1].split(",")
    code = program([NUMBERS[platform.machine()][name] for name in names])
    kept = ctypes.create_string_buffer(code, len(code))
    libc = ctypes.CDLL(None, use_errno=True)
    no_more_rights = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    filtered = libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Filter(len(code) // 8, ctypes.addressof(kept)))
    )
    # OpenSSL looks for another source of random numbers where there is no getrandom, but not on a kernel that has one.
    if no_more_rights or filtered or libc.personality(UNAME26) < 0:
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execv(sys.argv[2], sys.argv[2:])


main()
