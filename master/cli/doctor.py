"""`./mint doctor`: is this machine fit, and how to mend what is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from rich.console import Console
from rich.text import Text

from master.cli.context import Farm, this_farm
from master.cli.daemons import master_daemon
from master.cli.emulation import cross_targets, emulation_verdicts
from master.cli.fitness import Verdict, machine_verdicts, port_verdicts, tool_verdicts
from master.cli.packages import command_for, packages_of
from workers.errors import Failure
from workers.tools import BUILD_TOOLS, missing

MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}


def all_verdicts(farm: Farm) -> Iterator[Verdict]:
    yield from tool_verdicts()
    yield from machine_verdicts(farm.home)
    try:
        settings = farm.settings
    except Failure as failure:
        yield Verdict("settings", "bad", failure.what, failure.todo)
        return
    yield from emulation_verdicts(cross_targets(settings, farm.matrix))
    yield from port_verdicts(settings, farm.home, master_daemon(farm.home).running() is not None)


def show(console: Console, verdict: Verdict) -> None:
    mark, colour = MARKS[verdict.level]
    console.print(Text.assemble((f"{mark} ", colour), (f"{verdict.name:<14}", "bold"), verdict.found), soft_wrap=True)
    if verdict.level != "ok":
        for line in verdict.todo.splitlines():
            console.print(Text(f"  {'':<14}{line}"), soft_wrap=True)


@click.command()
def doctor() -> None:
    """Is this machine fit: tools, versions, disk, memory, sandbox, emulation, ports, clock; how to mend what is not."""
    console = Console(highlight=False)
    verdicts = []
    for verdict in all_verdicts(this_farm()):
        verdicts.append(verdict)
        show(console, verdict)
    bad = [verdict for verdict in verdicts if verdict.level == "bad"]
    if absent := missing(BUILD_TOOLS):
        console.print(f"\nAll missing tools at once: {command_for(packages_of(absent))}", soft_wrap=True)
    if bad:
        console.print(f"\nNot fit to build: {', '.join(verdict.name for verdict in bad)}.")
        sys.exit(1)
    console.print("\nThis machine is fit to build.")
