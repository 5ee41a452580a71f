"""Tries every known way out of a confined stage, for real. `python -m tests.unit.escapes`, see test_release_enclosure.

Each attempt returns what it got, or raises OSError. Nothing is changed by one that succeeds: it looks, and lets go.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workers.model import ROOT

_libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
NUMBERS = {
    "x86_64": {"io_uring_setup": 425, "open_by_handle_at": 304, "keyctl": 250, "pidfd_getfd": 438, "vm_readv": 310},
    "aarch64": {"io_uring_setup": 425, "open_by_handle_at": 265, "keyctl": 219, "pidfd_getfd": 438, "vm_readv": 270},
}.get(os.uname().machine, {})


@dataclass(frozen=True)
class Outside:
    """What is there to be got at. pid: of a process of the same user with a secret in its environment and an open key.

    key: a covered file; handle: its file handle and type; sockets: of services that listen; abstract: a name of one.
    descriptor: of the open key, in this process too if it was inherited. own: a directory to write to.
    """

    pid: int
    key: str
    handle: str
    handle_type: int
    sockets: list[str]
    abstract: str
    descriptor: int
    own: str


def _call(name: str, *arguments: Any) -> int:
    result = int(_libc.syscall(NUMBERS[name], *arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _greeted(address: str) -> str:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(5)
        one.connect(address)
        return one.recv(100).decode()


def socket_of_the_runtime(out: Outside) -> str:
    return _greeted(out.sockets[0])


def socket_elsewhere(out: Outside) -> str:
    return _greeted(out.sockets[1])


def abstract_socket(out: Outside) -> str:
    return _greeted(f"\0{out.abstract}")


def socket_to_the_hypervisor(out: Outside) -> str:
    with socket.socket(socket.AF_VSOCK) as one:
        return f"a socket {one.family}"


def io_uring(out: Outside) -> str:
    return f"descriptor {_call('io_uring_setup', 8, ctypes.create_string_buffer(120))}"


def keyring(out: Outside) -> str:
    return f"session keyring {_call('keyctl', 0, -3, 0)}"


def file_by_handle(out: Outside) -> str:
    """The handle of a covered file can be guessed: an inode's number and its generation."""
    data = bytes.fromhex(out.handle)
    handle = ctypes.create_string_buffer(len(data).to_bytes(4, sys.byteorder)
                                         + out.handle_type.to_bytes(4, sys.byteorder) + data)  # fmt: skip
    mount = os.open(Path(out.key).parent.parent, os.O_RDONLY)
    return os.read(_call("open_by_handle_at", mount, handle, os.O_RDONLY), 100).decode()


def _disks() -> list[tuple[str, int]]:
    rows = Path("/proc/partitions").read_text().splitlines()[2:]
    return [(row.split()[3], os.makedev(int(row.split()[0]), int(row.split()[1]))) for row in rows]


def disk(out: Outside) -> str:
    for name, _ in _disks():
        path = Path("/dev", name)
        if path.exists() and stat.S_ISBLK(path.stat().st_mode):
            with path.open("rb") as stream:
                return f"{path}: {len(stream.read(1))} byte"
    raise FileNotFoundError("no disk in /dev")


def disk_made_anew(out: Outside) -> str:
    _, number = _disks()[0]
    path = Path(out.own, "disk")
    os.mknod(path, stat.S_IFBLK | 0o600, number)
    return f"made {path}"


def other_devices(out: Outside) -> str:
    known = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "fd", "stdin", "stdout", "stderr"}
    more = sorted({one.name for one in Path("/dev").iterdir()} - known - {"shm"})
    if not more:
        raise FileNotFoundError("no others")
    return " ".join(more[:5])


def _opened(path: str) -> str:
    os.close(os.open(path, os.O_WRONLY))
    return f"can write {path}"


def core_pattern(out: Outside) -> str:
    return _opened("/proc/sys/kernel/core_pattern")


def sysrq(out: Outside) -> str:
    return _opened("/proc/sysrq-trigger")


def memory_of_the_kernel(out: Outside) -> str:
    with Path("/proc/kcore").open("rb") as stream:
        return f"{len(stream.read(4))} bytes"


def settings_of_devices(out: Outside) -> str:
    return _opened("/sys/kernel/mm/transparent_hugepage/enabled")


def environment_of_another(out: Outside) -> str:
    if not (text := Path(f"/proc/{out.pid}/environ").read_text()):
        raise FileNotFoundError("nothing in it")
    return text


def memory_of_another(out: Outside) -> str:
    with Path(f"/proc/{out.pid}/mem").open("rb") as stream:
        return stream.name


def files_of_another(out: Outside) -> str:
    return Path(f"/proc/{out.pid}/root{out.key}").read_text()


def descriptor_of_another(out: Outside) -> str:
    return Path(f"/proc/{out.pid}/fd/{out.descriptor}").read_text()


def descriptor_taken(out: Outside) -> str:
    pidfd = os.pidfd_open(out.pid)
    return os.pread(_call("pidfd_getfd", pidfd, out.descriptor, 0), 100, 0).decode()


def trace(out: Outside) -> str:
    if _libc.ptrace(PTRACE_SEIZE, out.pid, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    _libc.ptrace(PTRACE_DETACH, out.pid, 0, 0)
    return "traced it"


def end_of_another(out: Outside) -> str:
    os.kill(out.pid, 0)
    return "may send signals"


def descriptor_inherited(out: Outside) -> str:
    return os.pread(out.descriptor, 100, 0).decode()


def cover_taken_away(out: Outside) -> str:
    """By becoming root of a namespace of one's own, where one may unmount."""
    inner = f"umount -l {Path(out.key).parent} 2>&1; umount -l /run 2>&1; cat {out.key}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inner], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise OSError(done.stdout + done.stderr)
    return done.stdout


ATTEMPTS: Mapping[str, Callable[[Outside], str]] = {
    one.__name__: one
    for one in (
        socket_of_the_runtime, socket_elsewhere, abstract_socket, socket_to_the_hypervisor, io_uring, keyring,
        file_by_handle, disk, disk_made_anew, other_devices, core_pattern, sysrq, memory_of_the_kernel,
        settings_of_devices, environment_of_another, memory_of_another, files_of_another, descriptor_of_another,
        descriptor_taken, trace, end_of_another, descriptor_inherited, cover_taken_away,
    )
}  # fmt: skip


def attempted(out: Outside) -> dict[str, list[str]]:
    """By its name: ["got", what] or ["refused", why]."""
    found = {}
    for name, attempt in ATTEMPTS.items():
        try:
            found[name] = ["got", attempt(out)]
        except OSError as error:
            found[name] = ["refused", str(error)]
    return found


def main() -> None:
    mode, home_root, text = sys.argv[1:]
    out = Outside(**json.loads(text))
    if mode == "attempts":
        print(json.dumps(attempted(out)))
        return
    from master.home import Home
    from master.release import guard
    from master.settings import load
    from workers.model import load_matrix

    home = Home(Path(home_root), ROOT)
    sealed = Path(out.own) if mode == "sealed" else None
    guard.confine(home, load(home, load_matrix()), ["-m", "tests.unit.escapes", *sys.argv[1:]], sealed)
    # By another program: what the process refuses by itself would hide what the kernel does.
    argv = [sys.executable, "-m", "tests.unit.escapes", "attempts", home_root, json.dumps(asdict(out))]
    os.set_inheritable(1, True)
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, close_fds=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    sys.exit(done.returncode)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
