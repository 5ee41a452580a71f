"""`./mint prune`: drops what may go, from the master's store and database and from the local worker's store."""

from __future__ import annotations

import subprocess
import sys

import click

from master.cli.context import CHECKOUT, Farm, this_farm
from master.retention.housekeeping import drop, only_now, terms_of


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be dropped.")
@click.option(
    "--keep-builds", type=click.IntRange(min=1), help="Keep the newest N archives of each cell; drop older ones too."
)
def prune(dry_run: bool, keep_builds: int | None) -> None:
    """Drops what nothing refers to, and what [retention] says; never anything of a released commit.

    Files that no record names, objects that no cell's latest plan needs, old logs, what broken builds left. Records of
    builds stay for ever, and their archives with them, unless --keep-builds or the setting says how many.
    """
    farm = this_farm()
    drop(farm.home, farm.settings, click.echo, only_now(terms_of(farm.settings), keep_builds), really=not dry_run)
    sys.stdout.flush()
    sys.exit(objects(farm, really=not dry_run))


def objects(farm: Farm, *, really: bool) -> int:
    """The worker's own program does it: it knows its store's locks."""
    state = farm.home.worker_state
    if not state.is_dir():
        click.echo("objects: none")
        return 0
    command = [sys.executable, "-m", "workers", "prune", "--state", str(state), *(["--really"] if really else [])]
    return subprocess.run(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, check=False).returncode
