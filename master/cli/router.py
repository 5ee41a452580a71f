"""`./mint router`: what several masters talk through, in the foreground, for a supervisor to keep."""

from __future__ import annotations

import os

import click

from master.cli.context import this_farm
from master.cluster.router import place_of, prepare


@click.command()
@click.option("--interface", help="Listen there instead of at the host in [cluster] router: behind a proxy with TLS.")
def router(interface: str | None) -> None:
    """Runs the router that [cluster] router names, until it is ended. The first time it makes its environment."""
    farm = this_farm()
    place = place_of(farm.home)
    if not place.stamp.exists():
        click.echo(f"router: making its environment in {place.root / 'venv'}: about 140 packages, some minutes")
    command = prepare(farm.home, farm.settings, interface)
    click.echo(f"router: {farm.settings.cluster.router}")
    os.execv(command[0], command)
