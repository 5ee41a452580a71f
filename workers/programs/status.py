"""`status`: what a worker's store holds and how large it is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import click

from workers.progress import size
from workers.reports.base import encode
from workers.store import Store


@dataclass(frozen=True)
class Stored:
    """Count and bytes of objects, in all and by node, and the bytes that the file system has left."""

    objects: int
    bytes: int
    free_bytes: int
    nodes: dict[str, tuple[int, int]]


def stored(state: Path) -> Stored:
    """What a worker's store holds, from its records."""
    records = Store(state / "store").records()
    by_node: dict[str, tuple[int, int]] = {}
    for record in records:
        count, total = by_node.get(record.node, (0, 0))
        by_node[record.node] = (count + 1, total + record.size)
    return Stored(len(records), sum(record.size for record in records), shutil.disk_usage(state).free, by_node)


@click.command("status")
@click.option("--state", type=click.Path(path_type=Path, exists=True), required=True, help="The worker's state.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(state: Path, as_json: bool) -> None:
    """Shows what the worker's store holds."""
    found = stored(state)
    if as_json:
        click.echo(encode(found).decode(), nl=False)
        return
    for name, (count, total) in found.nodes.items():
        click.echo(f"{name}: {count} objects, {size(total)}")
    click.echo(f"{found.objects} objects, {size(found.bytes)}; {size(found.free_bytes)} free on that disk")
