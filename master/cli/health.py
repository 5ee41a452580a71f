"""`./mint health`: is the farm well, for people, supervisors and scripts."""

from __future__ import annotations

import sys

import click
import httpx
import msgspec

from master.cli import daemons
from master.cli.context import Farm, this_farm
from master.watch.vitals import Checkup
from workers.errors import Failure
from workers.reports.base import encode

TIMEOUT_S = 30.0


def ask(farm: Farm, timeout_s: float) -> Checkup:
    """What the running master says of itself. Raises Failure when it says nothing."""
    address = farm.api.removesuffix("api/v2/") + "health"
    try:
        # A proxy that the environment names is for the world outside, never for this machine's own master.
        answer = httpx.get(address, timeout=timeout_s, trust_env=False)
        return msgspec.json.decode(answer.content, type=Checkup)
    except httpx.TransportError as error:
        process = daemons.master_daemon(farm.home).running()
        there = f"the master runs (process {process.pid}) and does not answer" if process else "no master runs here"
        todo = "It hangs, or is starting: read master/twistd.log; its watchdog ends it when it goes on like that."
        raise Failure(
            "health", there, wanted=f"an answer from {address} within {timeout_s:.0f} s",
            found=str(error) or type(error).__name__, todo=todo if process else "./mint up starts it.",
        ) from error  # fmt: skip
    except msgspec.MsgspecError as error:
        raise Failure(
            "health", "what answers there is not this farm's master", wanted=f"{address} as JSON",
            found=f"{answer.status_code}: {answer.text[:200]}", todo="Look who listens on [web] port.",
        ) from error  # fmt: skip


def lines_of(found: Checkup) -> list[str]:
    """The checkup for people: a line a question."""
    lines = []
    for one in found.checks:
        wanted = "" if one.ok or not one.wanted else f" (wanted: {one.wanted})"
        lines.append(f"{'✓' if one.ok else '✗'} {one.name:<9} {one.found}{wanted}")
    bad = [one.name for one in found.checks if not one.ok]
    return [*lines, "The farm is well." if found.healthy else f"Not well: {', '.join(bad)}: docs/watching.md."]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--timeout", default=TIMEOUT_S, show_default=True, help="Seconds to wait for an answer.")
def health(as_json: bool, timeout: float) -> None:
    """Is the running master well: database, poller, disks, messages. Ends with 1 when it is not, or does not answer."""
    found = ask(this_farm(), timeout)
    if as_json:
        click.echo(encode(found).decode(), nl=False)
    else:
        for line in lines_of(found):
            click.echo(line)
    sys.exit(0 if found.healthy else 1)
