"""`prove`: runs an archive at a fresh path, with FIPS off, on and tampered with, and reports what held."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from workers.errors import Failure
from workers.fips.page import page, provider_in_words
from workers.fips.prove import prove
from workers.model import ROOT
from workers.nodes import TESTS
from workers.package.stored import find_stored, tar_path
from workers.programs.common import Places, Stopwatch, failing_plainly, write_page
from workers.progress import Progress, counted, seconds
from workers.reports.base import decode, write_report
from workers.reports.build import Plan
from workers.reports.checks import ProveReport
from workers.store import Store


@click.command("prove")
@click.argument("archive", type=click.Path(path_type=Path), required=False)
@click.option("--run", "run_dir", type=click.Path(path_type=Path), help="The run directory, for its packed archive.")
@click.option("--state", type=click.Path(path_type=Path), help="The worker's state directory, for its store.")
@click.option("--cache", type=click.Path(path_type=Path), help="Where downloaded sources are kept.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the report there, too.")
@click.option("--html", "html_path", type=click.Path(path_type=Path), help="Write the report as a page there, too.")
@failing_plainly
def command(
    archive: Path | None,
    run_dir: Path | None,
    state: Path | None,
    cache: Path | None,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Proves the FIPS mode of ARCHIVE (.tar, .tar.zst, .tar.gz; anybody's), or of what `package` left in a run.

    Ends with 1 when a check does not hold.
    """
    progress = Progress()
    watch = Stopwatch()
    if archive is not None:
        with tempfile.TemporaryDirectory(prefix="prove-") as scratch:
            report = prove(archive, Path(scratch) / "proof", progress, suites=_stored_suites(state))
        report = replace(report, measure=watch.measure())
    elif run_dir is not None and state is not None and cache is not None:
        where = Places(run_dir.resolve(), state.resolve(), cache.resolve())
        report = _of_a_run(where, progress, watch)
        json_path = json_path or where.reports / "prove.json"
        html_path = html_path or where.reports / "prove.html"
    else:
        raise click.UsageError("name an ARCHIVE, or give --run, --state and --cache")
    if json_path is not None:
        write_report(report, json_path)
    if html_path is not None:
        write_page(page(report), html_path)
    tell_report(report, progress)
    if not report.ok:
        sys.exit(1)


def _of_a_run(where: Places, progress: Progress, watch: Stopwatch) -> ProveReport:
    """The proof of a run's packed archive; the stored one when the archive itself came from the store."""
    plan = where.plan()
    stored = find_stored(plan, Store(where.state / "store", progress.line))
    if stored is not None and "prove" in stored.reports:
        progress.line(f"{plan.archive_name}: proven when it was stored, by these very checks")
        return decode(stored.reports["prove"].encode(), ProveReport, "the stored report")
    tar = tar_path(where.run, plan)
    if not tar.exists():
        raise Failure("prove", "there is no packed archive", wanted=str(tar), todo="Run `package` first.")
    report = prove(tar, where.state / "tmp" / f"prove-{os.getpid()}", progress, plan, [_planned_suite(plan, where)])
    return replace(report, measure=watch.measure())


def _planned_suite(plan: Plan, where: Places) -> Path:
    """The object of OpenSSL's tests that the plan's own build made. Raises Failure when it is not in the store."""
    store = Store(where.state / "store")
    record = next((store.checked(node.key) for node in plan.nodes if node.name == TESTS), None)
    if record is None:
        raise Failure(
            "prove",
            f"the object of {TESTS} is not in the store",
            todo="The stage fips-provider builds it. Start the build again: it will be built anew.",
        )
    return store.path_of(record.digest)


def _stored_suites(state: Path | None) -> list[Path]:
    """OpenSSL's tests of all releases and machines that the store has, the newest first; none without a store."""
    home = state or Path(os.environ.get("MINT_HOME") or ROOT / ".mint") / "state"
    if not (home / "store").is_dir():
        return []
    store = Store(home / "store")
    records = (store.checked(record.key) for record in store.records() if record.node == TESTS)
    objects = [store.path_of(record.digest) for record in records if record is not None]
    return sorted(objects, key=lambda path: path.stat().st_mtime, reverse=True)


def tell_report(report: ProveReport, progress: Progress) -> None:
    """What failed, what was not possible, and the verdict."""
    for check in report.checks:
        if not check.ok:
            progress.line(f"\n{check.id}, FIPS {check.mode}\n  wanted  {check.wanted}\n  found   {check.found}")
    for left_out in report.skipped:
        progress.line(f"not possible here: {left_out.id}: {left_out.why}")
    if report.emulator:
        progress.line(f"emulated           by {report.emulator}")
    progress.line(f"provider           {provider_in_words(report)}")
    if report.provider_sha256:
        progress.line(f"                   sha256 {report.provider_sha256}")
    progress.line(
        f"import hashlib     {1000 * report.load_cpu_off_s:.0f} ms of CPU with FIPS off, "
        f"{1000 * report.load_cpu_on_s:.0f} ms on: the provider costs a process "
        f"{1000 * (report.load_cpu_on_s - report.load_cpu_off_s):.0f} ms"
    )
    failed = sum(1 for check in report.checks if not check.ok)
    verdict = f"NOT proven, {failed} of {counted(len(report.checks), 'check')} failed" if failed else "FIPS mode proven"
    progress.line(f"{report.archive}: {verdict}, {seconds(report.measure.wall_s)}")
