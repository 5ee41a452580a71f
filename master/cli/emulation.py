"""What the local worker needs for the targets that it builds for another processor: tried, and installed by root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from master.cli.fitness import Verdict
from master.cli.packages import can_install, install
from master.settings import Settings, local_worker
from workers.errors import Failure
from workers.machine import emulation_link, emulation_of, emulation_packages
from workers.model import Matrix, Target


def cross_targets(settings: Settings, matrix: Matrix) -> list[Target]:
    """The targets that the worker of this machine builds for another processor."""
    local = local_worker(settings)
    return [matrix.targets[name] for name in local.cross] if local is not None else []


def emulation_verdicts(targets: Sequence[Target]) -> Iterator[Verdict]:
    """Whether each target's programs run here."""
    for target in targets:
        try:
            emulator = emulation_of(target) or "this machine itself"
            yield Verdict("emulation", "ok", f"{target.triple}, by {emulator}")
        except Failure as failure:
            yield Verdict("emulation", "bad", f"{target.triple}: {failure.found or failure.what}", failure.todo)


def require_emulation(targets: Sequence[Target]) -> None:
    """Makes sure that each target's programs run here. Raises Failure, with the commands, where this user can't."""
    for target in targets:
        try:
            emulation_of(target)
        except Failure:
            if not can_install():
                raise
            _install(target)


def _install(target: Target) -> None:
    """Packages and link; whether they were enough is asked of the emulation itself. Raises Failure where not."""
    packages = emulation_packages(target.arch)
    click.echo(f"machine: installing {' '.join(packages)} with apt-get, for {target.triple}", err=True)
    said = install(packages)
    link, libraries = emulation_link(target.arch)
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)  # one that leads nowhere
        link.symlink_to(libraries)
    try:
        emulation_of(target)
    except Failure as failure:
        lines = "\n          ".join([failure.found or "", *said])
        raise Failure(failure.where, failure.what, wanted=failure.wanted, found=lines, todo=failure.todo) from failure
