"""Which target this machine is itself, and whether it runs programs of another one."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

from workers.errors import Failure
from workers.model import Target

# What runs another processor's Linux programs, on Debian and Ubuntu: an emulator that the kernel starts for them, and
# their C library.
EMULATION_PACKAGES = ("qemu-user-static", "binfmt-support")
_CROSS_LIBC = {"aarch64": "libc6-arm64-cross", "x86_64": "libc6-amd64-cross"}
# Where a C library of another processor lies: cross packages', and multiarch's own.
_LIBC_PLACES = ("/usr/{arch}-linux-gnu/lib/libc.so.6", "/usr/lib/{arch}-linux-gnu/libc.so.6")
# e_machine of ELF files.
_MACHINES = {62: "x86_64", 183: "aarch64"}
_MACOS_ELSEWHERE = (
    "To look at its plan, or to build its libraries, OpenSSL and FIPS provider here, set PYMINT_MACOS_SDK to a\n"
    "macOS SDK's directory. CPython itself is made by its own interpreter."
)
_PREFIX = "/etc/qemu-binfmt/{arch}"


def native_target(system: str = platform.system(), machine: str = platform.machine()) -> str | None:
    """The target that this machine is itself, or None where it is none of ours."""
    return {
        ("Linux", "x86_64"): "x86_64-unknown-linux-gnu",
        ("Linux", "aarch64"): "aarch64-unknown-linux-gnu",
        ("Darwin", "arm64"): "aarch64-apple-darwin",
    }.get((system, machine))


def runs_macos(system: str = platform.system()) -> bool:
    """Whether this machine runs macOS programs."""
    return system == "Darwin"


def is_foreign(target: Target) -> bool:
    """Whether a target's programs are not this machine's own."""
    return target.triple != native_target()


def machine_of(program: Path) -> str | None:
    """The processor that an ELF program is for, by the name that targets give it; None for anything else."""
    try:
        with program.open("rb") as stream:
            head = stream.read(20)
    except OSError:
        return None
    return _MACHINES.get(int.from_bytes(head[18:20], "little")) if head[:4] == b"\x7fELF" else None


def is_emulated(program: Path) -> bool:
    """Whether something else than this machine's processor runs a program: an ELF file for another one."""
    machine = machine_of(program)
    return machine is not None and machine != platform.machine()


def emulation_of(target: Target) -> str:
    """How this machine runs the target's programs: "" by itself, else the emulator and the C library in words.

    Tried, not looked up: the target's C library is a program, which prints its release. So a child process that the
    program starts, with nothing in its environment, runs as well. Raises Failure, with what to do, when it does not.
    """
    if not is_foreign(target):
        return ""
    wanted = f"programs for {target.triple} start on this machine"
    if target.os != "linux" or platform.system() != "Linux":
        raise Failure(
            "machine",
            f"nothing emulates {target.triple} here",
            wanted=wanted,
            found=f"{platform.system()} on {platform.machine()}",
            todo="Give this target a worker of its own system."
            + ("\n" + _MACOS_ELSEWHERE if target.os == "macos" else ""),
        )
    places = [Path(place.format(arch=target.arch)) for place in _LIBC_PLACES]
    libraries = [place for place in places if place.is_file()]
    if not libraries:
        raise _no_emulation(target, wanted, f"no C library of that processor ({', '.join(map(str, places))})")
    try:
        ran = subprocess.run([libraries[0]], env={}, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _no_emulation(target, wanted, f"{libraries[0]}: {error}") from error
    release = re.search(r"GNU C Library.*version ([\d.]+\d)", ran.stdout)
    if ran.returncode != 0 or release is None:
        raise _no_emulation(target, wanted, (ran.stderr or ran.stdout).strip() or f"exit code {ran.returncode}")
    return f"{_emulator(target.arch)}, glibc {release[1]}"


def _emulator(arch: str) -> str:
    """`qemu-aarch64 7.2.22`."""
    for name in (f"qemu-{arch}-static", f"qemu-{arch}"):
        if (program := shutil.which(name)) is not None:
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            if version := re.search(r"version (\S+)", said):
                return f"qemu-{arch} {version[1]}"
    return f"an emulator of {arch}"


def emulation_packages(arch: str) -> list[str]:
    """What Debian and Ubuntu call the emulator, what has the kernel start it, and the processor's C library."""
    return [*EMULATION_PACKAGES, *filter(None, [_CROSS_LIBC.get(arch)])]


def emulation_link(arch: str) -> tuple[Path, Path]:
    """Where Debian's emulator looks for the processor's own files, and the directory that has to be found there."""
    return Path(_PREFIX.format(arch=arch)), Path(f"/usr/{arch}-linux-gnu")


def file_of(arch: str | None, path: Path) -> Path | None:
    """A file of the system that a processor's programs see: this machine's, or the emulator's. None: there is none."""
    link, _ = emulation_link(arch or "")
    candidates = [link / path.relative_to("/"), path] if arch not in (None, platform.machine()) else [path]
    return next((found for found in candidates if found.exists()), None)


def emulation_commands(arch: str) -> str:
    """How root gets the emulation on Debian and Ubuntu."""
    link, libraries = emulation_link(arch)
    return (
        f"apt-get install -y --no-install-recommends {' '.join(emulation_packages(arch))} && "
        f"mkdir -p {link.parent} && ln -sfn {libraries} {link}"
    )


def _no_emulation(target: Target, wanted: str, found: str) -> Failure:
    return Failure(
        "machine",
        f"programs for {target.triple} don't run here",
        wanted=wanted,
        found=found,
        todo=f"On Debian and Ubuntu, as root: {emulation_commands(target.arch)}\n"
        "Where that is done and the kernel still refuses: mount binfmt_misc on /proc/sys/fs/binfmt_misc, then\n"
        f"`update-binfmts --enable qemu-{target.arch}`. Or give this target a worker of its own processor.",
    )
