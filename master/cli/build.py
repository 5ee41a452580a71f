"""`./mint build`, `follow` and `stop`: from one cell and a commit to its archives, through the farm."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from master import settings as farm_settings
from master.cli import commit, daemons, packages
from master.cli.context import CHECKOUT, Farm, this_farm
from master.cli.display import display_for
from master.cli.emulation import cross_targets, require_emulation
from master.cli.fitness import machine_verdicts
from master.cli.follow import Follower
from master.cli.rest import SUCCESS, WARNINGS, Rest
from master.cli.signing_in import sign_in, user_option
from master.cli.starting import bring_up
from master.cli.views import Build, builder_names, properties_of, result_name, steps_of
from master.store import Store
from workers.errors import Failure
from workers.machine import native_target
from workers.model import Cell
from workers.progress import seconds, size
from workers.tools import BUILD_TOOLS

DETACHED = 130  # what a shell gives for a command that Ctrl-C ended
SCHEDULER = "forceschedulers/force-cell"


@click.command()
@click.option("--python", "version", default="3.13", show_default=True, help="The version: 3.10 to 3.14.")
@click.option("--target", default="native", show_default=True, help="The target; native is this machine's own.")
@click.option("--variant", default="pgo+lto", show_default=True, help="pgo+lto, freethreaded+pgo+lto, noopt or debug.")
@click.option("--rev", default="HEAD", show_default=True, help="The commit to build: any name git has for it.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Also copy the archives there.",
)
@user_option
def build(version: str, target: str, variant: str, rev: str, output: Path | None, user: str | None) -> None:
    """Builds one CPython, validates it, proves its FIPS mode, and says where it is."""
    began = time.monotonic()
    farm = this_farm()
    cell = _cell(farm, version, target, variant)
    repository = repository_of(farm)
    sha = commit.resolve(repository, rev)
    if changed := commit.uncommitted(repository):
        click.echo(commit.warning_about(changed, rev, sha), err=True)
    require_fit(farm, cell)
    rest = bring_up(farm, click.echo, user)
    click.echo(f"{cell.builder_name} of commit {sha[:12]}")
    result = follow_request(farm, rest, request_build(rest, cell, sha), began, output)
    sys.exit(result)


@click.command()
@click.argument("build", type=int)
@user_option
def follow(build: int, user: str | None) -> None:
    """Follows a build that is running; BUILD is the number that `./mint status` shows."""
    farm = this_farm()
    rest = running_master(farm, user)
    row = rest.rows("builds", f"builds/{build}")[0]
    sys.exit(follow_request(farm, rest, row["buildrequestid"], time.monotonic(), None))


@click.command()
@click.argument("build", type=int, required=False)
@click.option("--request", type=int, help="A request that still waits, by the number that `./mint status` shows.")
@user_option
def stop(build: int | None, request: int | None, user: str | None) -> None:
    """Stops a build that is running, or takes a waiting request back."""
    rest = running_master(this_farm(), user)
    if (build is None) == (request is None):
        raise click.UsageError("name a BUILD, or a --request")
    if build is not None:
        rest.control(f"builds/{build}", "stop", reason="./mint stop")
        click.echo(f"build {build} is being stopped")
    else:
        rest.control(f"buildrequests/{request}", "cancel", reason="./mint stop")
        click.echo(f"request {request} is taken back")


def _cell(farm: Farm, version: str, target: str, variant: str) -> Cell:
    """The cell of these names. Raises Failure for a name that does not exist and for a target that has no worker."""
    if target == "native":
        native = native_target()
        if native is None:
            known = ", ".join(farm.matrix.targets)
            raise Failure(
                "build", "this machine's own kind is not one of the targets", todo=f"Name one: --target {known}."
            )
        target = native
    cell = farm.matrix.cell(version, target, variant)
    if cell not in farm_settings.worked_cells(farm.settings, farm.matrix):
        workers = farm_settings.workers_of(farm.settings)
        have = sorted({t for worker in workers for t in (*worker.targets, *worker.cross)})
        raise Failure(
            "build",
            f"{cell.builder_name} waits for a worker: none builds {target}",
            wanted=f"a worker with {target} among its `targets`, or among its `cross`",
            found=f"workers for {', '.join(have) or 'nothing'}",
            todo=f"Add it to {farm.home.settings_file} as [[workers]]; see docs/operating.md.",
        )
    return cell


def repository_of(farm: Farm) -> Path:
    """Where names of commits are looked up: the configured repository where it lies here, else the checkout."""
    url = Path(farm_settings.repository_url(farm.settings, farm.home))
    return url if url.is_dir() else CHECKOUT


def require_fit(farm: Farm, cell: Cell) -> None:
    """Installs what is missing where this user may. Raises Failure for the first thing that would end the build."""
    if farm_settings.local_worker(farm.settings) is None:
        return
    packages.require(BUILD_TOOLS)
    require_emulation([one for one in cross_targets(farm.settings, farm.matrix) if one == cell.target])
    for verdict in machine_verdicts(farm.home):
        if verdict.level == "bad":
            raise Failure("machine", f"{verdict.name}: {verdict.found}", todo=verdict.todo)
        if verdict.level == "warn":
            click.echo(f"warning: {verdict.name}: {verdict.found}. {verdict.todo}", err=True)


def running_master(farm: Farm, user: str | None = None) -> Rest:
    """A connection to it, as that user. Raises Failure when it does not run."""
    if daemons.master_daemon(farm.home).running() is None:
        raise Failure("master", "the farm is not running", todo="Start it: ./mint up")
    rest = Rest(farm.api)
    sign_in(farm, rest, user)
    return rest


def request_build(rest: Rest, cell: Cell, sha: str) -> int:
    """Asks for the build as the form on the page does; returns the request's number."""
    answer = rest.control(SCHEDULER, "force", builderNames=[cell.builder_name], revision=sha, reason="./mint build")
    return int(next(iter(answer[1].values())))


def to_the_end(farm: Farm, rest: Rest, request: int, began: float) -> tuple[int, Build | None, str]:
    """Follows a request and tells a failure: exit code, the build if it ended well, how long it took.

    Ctrl-C leaves the build running.
    """
    display = display_for(Console(highlight=False))
    follower = Follower(farm, rest, request, display)
    try:
        result = follower.run()
    except KeyboardInterrupt:
        display.close()
        click.echo(detached(follower.build, request, farm.page))
        return DETACHED, None, ""
    finally:
        display.close()
    took = seconds(time.monotonic() - began)
    if result not in (SUCCESS, WARNINGS) or follower.build is None:
        tell_failure(rest, follower.build, result, farm.page, took)
        return 1, None, took
    return 0, follower.build, took


def follow_request(farm: Farm, rest: Rest, request: int, began: float, output: Path | None) -> int:
    """Follows to the end and says how it ended; 0 for a good end. Ctrl-C leaves the build running."""
    code, build, took = to_the_end(farm, rest, request, began)
    if build is not None:
        tell_success(farm, rest, build, took, output)
    return code


def detached(build: Build | None, request: int, page: str) -> str:
    if build is None:
        return f"\nDetached; the request waits for its turn at {page}\n  stop it: ./mint stop --request {request}"
    return (
        f"\nDetached; the build goes on at {build.page(page)}\n"
        f"  follow it: ./mint follow {build.id}\n  stop it:   ./mint stop {build.id}"
    )


def tell_failure(rest: Rest, build: Build | None, result: int, page: str, took: str) -> None:
    """The problem as the step that failed tells it, whole."""
    if build is None:
        click.echo(f"The request ended as {result_name(result)} without a build.", err=True)
        return
    for step in steps_of(rest, build):
        if step.result in (None, SUCCESS, WARNINGS):
            continue
        logs = {row["slug"]: row["logid"] for row in rest.rows("logs", f"steps/{step.id}/logs")}
        for name in ("problem", "err_text"):
            if name in logs:
                chunks = rest.rows("logchunks", f"logs/{logs[name]}/contents")
                click.echo("".join(chunk["content"] for chunk in chunks).rstrip(), err=True)
    click.echo(f"The build ended as {result_name(result)} after {took}: {build.page(page)}", err=True)


def tell_success(farm: Farm, rest: Rest, build: Build, took: str, output: Path | None) -> None:
    said = properties_of(rest, build.id)
    store = Store(farm_settings.store_place(farm.settings, farm.home))
    builder = builder_names(rest)[build.builder_id]
    record = store.find(builder, build.number)
    if record is None:
        raise Failure(
            "build",
            "the build ended well, but the store has no record of it",
            wanted=f"one of {builder} #{build.number} in {store.root / 'index'}",
            todo="Someone moved or pruned the store meanwhile; build again.",
        )
    signed = store.attested(record)
    click.echo(f"\n{record.archive.name}  (built in {took})")
    lines = {
        "archive": f"{store.path_of(record.archive.sha256)}  ({size(record.archive.size)})",
        "sha256": record.archive.sha256,
        "FIPS": said.get("provider", ""),
        "signed": f"as {signed.builder_id}" if signed is not None else "no; the step attest says why",
        "reports": f"{farm.page}archives/{builder}/{build.number}/",
        "page": build.page(farm.page),
    }
    for name, value in lines.items():
        click.echo(f"  {name:<8} {value}")
    for made in record.derived:
        click.echo(f"  {'derived':<8} {made.archive.name}  ({size(made.archive.size)})")
        click.echo(f"  {'':<8} {store.path_of(made.archive.sha256)}")
    if output is not None:
        for one in [*record.archives(), *(signed.bundles if signed is not None else [])]:
            click.echo(f"  {'copied':<8} {copied(store.path_of(one.sha256), output, one.name)}")
    click.echo("The farm stays up for the next build; `./mint down` ends it.")


def copied(stored: Path, output: Path, name: str) -> Path:
    """Copies under a temporary name first: half a copy never has an archive's name."""
    output.mkdir(parents=True, exist_ok=True)
    half = output / f".{name}.half"
    shutil.copyfile(stored, half)
    return half.rename(output / name)
