"""`python -m workers PROGRAM`: the programs that run on a worker, with the checkout as working directory."""

from __future__ import annotations

import importlib

import click

PROGRAMS = (
    "plan", "sources", "build", "package", "validate", "prove", "test", "archive", "derive", "validate-flavours",
    "prove-flavours", "status", "prune", "doctor", "image",
)  # fmt: skip


class _Programs(click.Group):
    """Imports only the program that is asked for: a worker that plans needs no binary reader."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(PROGRAMS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in PROGRAMS:
            return None
        command = importlib.import_module(f"workers.programs.{name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Programs)
def main() -> None:
    """What runs on a worker. Each program works by hand as well as under Buildbot."""


if __name__ == "__main__":
    main()
