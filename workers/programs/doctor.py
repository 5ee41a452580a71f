"""`doctor`: is this machine fit for a build? Prints what it found as JSON; ends with 1 when it is not fit."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from workers.fitness import examine, one_line, packed
from workers.programs.common import failing_plainly


@click.command("doctor")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="The worker's state directory.")
@click.option("--cache", type=click.Path(path_type=Path), required=True, help="Where downloaded sources are kept.")
@click.option("--disk-gb", type=float, default=50.0, show_default=True, help="Wanted free where a build writes.")
@failing_plainly
def command(state: Path, cache: Path, disk_gb: float) -> None:
    """Looks at disk, memory and tools. JSON on standard output, words on standard error."""
    found = examine([state.absolute(), cache.absolute()], disk_gb, state.absolute() / "tools.json")
    click.echo(packed(found))
    click.echo(one_line(found) if not found.problems else "\n".join(found.problems), err=True)
    sys.exit(1 if found.problems else 0)
