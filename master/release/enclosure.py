"""The first process inside of the namespaces that `guard` has made: takes away what is not for the stage, then runs it.

    python -m master.release.enclosure COVERED_JSON COMMAND...

Namespaces alone leave ways out that do not go by a path or an address of this machine's network: sockets in the file
system (Docker's, an ssh agent's, D-Bus), sockets to the hypervisor, raw disks, file handles, descriptors that were
inherited, and for root the kernel's own settings, by which it can be told to run a program outside. Each is closed here
and tried in tests/unit/test_release_enclosure.py. Standard library only, since it runs before each stage.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workers import enter_sandbox
from workers.enter_sandbox import MS_BIND, MS_NOSUID, MS_REC, mount_at, read_only

# capabilities(7): what root's programs do to their own files. Others open ways out: DAC_READ_SEARCH opens files by
# handle, MKNOD and SYS_RAWIO read disks, SYS_ADMIN unmounts, SYS_PTRACE sees through other processes.
CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETGID, CAP_SETUID, CAP_SETPCAP = 0, 1, 3, 4, 6, 7, 8
CAP_SETFCAP = 31  # without it root makes no user namespace, and so no sandbox, in here
KEPT_CAPABILITIES = {
    CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SETFCAP,
}  # fmt: skip
# Whatever is not among these is a disk, the kernel's memory, a device that holds keys, or a way to the hypervisor.
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")
# Root's, without any capability: by core_pattern and its like the kernel is told to run a program outside of here.
KERNEL = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi")
# Where services keep their sockets, whichever come while a stage runs.
RUNTIME = "/run"


@dataclass(frozen=True)
class Covered:
    """What is not for a stage, by absolute paths. keys: a directory of which only the files in `shown` are seen.

    directories: seen empty; files, sockets: seen empty. sealed: the one directory that can be written to, "" for no
    seal; then /tmp is one below it. seen: directories that are still seen when they lie below what is covered.
    """

    keys: str
    directories: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    sealed: str = ""
    seen: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)


def cover(what: Covered) -> None:
    """Puts emptiness over what is covered, and the harmless keys back; for good. Raises OSError."""
    own = Path(what.keys)
    with tempfile.TemporaryDirectory() as name:
        kept = [Path(shutil.copy2(own / one, name)) for one in what.shown]
        for directory in (what.keys, *what.directories):
            if Path(directory).is_dir():
                mount_at("tmpfs", directory, "tmpfs", MS_NOSUID, "mode=0700,size=16m")
        for one in kept:
            shutil.copy2(one, own / one.name)
    for file in (*what.files, *what.sockets):
        if Path(file).exists():
            mount_at("/dev/null", file, None, MS_BIND)


def hide_runtime(seen: Sequence[str]) -> None:
    """Covers /run, where services listen; links in it still lead where they did (some systems keep PATH there)."""
    if not Path(RUNTIME).is_dir():
        return
    links = {one.name: one.readlink() for one in Path(RUNTIME).iterdir() if one.is_symlink()}
    with _Above(RUNTIME, seen) as above:
        mount_at("tmpfs", RUNTIME, "tmpfs", MS_NOSUID, "mode=0755,size=16m")
        above.again()
    for name, target in links.items():
        (Path(RUNTIME) / name).symlink_to(target)


class _Above:
    """Directories below a place that gets covered: opened before, mounted again after."""

    def __init__(self, place: str, seen: Iterable[str]) -> None:
        below = {one for one in seen if one.startswith(f"{place}/") and Path(one).exists()}
        # The one above before what lies in it, which would be covered by it again.
        self._opened = [(os.open(one, os.O_PATH | os.O_CLOEXEC), one) for one in sorted(below, key=len)]

    def __enter__(self) -> _Above:
        return self

    def again(self) -> None:
        for descriptor, one in self._opened:
            Path(one).mkdir(parents=True, exist_ok=True)
            mount_at(f"/proc/self/fd/{descriptor}", one, None, MS_BIND | MS_REC)

    def __exit__(self, *unused: object) -> None:
        for descriptor, _ in self._opened:
            os.close(descriptor)


def seal(directory: str, seen: Sequence[str]) -> None:
    """Makes everything read-only but this directory, and a /tmp in it: some programs know no other. Raises OSError."""
    here = os.getcwd()  # noqa: PTH109
    with _Above("/tmp", [directory, *seen]) as above:
        mount_at(f"{directory}/tmp", "/tmp", None, MS_BIND)
        above.again()
    mount_at(directory, directory, None, MS_BIND)
    os.chdir(here)
    read_only("/", True, recursive=True)
    for path in (directory, "/tmp", "/proc"):  # namespaces are told in /proc who is who in them
        read_only(path, False)


def bare_devices() -> None:
    """A /dev with what every program may want, and no other device. Raises OSError."""
    found = [name for name in DEVICES if Path("/dev", name).exists()]
    opened = {name: os.open(f"/dev/{name}", os.O_PATH | os.O_CLOEXEC) for name in found}
    mount_at("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=0755,size=64k")
    for name, descriptor in opened.items():
        target = Path("/dev", name)
        directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        target.mkdir() if directory else target.touch()
        mount_at(f"/proc/self/fd/{descriptor}", str(target), None, MS_BIND | (MS_REC if directory else 0))
        os.close(descriptor)
    for name, leads_to in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        Path("/dev", name).symlink_to(f"/proc/self/fd{leads_to}")
    Path("/dev/shm").mkdir()
    mount_at("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID, "mode=1777")
    read_only("/dev", True)


def quiet_kernel() -> None:
    """A /proc of this namespace's own processes, and nothing of the kernel's that can be written. Raises OSError."""
    # A container's own /proc stays, in which the container's engine has masked what this would show again.
    with contextlib.suppress(OSError):
        mount_at("proc", "/proc", "proc", MS_NOSUID)
    for path in KERNEL:
        if Path(path).exists():
            mount_at(path, path, None, MS_BIND | MS_REC)
            read_only(path, True, recursive=True)
    if os.path.ismount("/sys"):
        read_only("/sys", True, recursive=True)


def drop_capabilities() -> None:
    """No program that is started from here on has more than `KEPT_CAPABILITIES`. Raises OSError."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in set(range(last + 1)) - KEPT_CAPABILITIES:
        enter_sandbox.drop(capability)


def _close_inherited() -> None:
    """Whatever a descriptor leads to was opened outside, and no mount covers that."""
    for descriptor in [int(one.name) for one in Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):  # the listing's own is gone already
            if descriptor > 2:
                os.close(descriptor)


def _run(command: Sequence[str]) -> int:
    """Runs the stage and waits for it; its exit code as a shell would have it. All that it left running ends with this
    process, which is the namespace's first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execv(command[0], list(command))
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main(arguments: Sequence[str]) -> None:
    what = Covered(**json.loads(arguments[0]))
    from master.release import syscalls

    try:
        _close_inherited()
        enter_sandbox.raise_loopback()
        cover(what)
        hide_runtime([*what.seen, *([what.sealed] if what.sealed else [])])
        if what.sealed:
            seal(what.sealed, what.seen)
        bare_devices()
        quiet_kernel()
        drop_capabilities()
        syscalls.refuse()
    except OSError as error:
        sys.stderr.write(
            f"release: this stage can't be confined here\n  found   {error}\n"
            "  Nothing was done. It works as root, or where users may make namespaces: docs/releasing.md.\n"
        )
        sys.exit(1)
    sys.stderr.flush()
    os._exit(_run(arguments[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
