"""`./mint test` and `./mint check`: what a developer runs before a push, and CI after it."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from master.cli.context import CHECKOUT
from master.cli.packages import can_install, require
from workers.errors import Failure
from workers.tools import BUILD_TOOLS, TEST_TOOLS, missing


def run_pytest(arguments: list[str]) -> int:
    """Runs pytest in the checkout, whatever this farm's own MINT_HOME is: a test makes homes of its own."""
    environment = {key: value for key, value in os.environ.items() if key not in ("MINT_HOME", "MINT_CACHE")}
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, env=environment, check=False).returncode


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Runs all tests but `real`, the linters among them; arguments are pytest's, paths from the checkout's root.

    Missing tools are installed where this user may; tests that need one which stays missing are skipped, saying so.
    """
    tools = (*BUILD_TOOLS, *TEST_TOOLS)
    if can_install():
        try:
            require(tools)
        except Failure as failure:
            click.echo(str(failure), err=True)
    if absent := missing(tools):
        click.echo(f"tests that need these are skipped: {', '.join(tool.name for tool in absent)}", err=True)
    chosen = [] if "-m" in arguments else ["-m", "not real"]
    sys.exit(run_pytest([*chosen, *arguments]))


@click.command()
def check() -> None:
    """Runs the linters only: ruff, mypy --strict, shellcheck."""
    sys.exit(run_pytest(["-q", "tests/lint"]))
