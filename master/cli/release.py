"""`./mint release`: a commit becomes a release, or the answer to whether it could."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table
from rich.text import Text

from master.access import RELEASE
from master.cli import commit as commits
from master.cli.build import repository_of, to_the_end
from master.cli.context import Farm, this_farm
from master.cli.rest import Rest
from master.cli.signing_in import user_option
from master.cli.starting import bring_up
from master.cli.views import properties_of
from master.release import publishing, standing
from master.release.gate import standing_of
from master.release.model import CellState, Readiness, checked_tag
from master.release.page import answer
from master.release.places.chosen import places_of
from master.release.releasing import one_at_a_time, prepare_lock, state_directory
from workers.errors import Failure

SCHEDULER = f"forceschedulers/{RELEASE}"
STYLES: Mapping[CellState, str] = {
    "ready": "green", "failed": "red", "refused": "red", "running": "yellow", "waiting": "yellow",
    "missing": "bright_black",
}  # fmt: skip


@click.command()
@click.option("--tag", help="YYYYMMDD, or YYYYMMDDNN for another release of that day.")
@click.option("--sha", help="The commit, all 40 digits; with --check any name git has for it, HEAD by default.")
@click.option("--publish", is_flag=True, help="Really publish; without it is a dry run.")
@click.option("--check", is_flag=True, help="Only say whether the commit can be released; ends with 1 when not.")
@click.option(
    "--abandon", is_flag=True, help="Throw what is half done of --tag away, at every place; never what is published."
)
@click.option("--json", "as_json", is_flag=True, help="With --check: for programs.")
@user_option
def release(
    tag: str | None, sha: str | None, publish: bool, check: bool, abandon: bool, as_json: bool, user: str | None
) -> None:
    """Releases a commit: from its recorded builds to archives, indexes and signatures in the configured places.

    Without --publish a dry run, which does all of it into a rehearsal directory. Both are started by the form that the
    page has too, and followed to the end; Ctrl-C leaves them running.
    """
    farm = this_farm()
    # MINT_USER stands in the environment for all commands, also for those that ask nobody.
    named = click.get_current_context().get_parameter_source("user") is ParameterSource.COMMANDLINE
    if check:
        if tag or publish or abandon or named:
            raise click.UsageError("--check takes --sha and --json only")
        name = sha or "HEAD"
        sys.exit(_check(farm, commits.resolve(repository_of(farm), name), as_json=as_json))
    if abandon:
        if not tag or sha or publish or named:
            raise click.UsageError("--abandon takes --tag only")
        _abandon(farm, tag)
        return
    if not tag or not sha or as_json:
        raise click.UsageError("name --tag and --sha, or --check" if not as_json else "--json goes with --check")
    began = time.monotonic()
    checked_tag(tag)
    rest = bring_up(farm, click.echo, user)
    request = rest.control(SCHEDULER, "force", tag=tag, revision=sha, dry_run=not publish, reason="./mint release")
    click.echo(f"{'release' if publish else 'dry run of release'} {tag} of commit {sha[:12]}")
    sys.exit(_follow(farm, rest, int(next(iter(request[1].values()))), began))


def _check(farm: Farm, commit: str, *, as_json: bool) -> int:
    if farm.settings.database.url is None and not farm.home.database.exists():
        raise Failure("release", "nothing was ever built here", found=f"no {farm.home.database}", todo="./mint up")
    found = standing.ask(farm.home, farm.settings, farm.matrix, commit, fetch=True)
    if as_json:
        sys.stdout.write(answer(found).decode() + "\n")
    else:
        tell_readiness(found, Console(highlight=False, soft_wrap=True))
    return 0 if found.ready else 1


def _abandon(farm: Farm, tag: str) -> None:
    prepare_lock(farm.home)
    with one_at_a_time(farm.home, click.echo):
        places = places_of(farm.settings, farm.home, rehearsal=False)
        publishing.abandon(checked_tag(tag), places, state_directory(farm.home, dry_run=False), click.echo)


def tell_readiness(found: Readiness, console: Console) -> None:
    """The gate's answer as a table, a line a cell, and in sentences."""
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column()
    for one in found.cells:
        number = f"#{one.number}" if one.number is not None else ""
        table.add_row(Text(one.state, STYLES[one.state]), Text(one.builder), Text(number), Text(one.why))
    console.print(table)
    for note in found.notes:
        console.print(Text(f"note: {note}"))
    for reason in found.reasons:
        console.print(Text(f"{reason}."))
    verdict = "can be released" if found.ready else "can't be released"
    console.print(Text(f"{found.commit} {verdict}: {standing_of(found)} (set {found.set_name})."))


def _follow(farm: Farm, rest: Rest, request: int, began: float) -> int:
    code, build, took = to_the_end(farm, rest, request, began)
    if build is None:
        return code
    said = properties_of(rest, build.id)
    identity = said.get("release_identity", "")
    click.echo(f"\n{said['tag']}  ({'rehearsed' if said.get('dry_run', True) else 'published'} in {took})")
    rows = {
        "where": said.get("release_where", ""),
        "plan": identity,
        "files": f"{farm.page}releases/{said['tag']}/{identity}/",
        "page": build.page(farm.page),
    }
    for name, value in rows.items():
        click.echo(f"  {name:<8} {value}")
    return 0
