"""`./mint prune`: drops what nothing refers to, from the master's store and from the local worker's."""

from __future__ import annotations

import subprocess
import sys

import click

from master import settings as farm_settings
from master.cli.context import CHECKOUT, Farm, this_farm
from master.store import Store
from workers.progress import size


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be dropped.")
@click.option(
    "--keep-builds", type=click.IntRange(min=1), help="Keep the newest N archives of each cell; drop older ones too."
)
def prune(dry_run: bool, keep_builds: int | None) -> None:
    """Drops what nothing refers to: files that no record names, objects that no cell's latest plan needs.

    Records of builds stay for ever, and their archives with them, unless --keep-builds is given.
    """
    farm = this_farm()
    archives(farm, keep_builds, really=not dry_run)
    sys.stdout.flush()
    sys.exit(objects(farm, really=not dry_run))


def archives(farm: Farm, keep_builds: int | None, *, really: bool) -> None:
    store = Store(farm_settings.store_path(farm.settings, farm.home))
    chosen = store.prune(really=False, keep_builds=keep_builds) if store.root.is_dir() else []
    total = sum(path.stat().st_size for path in chosen if path.exists())
    for path in chosen:
        click.echo(f"{path.relative_to(store.root)}: {size(path.stat().st_size)}")
    if really and chosen:
        store.prune(really=True, keep_builds=keep_builds)
    click.echo(f"archives: {len(chosen)} files, {size(total)} {'dropped' if really else 'would be dropped'}")


def objects(farm: Farm, *, really: bool) -> int:
    """The worker's own program does it: it knows its store's locks."""
    state = farm.home.worker_state
    if not state.is_dir():
        click.echo("objects: none")
        return 0
    command = [sys.executable, "-m", "workers", "prune", "--state", str(state), *(["--really"] if really else [])]
    return subprocess.run(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, check=False).returncode
