"""`./mint up` and `./mint down`."""

from __future__ import annotations

import click

from master.cli import daemons, packages
from master.cli.context import this_farm
from master.cli.emulation import cross_targets, require_emulation
from master.cli.signing_in import user_option
from master.cli.starting import bring_up
from workers.tools import BUILD_TOOLS


@click.command()
@click.option("--master", help="Which of [[masters]] in settings.toml, where there are several (or MINT_MASTER).")
@user_option
def up(master: str | None, user: str | None) -> None:
    """Starts the master and the local worker, and leaves them running."""
    farm = this_farm(master)
    farm.require_one()
    cross = cross_targets(farm.settings, farm.matrix)  # a mistake in the settings is told before anything is installed
    packages.require(BUILD_TOOLS)
    require_emulation(cross)
    bring_up(farm, click.echo, user)
    click.echo(f"The farm is up: {farm.page}\n`./mint status` shows what it does, `./mint down` ends it.")


@click.command()
@click.option("--master", help="Which of [[masters]]; the local worker stays as long as another one runs here.")
def down(master: str | None) -> None:
    """Ends the local worker and the master, and everything that they started."""
    farm = this_farm(master)
    if not farm.home.root.exists():
        click.echo("Nothing is running.")
        return
    farm.require_one()
    with daemons.only_one(farm.home):
        lines = daemons.stop(farm.home)
    for line in lines or ["Nothing is running."]:
        click.echo(line)
