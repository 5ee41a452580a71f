"""`./mint validate` and `./mint prove`: the same programs that a build runs, by hand, on any archive."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from master.cli.context import CHECKOUT
from master.home import cache_directory

ARCHIVE = click.argument("archive", type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True))
REPORTS = click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="A directory to keep the report in, as JSON and HTML.",
)


def run_program(program: str, archive: Path, reports: Path | None) -> int:
    """Runs the worker's program on the archive in a run directory of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mint-") as scratch:
        places = ["--run", f"{scratch}/run", "--state", f"{scratch}/state", "--cache", str(cache_directory())]
        command = [sys.executable, "-m", "workers", program, *places, str(archive)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        code = subprocess.run(command, cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
        if reports is not None and (left := Path(scratch, "run", "reports")).is_dir():
            shutil.copytree(left, reports, dirs_exist_ok=True)
            click.echo(f"report: {', '.join(str(reports / path.name) for path in sorted(left.iterdir()))}")
        return code


@click.command()
@ARCHIVE
@REPORTS
def validate(archive: Path, reports: Path | None) -> None:
    """Judges an archive by every rule: structure, binaries, hardening, glibc floor. Ours or anybody's."""
    sys.exit(run_program("validate", archive, reports))


@click.command()
@ARCHIVE
@REPORTS
def prove(archive: Path, reports: Path | None) -> None:
    """Tries to get around an archive's FIPS mode: off, on, and with tampered copies. Ours or anybody's."""
    sys.exit(run_program("prove", archive, reports))
