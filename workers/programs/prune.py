"""`prune`: drops from a worker's store what no cell's latest plan refers to, and what killed builds left behind."""

from __future__ import annotations

import json
from pathlib import Path

import click

from workers.errors import Failure
from workers.programs.common import failing_plainly
from workers.progress import size
from workers.room import is_in_use
from workers.store import Store
from workers.suite.running import remove


def wanted_keys(state: Path) -> frozenset[str]:
    """The keys that the latest plan of each cell refers to. Raises Failure when one of those lists can't be read."""
    keys: set[str] = set()
    for path in (state / "roots").glob("*.json"):
        try:
            keys.update(json.loads(path.read_text()).values())
        except (OSError, ValueError) as error:
            raise Failure(
                "prune",
                f"{path} can't be read, so what it keeps is not known",
                found=str(error),
                todo="Delete it if its cell is not built any more, else build the cell once. Nothing was dropped.",
            ) from error
    return frozenset(keys)


@click.command("prune")
@click.option("--state", type=click.Path(path_type=Path, exists=True), required=True, help="The worker's state.")
@click.option("--really", is_flag=True, help="Drop it; without this only what would be dropped is shown.")
@failing_plainly
def command(state: Path, really: bool) -> None:
    """Drops what nothing refers to; what a running build works on stays."""
    store = Store(state / "store")
    dropped = store.prune(wanted_keys(state), really=really)
    for record in dropped:
        click.echo(f"{record.node} {record.key[:12]}: {size(record.size)}")
    scratch = state / "tmp"
    there = list(scratch.iterdir()) if scratch.is_dir() else []
    left = [path for path in there if not is_in_use(path) and not store.is_locked(path.name)]
    for path in left:
        click.echo(f"scratch of an ended build {path.name[:12]}")
        if really:
            remove(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    verb = "dropped" if really else "would be dropped (--really drops it)"
    click.echo(f"{len(dropped)} objects, {size(sum(record.size for record in dropped))}, {len(left)} scratch {verb}")
