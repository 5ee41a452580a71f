"""`python -m master.bucket DIRECTORY`: brings a store's directory into the bucket that `[store]` names."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from master import settings
from master.bucket.filling import fill
from master.home import home_of, one_keeper
from master.machine import in_words
from master.store import Store
from workers.errors import Failure
from workers.model import ROOT, load_matrix


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(directory: Path) -> None:
    """Brings everything of a store in DIRECTORY into the bucket. May be killed and begun again."""
    home = home_of(ROOT)
    try:
        place = settings.store_place(settings.load(home, load_matrix()), home)
        if place.bucket is None:
            raise Failure("store", "there is no bucket to bring it to", todo="Name one in [store]: docs/cluster.md.")
        with one_keeper(home, click.echo):
            fill(Store(place, patient=True), directory.absolute(), click.echo)
    except (Failure, OSError) as error:
        click.echo(str(in_words("store", error)), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
