"""`./mint backup DIR` and `./mint restore DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from master import settings as farm_settings
from master.backup import checking
from master.backup.making import make
from master.backup.model import Backups
from master.backup.restoring import restore as restore_backup
from master.backup.sealing import passphrase_of
from master.cli import daemons
from master.cli.context import this_farm
from master.database import where
from master.home import Home
from master.mirror import fetch_now
from workers.errors import Failure
from workers.model import load_matrix
from workers.progress import counted, size

DIRECTORY = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--passphrase-file", type=FILE, help="Keeps keys and passwords too, encrypted with what this file says.")
@click.option("--link", is_flag=True, help="Hard links instead of copies of archives, where DIRECTORY's disk has them.")
@click.option("--keep", type=click.IntRange(min=1), help="Drop all but the newest N backups afterwards.")
@click.option("--verify", is_flag=True, help="Make none: read every byte of a backup again.")
@click.option("--at", "name", help="With --verify: which backup; the newest without it.")
@click.option("--list", "listing", is_flag=True, help="Make none: say which there are.")
def backup(
    directory: Path, passphrase_file: Path | None, link: bool, keep: int | None, verify: bool, name: str | None,
    listing: bool,
) -> None:  # fmt: skip
    """Backs the farm up into DIRECTORY, also while it works: database, archives, records, releases, settings.

    Only what is new since the last backup there is copied. Ends with 1 when the store did not have everything that it
    records; the rest is kept all the same.
    """
    backups = Backups(directory)
    if listing:
        for one in backups.names():
            manifest = backups.read(one)[1]
            total = size(sum(each.size for each in manifest.files))
            click.echo(f"{one}  {counted(len(manifest.files), 'file')}, {total}")
        return
    if verify:
        chosen, manifest = backups.read(name)
        found = checking.problems(backups, manifest)
        for line in found:
            click.echo(line)
        if found:
            click.echo("Delete those, and the next backup copies them anew where the farm still has them.")
        click.echo(f"backup {chosen}: {counted(len(manifest.files), 'file')}, {len(found)} of them missing or damaged")
        sys.exit(1 if found else 0)
    if name is not None:
        raise click.UsageError("--at goes with --verify")
    farm = this_farm()
    passphrase = passphrase_of(passphrase_file) if passphrase_file is not None else None
    store = farm_settings.store_place(farm.settings, farm.home)
    made = make(farm.home, store, backups, click.echo, passphrase=passphrase, link=link, keep=keep,
                database=where(farm.home, farm.settings))  # fmt: skip
    new = f"{made.new_files} new, {size(made.new_bytes)}"
    click.echo(f"backup {made.name}: {counted(made.files, 'file')}, {size(made.size)}; {new}")
    if made.dropped_bytes:
        click.echo(f"older backups: {size(made.dropped_bytes)} dropped")
    if passphrase is None:
        click.echo("without private keys and passwords: --passphrase-file keeps them too, encrypted")
    if made.damaged:
        raise Failure(
            "backup", f"{len(made.damaged)} files are not in the store as recorded, so not in the backup",
            found="\n          ".join(made.damaged[:10]),
            todo="Everything else was kept. An older backup may have them; else build those commits again.",
        )  # fmt: skip


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--at", "name", help="Which backup; the newest without it. `./mint backup DIRECTORY --list` lists them.")
@click.option("--passphrase-file", type=FILE, help="What the backup's keys and passwords are encrypted with.")
@click.option("--database", "url", help="An empty PostgreSQL database instead of the one that the settings name.")
def restore(directory: Path, name: str | None, passphrase_file: Path | None, url: str | None) -> None:
    """Makes a farm of a backup in an empty MINT_HOME. When it was interrupted, the same command goes on.

    A farm that had PostgreSQL gets an empty database of that first: docs/keeping.md.
    """
    home = this_farm().home
    passphrase = passphrase_of(passphrase_file) if passphrase_file is not None else None
    with daemons.only_one(home):
        chosen, manifest = restore_backup(
            home, Backups(directory), click.echo, name=name, passphrase=passphrase, url=url
        )
    click.echo(f"backup {chosen}: {counted(len(manifest.files), 'file')} in {home.root}")
    if manifest.damaged:
        click.echo(f"{len(manifest.damaged)} files were damaged before the backup was made; their builds say so")
    if passphrase is None or manifest.salt is None:
        click.echo(
            "Without private keys: what is stored can be verified, and nothing new signed until keys/*.pem are back.\n"
            "Without passwords: new ones are made, which workers elsewhere have to be told."
        )
    _fetch_the_repository(home)
    click.echo("`./mint up` starts it.")


def _fetch_the_repository(home: Home) -> None:
    """The mirror is in no backup, since it can be had again: without it no commit would be on the branch."""
    try:
        chosen = farm_settings.load(home, load_matrix())
        fetch_now(home.repository, farm_settings.repository_url(chosen, home))
    except Failure as failure:
        click.echo(f"The repository is not fetched yet; the master tries again. {failure.what}: {failure.found}")
