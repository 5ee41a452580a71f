"""`./mint benchmark`: keeps a measured comparison for the page of trends."""

from __future__ import annotations

from pathlib import Path

import click

from master.cli.context import this_farm
from master.pages import benchmarks
from master.settings import store_place
from master.store import Store


@click.command()
@click.argument("result", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("builder")
@click.argument("number", type=click.IntRange(min=1))
def benchmark(result: Path, builder: str, number: int) -> None:
    """Keeps RESULT, of `python -m tests.bench.compare ... --json RESULT`, as BUILDER's build NUMBER's.

    Only when the interpreter that was measured is one of that build's archives. The page of trends then shows it.
    """
    farm = this_farm()
    click.echo(benchmarks.keep(farm.home, Store(store_place(farm.settings, farm.home)), result, builder, number))
