"""The first process of a sandbox: sets up what it sees, runs the command, and takes everything down with it.

Started by `workers.sandbox` as process 1 of new namespaces, with one argument, JSON. Uses the standard library only,
because it runs without the virtual environment.

Not a library: the order of the calls is the design. Directories are opened before anything is mounted, because a
checkout or a state directory may itself lie below /mnt or /tmp, which get covered.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC = 2, 4, 4096, 16384
# The same numbers on every architecture; Linux 5.2 and 5.12.
SYS_OPEN_TREE, SYS_MOUNT_SETATTR = 428, 442
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE = 1
MOUNT_ATTR_RDONLY = 1
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
CLONE_NEWUSER = 0x10000000
PR_CAPBSET_DROP = 24
ORDINARY = 1  # `daemon` or `bin`: a user that every /etc/passwd has
NOT_ENTERED = 125  # like env(1) and timeout(1): the command was never run

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount_at(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    _check(_libc.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]), f"mount on {target}")


def read_only(path: str, on: bool, *, recursive: bool = False, directory: int = AT_FDCWD) -> None:
    """Sets or clears read-only on the mount at `path`, leaving the flags that a user namespace may not touch.

    directory: a mount's own descriptor, with an empty path.
    """
    attributes = struct.pack("=QQQQ", MOUNT_ATTR_RDONLY if on else 0, 0 if on else MOUNT_ATTR_RDONLY, 0, 0)
    flags = (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    result = _libc.syscall(SYS_MOUNT_SETATTR, directory, os.fsencode(path), flags, attributes, len(attributes))
    _check(result, f"mount_setattr on {path or 'a mount that was copied'}")


def _writable_proc() -> int:
    """A descriptor of /proc that can be written through, whatever the one is that the sandbox's processes see.

    In a container that is the container's, made read-only like all else. A copy of the mount lies in no tree of files.
    """
    copied: int = _libc.syscall(SYS_OPEN_TREE, AT_FDCWD, b"/proc", OPEN_TREE_CLONE | os.O_CLOEXEC | AT_RECURSIVE)
    _check(min(copied, 0), "open_tree on /proc")
    read_only("", False, directory=copied)
    return copied


def drop(capability: int) -> None:
    """No program that is started from here on has that capability, root's included (capabilities(7))."""
    _check(_libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), f"prctl for capability {capability}")


def raise_loopback() -> None:
    """A new network namespace has a loopback interface that is down; tests of CPython talk to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))


def _arrange(mounts: list[dict[str, Any]], root: str, system: str | None) -> None:
    """Covers /mnt with an empty tmpfs, binds the directories below it, and makes all the rest read-only.

    With `system`, a directory that holds another system's files, that becomes / and all this happens in it.
    """
    opened = [(os.open(mount["source"], os.O_PATH | os.O_CLOEXEC), mount) for mount in mounts]
    top = ""
    if system is not None:
        base = os.open(system, os.O_PATH | os.O_CLOEXEC)
        mount_at("tmpfs", "/mnt", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
        top = "/mnt/system"
        Path(top).mkdir()
        mount_at(f"/proc/self/fd/{base}", top, None, MS_BIND)
        os.close(base)
        mount_at("/dev", f"{top}/dev", None, MS_BIND | MS_REC)
    mount_at("tmpfs", f"{top}/mnt", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
    for descriptor, mount in opened:
        if mount["target"].startswith(root):
            Path(top + mount["target"]).mkdir(parents=True, exist_ok=True)
        mount_at(f"/proc/self/fd/{descriptor}", top + mount["target"], None, MS_BIND)
    read_only("/", True, recursive=True)
    for descriptor, mount in opened:
        if mount["writable"]:
            read_only(top + mount["target"], False)
        os.close(descriptor)
    mount_at("tmpfs", f"{top}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")  # POSIX semaphores live there
    try:
        mount_at("proc", f"{top}/proc", "proc", MS_NOSUID | MS_NODEV)
    except OSError as error:
        # Inside a container the kernel refuses a second, less masked /proc. The outer one does, with other pids in it.
        if error.errno not in (errno.EPERM, errno.EBUSY):
            raise
        if system is not None:
            mount_at("/proc", f"{top}/proc", None, MS_BIND | MS_REC)
    if system is not None:
        os.chroot(top)


def _hide_vsock() -> None:
    """Covers the device by which CPython's tests tell that they can call themselves by vsock.

    In a virtual machine that leads to its host alone: the tests wait for an answer, before 3.12 without an end.
    """
    if Path("/dev/vsock").exists():
        mount_at("/dev/null", "/dev/vsock", None, MS_BIND)


def _become_ordinary() -> None:
    """Enters one more user namespace, in which what was root's is user 1's; exec takes the capabilities away.

    CPython's tests are made for such a user: as root some are skipped, and where 0 is the only id every `chown` fails.
    """
    user, group = os.geteuid(), os.getegid()
    proc = _writable_proc()
    _check(_libc.unshare(CLONE_NEWUSER), "unshare")
    maps = {"setgroups": "deny", "uid_map": f"{ORDINARY} {user} 1", "gid_map": f"{ORDINARY} {group} 1"}
    for name, text in maps.items():
        descriptor = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        os.write(descriptor, text.encode())
        os.close(descriptor)
    os.close(proc)
    os.setresgid(ORDINARY, ORDINARY, ORDINARY)
    os.setresuid(ORDINARY, ORDINARY, ORDINARY)


def _die_with(lifeline: int) -> None:
    """Ends this process, and with it by the kernel's hand all others of the namespace, when the starter is gone."""
    os.read(lifeline, 1)
    os._exit(128 + 9)


def _reap(child: int) -> int:
    """Waits for all processes of the namespace as its init must; returns the command's exit code as a shell would.

    What the command left running in the background is not waited for: it ends when this process does.
    """
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main() -> None:
    entry = json.loads(sys.argv[1])
    lifeline: int = entry["lifeline"]
    peak: int = entry["peak"]
    try:
        os.umask(0o022)
        socket.sethostname("pymint")
        raise_loopback()
        _arrange(entry["mounts"], entry["root"], entry.get("system"))
        if entry.get("ordinary_user"):
            _hide_vsock()
        os.chdir(entry["directory"])
    except OSError as error:
        sys.stderr.write(f"the sandbox can't be entered: {error}\n")
        sys.stderr.flush()
        os._exit(NOT_ENTERED)
    child = os.fork()
    if child == 0:
        try:
            os.close(lifeline)
            os.close(peak)
            # What Python, a daemon or a shell's `&` ignores would be passed on by exec; CPython's training counts it.
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                if signal.getsignal(number) == signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL)
            if entry.get("ordinary_user"):
                try:
                    _become_ordinary()
                except OSError as error:
                    os.write(2, f"no ordinary user can be had here: {error}\n".encode())
                    os._exit(NOT_ENTERED)
            os.execvpe(entry["command"][0], entry["command"], entry["environment"])
        except OSError as error:
            os.write(2, f"{entry['command'][0]} can't be run: {error}\n".encode())
            os._exit(127)
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()
    try:
        code = _reap(child)
    except KeyboardInterrupt:  # the terminal's Ctrl-C reaches everything in the foreground, also in here
        code = 128 + signal.SIGINT
    os.write(peak, b"%d" % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    os._exit(code)


if __name__ == "__main__":
    main()
