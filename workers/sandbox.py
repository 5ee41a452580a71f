"""Runs a recipe where it sees the same paths on every machine, no network, and leaves nothing running.

Linux namespaces, made by util-linux's `unshare`: user (so no root is needed), mount, network, host name, processes.
What a recipe sees is in docs/architecture.md, "A recipe's world". Everything else of the machine's file system is
read-only to it; /tmp is a directory of its own.

Two ways in which a build can end early take the sandbox with them: the kernel kills every process of the namespace when
its first one ends, and that one ends when `unshare` is killed or when the program that started it is gone.

macOS has no namespaces: `workers.macos_sandbox` does there what can be done.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from workers import macos_sandbox
from workers.errors import Failure

_ON_MACOS = sys.platform == "darwin"
ROOT = "/opt/pymint" if _ON_MACOS else "/mnt/pymint"
# Whether recipes have the same paths at the same time, each its own.
SIDE_BY_SIDE = not _ON_MACOS
BUILD = f"{ROOT}/build"
SOURCE = f"{BUILD}/source"
DEPS = f"{ROOT}/deps"
OUT = f"{ROOT}/out"
TOOLCHAIN = f"{ROOT}/toolchain"
DATA = f"{ROOT}/data"

_ENTER = Path(__file__).with_name("enter_sandbox.py")
_NAMESPACES = ("--mount", "--net", "--uts", "--pid", "--fork", "--kill-child")
_USER = ("--user", "--map-root-user")


@dataclass(frozen=True)
class Ended:
    """How a command in the sandbox ended: its exit code as a shell gives it, and what it cost with all its children.

    wall_s, cpu_s: seconds; max_rss_kib: peak memory of the largest single process, KiB. The sandbox's small first
    process tells it: a process counts as large as the one that it was forked from (`exec` in the kernel keeps the old
    image's peak), so that whoever starts a sandbox would be the floor of the figure.
    """

    exit_code: int
    wall_s: float
    cpu_s: float
    max_rss_kib: int


def run_in_sandbox(
    command: Sequence[str],
    *,
    build: Path,
    deps: Path,
    out: Path,
    toolchain: Path,
    data: Path,
    environment: Mapping[str, str],
    log: Path | BinaryIO,
    pass_fds: Sequence[int] = (),
    directory: str | None = None,
    system: Path | None = None,
    ordinary_user: bool = False,
    deps_read_only: bool = True,
) -> Ended:
    """Runs `command` and waits for it. Its standard output and error are appended to `log`, its input is empty.

    build, out: writable; deps, toolchain, data: read-only. All five must exist, anywhere.
    environment: exactly what the command gets, nothing of this process's own.
    pass_fds: descriptors that stay open under the same numbers, for GNU make's jobserver.
    directory: where it starts, as the command sees it; left out: the unpacked source, or `build` where there is none.
    system: the root directory of another system (see `workers.debian_root`) that the command sees in place of this
    machine's; there /usr/local can be written, and is build/usr-local.
    ordinary_user: the command is no root in there but user 1, to whom the same files belong, without capabilities.
    deps_read_only: whether `deps` is a read-only mount, or written to by whom the files' own permissions let.

    Raises Failure when this machine lets no sandbox be made. A command that fails is no Failure here: see `exit_code`.
    """
    problem = sandbox_problem()
    if problem is not None:
        raise Failure("sandbox", "this machine lets no sandbox be made", found=problem[0], todo=problem[1])
    temporary = build / "tmp"
    temporary.mkdir(exist_ok=True)
    if directory is None:
        directory = SOURCE if (build / "source").is_dir() else BUILD
    places = ((build, BUILD, True), (deps, DEPS, not deps_read_only), (out, OUT, True), (toolchain, TOOLCHAIN, False))
    if _ON_MACOS:
        if system is not None:
            raise Failure(
                "sandbox",
                "another system's files can't be a recipe's world on macOS",
                found=str(system),
                todo="The FIPS provider by its Security Policy is built on Linux: take the procedure `toolchain` here.",
            )
        with ExitStack() as stack:
            stream = stack.enter_context(log.open("ab")) if isinstance(log, Path) else log
            outcome = macos_sandbox.run(
                command,
                [
                    *(macos_sandbox.Place(source, Path(seen), writable) for source, seen, writable in places),
                    macos_sandbox.Place(data, Path(DATA), kept=True),
                ],
                root=Path(ROOT),
                directory=directory,
                environment={**environment, "TMPDIR": f"{BUILD}/tmp", "PWD": directory},
                stream=stream,
                pass_fds=pass_fds,
            )
        return Ended(outcome.exit_code, outcome.wall_s, outcome.cpu_s, outcome.max_rss_kib)
    binds = [*places, (data, DATA, False), (temporary, "/tmp", True)]
    if system is not None:
        local = build / "usr-local"
        local.mkdir(exist_ok=True)
        binds.append((local, "/usr/local", True))
    inside = _Inside(command, binds, environment, directory, system, ordinary_user)
    with ExitStack() as stack:
        stream = stack.enter_context(log.open("ab")) if isinstance(log, Path) else log
        return _run(_way()[0] or (), inside, stream, pass_fds)


@dataclass(frozen=True)
class _Inside:
    """What happens in a sandbox. binds: directory here, where it is seen, whether it can be written."""

    command: Sequence[str]
    binds: Sequence[tuple[Path, str, bool]]
    environment: Mapping[str, str]
    directory: str
    system: Path | None = None
    ordinary_user: bool = False

    def entry(self, lifeline: int, peak: int) -> str:
        """The argument of `workers.enter_sandbox`, with its ends of the two pipes to here."""
        return json.dumps(
            {
                "root": ROOT,
                "system": None if self.system is None else str(self.system.resolve()),
                "mounts": [{"source": str(s.resolve()), "target": t, "writable": w} for s, t, w in self.binds],
                "lifeline": lifeline,
                "peak": peak,
                "directory": self.directory,
                "ordinary_user": self.ordinary_user,
                "command": list(self.command),
                "environment": dict(self.environment),
            }
        )


def _run(flags: Sequence[str], inside: _Inside, stream: BinaryIO, pass_fds: Sequence[int]) -> Ended:
    lifeline, held = os.pipe()
    read_peak, peak = os.pipe()
    started = time.monotonic()
    process = None
    entry = inside.entry(lifeline, peak)
    try:
        process = subprocess.Popen(
            ["unshare", *flags, *_NAMESPACES, sys.executable, "-I", "-S", str(_ENTER), entry],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            pass_fds=(*pass_fds, lifeline, peak),
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        os.close(lifeline)
        os.close(held)
        os.close(peak)
        if process is not None and process.returncode is None:
            process.kill()
            process.wait()
        said = os.read(read_peak, 32)
        os.close(read_peak)
    code = process.returncode
    return Ended(
        exit_code=code if code >= 0 else 128 - code,
        wall_s=round(time.monotonic() - started, 3),
        cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
        max_rss_kib=int(said) if said else usage.ru_maxrss,  # nothing was said: the sandbox was killed
    )


def sandbox_problem() -> tuple[str, str] | None:
    """None where sandboxes work; else what was found and what to do about it, both for people. Tried once a process."""
    if _ON_MACOS:
        return macos_sandbox.problem(Path(ROOT))
    return None if _way()[0] is not None else (_way()[1], _remedy(_way()[1]))


@functools.cache
def _way() -> tuple[tuple[str, ...] | None, str]:
    """The flags that get a sandbox here, or None and what was said instead. Root can do without a user namespace."""
    said = "not tried: sandboxes need Linux"
    if sys.platform != "linux":
        return None, said
    for flags in (_USER, ()):
        if flags or os.geteuid() == 0:
            with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile() as stream:
                try:
                    ended = _run(flags, _Inside(["true"], [(Path(name), BUILD, True)], {}, BUILD), stream, ())
                except FileNotFoundError:
                    return None, "there is no `unshare` on PATH"
                if ended.exit_code == 0:
                    return flags, ""
                stream.seek(0)
                said = stream.read().decode(errors="replace").strip() or f"unshare: exit code {ended.exit_code}"
    return None, said.splitlines()[-1]


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return None


def _remedy(said: str) -> str:
    """What to do, from what this kernel is set to."""
    if sys.platform != "linux":
        return "Build Linux targets on Linux."
    if "no `unshare`" in said:
        return "Install util-linux (`apt-get install util-linux`)."
    if _setting("user.max_user_namespaces") == "0":
        return "User namespaces are switched off. As root: sysctl user.max_user_namespaces=15000"
    if _setting("kernel.unprivileged_userns_clone") == "0":
        return "User namespaces are for root only here. As root: sysctl kernel.unprivileged_userns_clone=1"
    if _setting("kernel.apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor keeps user namespaces from this user (Ubuntu 23.10 and newer do).\n"
            "As root: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if "mount_setattr" in said:
        return "This kernel is too old to make a tree of mounts read-only. Use Linux 5.12 or newer."
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            "In a container, its list of system calls refuses unshare and mount: start it with the one that\n"
            "docs/images.md has, which needs neither --privileged nor a capability."
        )
    return "Something keeps this user from making namespaces: try `unshare --user --map-root-user --mount true`."
