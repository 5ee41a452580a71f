"""System packages on a Debian-like machine: installed by root, else the exact command is printed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

import click

from workers.errors import Failure
from workers.machine import runs_macos
from workers.tools import XCODE, Tool, missing


def command_for(packages: Sequence[str]) -> str:
    """The command that installs packages, as this machine's system has it."""
    if runs_macos():
        formulas = [name for name in packages if name != XCODE]
        parts = [*([XCODE] if XCODE in packages else []), *([f"brew install {' '.join(formulas)}"] if formulas else [])]
        return " && ".join(parts)
    return f"{'' if os.geteuid() == 0 else 'sudo '}apt-get install -y --no-install-recommends {' '.join(packages)}"


def packages_of(tools: Sequence[Tool]) -> list[str]:
    return list(dict.fromkeys(tool.package for tool in tools))


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def require(tools: Sequence[Tool]) -> None:
    """Makes sure that the tools are there. Raises Failure, with the command to run, where this user can't do it."""
    absent = missing(tools)
    if not absent:
        return
    named = ", ".join(f"{tool.name} ({tool.why})" for tool in absent)
    packages = packages_of(absent)
    if not can_install():
        known = runs_macos() or shutil.which("apt-get") is not None
        raise Failure(
            "machine",
            f"{len(absent)} tool{'s are' if len(absent) > 1 else ' is'} missing",
            wanted=named,
            todo=f"Run: {command_for(packages)}" if known else f"Install what Debian calls: {' '.join(packages)}",
        )
    click.echo(f"machine: installing {' '.join(packages)} with apt-get: {named}", err=True)
    tail = install(packages)
    if still := missing(absent):
        raise Failure(
            "machine",
            "apt-get did not bring what is missing",
            wanted=", ".join(packages_of(still)),
            found="\n          ".join(tail) or "no word from apt-get",
            todo=f"Run it by hand to see why: {command_for(packages_of(still))}\n"
            "A package that is unknown there comes from a newer Debian, or from apt.llvm.org for LLVM.",
        )


def install(packages: Sequence[str]) -> list[str]:
    """Runs apt-get; returns the last lines of what it said. Whether it worked is asked of the tools themselves.

    One broken package list of many is no reason to stop: installing says what can't be found.
    """
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    said: list[str] = []
    # DPkg::Lock::Timeout: a machine that just booted is often busy with its own upgrades.
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
        ran = subprocess.run(
            command, env=quiet, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        said = [line for line in ran.stdout.decode(errors="replace").splitlines() if line.strip()][-5:]
    return said
