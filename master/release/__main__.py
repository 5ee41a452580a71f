"""A release's stages, each a process: `python -m master.release STAGE --tag T --commit SHA --run DIR`.

MINT_HOME is in the environment. What a stage leaves for the next lies in DIR; the last is `STAGE.json`, its report.
Without `--publish` it is a dry run, whose processes confine themselves before they do anything:
`master/release/guard.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click

from master import settings as farm_settings
from master.home import home_of
from master.machine import in_words
from master.release import guard, lifeline
from master.release.releasing import one_at_a_time, prepare_lock
from steps.release import StageName
from workers.errors import Failure
from workers.model import ROOT, load_matrix
from workers.progress import Progress
from workers.reports.base import write_report


@click.command()
@click.argument("stage", type=click.Choice(get_args(StageName)))
@click.option("--tag", required=True)
@click.option("--commit", required=True)
@click.option("--run", "directory", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--publish", is_flag=True, help="Not a dry run.")
def main(stage: StageName, tag: str, commit: str, directory: Path, publish: bool) -> None:
    """Does one STAGE of a release; all that it finds done it leaves as it is."""
    lifeline.hang_on()
    home, matrix, progress = home_of(ROOT), load_matrix(), Progress()
    try:
        settings = farm_settings.load(home, matrix)
        prepare_lock(home)
        # Collecting runs code of the archives, so it is confined in every release, and writes nowhere else.
        sealed = directory if stage == "collect" else None
        if stage == "gate" and not publish and settings.database.url is not None and not guard.confined():
            # PostgreSQL is behind the network that a dry run has not.
            from master.release import stages, standing

            write_report(standing.tell(home, settings, matrix, commit), directory / stages.TOLD)
        if sealed is not None or not publish:
            if not guard.confined():
                from master.release import fetching

                fetching.bring(home, settings, stage, directory, progress.line)
            how = guard.confine(home, settings, ["-m", "master.release", *sys.argv[1:]], sealed)
            progress.line(f"confined: {how}")
            settings = farm_settings.without_bucket(settings, home)
        # Only now: a process that was about to start itself again has loaded nothing for naught.
        from master.release import stages

        with one_at_a_time(home, progress.line):
            work = stages.Work(home, settings, matrix, tag, commit, directory, not publish, progress)
            report = stages.STAGES[stage](work)
            write_report(report, directory / f"{stage}.json")
        progress.line(report.summary)
    except (Failure, OSError) as error:
        sys.stdout.flush()
        click.echo(str(in_words("release", error)), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
