"""`python -m master.updates STAGE --run DIR`: one stage of looking after the pins; the step of that name starts it."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path
from typing import get_args

import click

from master import settings as farm_settings
from master.home import home_of
from master.updates import stages
from steps.updates import StageName
from workers.errors import Failure
from workers.model import ROOT, load_matrix
from workers.progress import Progress
from workers.reports.base import write_report


@click.command()
@click.argument("stage", type=click.Choice(get_args(StageName)))
@click.option("--run", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--only", multiple=True, metavar="NAME")
def main(stage: StageName, directory: Path, only: tuple[str, ...]) -> None:
    """Does one STAGE; what it finds done it leaves as it is."""
    home, matrix, progress = home_of(ROOT), load_matrix(), Progress()
    try:
        settings = farm_settings.load(home, matrix)
        home.updates.mkdir(parents=True, exist_ok=True)
        # Buildbot's lock is gone with a killed master, its children are not.
        with (home.updates / "lock").open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            report = stages.STAGES[stage](stages.Work(home, settings, matrix, only, progress))
            write_report(report, directory / f"{stage}.json")
        progress.line(report.summary)
    except Failure as failure:
        sys.stdout.flush()
        click.echo(str(failure), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
