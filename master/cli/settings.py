"""`./mint settings`, `checkconfig` and `reconfig`: what can be set, whether a file holds, and putting it in force."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from master import instance
from master.cli import daemons, processes
from master.cli.context import CHECKOUT, Farm, this_farm
from master.home import Home
from master.reconfig.candidate import inventory_for
from master.reconfig.inventory import Inventory, changes, grouped
from master.settings import parse, store_place
from master.settings.template import commented
from master.store import Store
from workers.errors import Failure
from workers.progress import counted
from workers.reports.base import decode

RECONFIG_S = 300.0


@click.command()
def settings() -> None:
    """Prints a settings.toml with every setting there is, its default and what it does; each line is a comment."""
    click.echo(commented((CHECKOUT / "docs" / "settings.md").read_text()), nl=False)


def running_inventory(home: Home) -> Inventory | None:
    """What the running master works by; None where none runs."""
    if daemons.master_daemon(home).running() is None or not home.running.exists():
        return None
    return decode(home.running.read_bytes(), Inventory, str(home.running))


def tell(home: Home, wanted: Inventory) -> list[str]:
    """Says what is in the configuration, and what it would change. Returns the changes."""
    found = {"builder": wanted.builders, "worker": wanted.workers, "scheduler": wanted.schedulers}
    click.echo(", ".join(counted(len(those), what) for what, those in found.items()))
    running = running_inventory(home)
    if running is None:
        click.echo("No master runs here; ./mint up starts one with it.")
        return []
    lines = changes(running, wanted)
    for line in grouped(lines):
        click.echo(line)
    if not lines:
        click.echo("It changes nothing that the running master itself holds; what a step starts reads the file anew.")
    if running.code != wanted.code:
        click.echo(f"The master runs the code of {running.code[:12]}, and the checkout is at {wanted.code[:12]}:\n"
                   "only ./mint down and ./mint up put that in force.")  # fmt: skip
    return lines


def ask_bucket(home: Home, file: Path) -> None:
    """Tries the store's bucket, should a file name one. Raises Failure when it can't be used as it has to be."""
    place = store_place(parse(file.read_text() if file.exists() else "", file), home)
    if place.bucket is not None:
        store = Store(place)
        store.try_out()
        click.echo(f"The bucket {place.bucket.access.bucket} answers, and writes nothing over.")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def checkconfig(file: Path | None) -> None:
    """Checks settings.toml, or FILE as if it were it, as a start would; says what it would change. Touches no farm.

    Ends with 1 when something is wrong, and names file, line and key.
    """
    home = this_farm().home
    chosen = file or home.settings_file
    tell(home, inventory_for(home, chosen))
    ask_bucket(home, chosen)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
def reconfig(dry_run: bool) -> None:
    """Puts settings.toml in force in the running master. Builds that run go on; a bad file changes nothing."""
    farm = this_farm()
    with daemons.only_one(farm.home):
        _reconfig(farm, dry_run=dry_run)


def _reconfig(farm: Farm, *, dry_run: bool) -> None:
    home = farm.home
    wanted = inventory_for(home, home.settings_file)
    running = running_inventory(home)
    tell(home, wanted)
    if running is None or dry_run:
        return
    if running.code != wanted.code:
        raise Failure(
            "settings", "the master runs other code than the checkout has, so nothing was changed",
            wanted=running.code, found=wanted.code,
            todo="./mint down, then ./mint up. Builds that run are begun again.",
        )  # fmt: skip
    before = (home.worker / "worker.toml").read_text() if (home.worker / "worker.toml").exists() else ""
    instance.prepare(home, farm.settings)
    master = daemons.master_daemon(home)
    process = master.running()
    if process is None:
        raise master.died()
    os.kill(process.pid, signal.SIGHUP)
    if running == wanted:
        click.echo("The master reads its secrets again, in case one of them is another.")
        return
    if not processes.wait_until(lambda: running_inventory(home) == wanted, RECONFIG_S, pause=0.2):
        raise Failure(
            "settings", f"the master did not take the configuration within {RECONFIG_S:.0f} s",
            wanted=f"the settings of {home.settings_file} in force", found=master.tail(),
            todo="It may be in force in part. ./mint down and ./mint up put all of it in force.",
        )  # fmt: skip
    click.echo("In force; what was running goes on.")
    if before and (home.worker / "worker.toml").read_text() != before:
        click.echo("The local worker takes its part of it when it starts again: ./mint down, ./mint up.")
