"""`./mint COMMAND`: everything an operator or a developer does with the farm, from one command line."""

from __future__ import annotations

import importlib
import os
import sys

import click

from master.machine import in_words
from workers.errors import Failure

# Where each command is; imported only when it is asked for. Those of `workers` are the programs that a build runs.
COMMANDS = {
    "build": "master.cli.build:build",
    "follow": "master.cli.build:follow",
    "stop": "master.cli.build:stop",
    "up": "master.cli.running:up",
    "down": "master.cli.running:down",
    "router": "master.cli.router:router",
    "release": "master.cli.release:release",
    "service": "master.cli.service:service",
    "status": "master.cli.status:status",
    "health": "master.cli.health:health",
    "settings": "master.cli.settings:settings",
    "checkconfig": "master.cli.settings:checkconfig",
    "reconfig": "master.cli.settings:reconfig",
    "backup": "master.cli.backup:backup",
    "restore": "master.cli.backup:restore",
    "prune": "master.cli.prune:prune",
    "doctor": "master.cli.doctor:doctor",
    "worker": "master.cli.worker:worker",
    "validate": "workers.programs.validate:command",
    "prove": "workers.programs.prove:command",
    "verify": "master.cli.verify:verify",
    "benchmark": "master.cli.benchmark:benchmark",
    "test": "master.cli.testing:test",
    "check": "master.cli.testing:check",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            ctx.fail(f"there is no command {args[0]!r}. Known: {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def mint() -> None:
    """Mints relocatable CPythons whose FIPS mode is proven.

    Start with `./mint build`. State lies in MINT_HOME (.mint in the checkout), downloads in MINT_CACHE.
    """


def main() -> None:
    """Runs the command where ./mint was called, and tells a Failure as it is meant to be read."""
    os.chdir(os.environ.pop("MINT_CALLED_FROM", "."))
    try:
        mint(prog_name="./mint")
    except (Failure, OSError) as error:
        sys.stdout.flush()
        click.echo(str(in_words("mint", error)), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
