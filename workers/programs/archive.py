"""`archive`: compresses the tar that validate and prove have judged, and keeps it. It refuses any other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from workers.compressing import compress
from workers.errors import Failure
from workers.package.stored import JUDGES, NODE, StoredArchive, find_stored, keep, place, tar_path
from workers.programs.common import Places, Stopwatch, failing_plainly, places
from workers.progress import Progress, seconds, size
from workers.reports.base import read_report, write_report
from workers.reports.build import ArchiveReport, PackageReport, Plan
from workers.reports.checks import ProveReport, ValidateReport
from workers.store import Store, require_space

# 178 MB of CPython 3.13 noopt became 24 MB in 90 s of CPU with 590 MB of memory: about a minute on two cores.
LEVEL = 19
THREADS = 2


@click.command("archive")
@places
@failing_plainly
def command(places: Places) -> None:
    """Compresses the packed archive into RUN/archive, once validate and prove have said that it is good."""
    watch = Stopwatch()
    plan = places.plan()
    progress = Progress()
    store = Store(places.state / "store", progress.line)
    package = read_report(places.reports / "package.json", PackageReport)
    digests = judged(places.reports, package.tar_sha256)
    target = places.run / "archive" / plan.archive_name
    stored = find_stored(plan, store)
    if stored is not None:
        report = _from_the_store(stored, target, plan, digests, watch)
        progress.line(f"{target.name}: from the store, {size(report.size)}, {seconds(report.measure.wall_s)}")
    else:
        report = _compress(places, store, plan, package, target, digests, watch, progress)
        progress.line(
            f"{target.name}: {size(report.tar_size)} → {size(report.size)}, read back and found the same, "
            f"{seconds(report.measure.wall_s)}"
        )
    write_report(report, places.reports / "archive.json")


def judged(reports: Path, tar_sha256: str) -> dict[str, str]:
    """The sha256 of each judge's report, by file name.

    Raises Failure when one is missing, did not say ok, or judged other bytes than those of `tar_sha256`.
    """
    found = {}
    for program in JUDGES:
        path = reports / f"{program}.json"
        report = read_report(path, ValidateReport) if program == "validate" else read_report(path, ProveReport)
        if not report.ok:
            raise Failure(
                "archive",
                f"{program} did not find the archive good",
                wanted="ok: true",
                found="ok: false",
                todo=f"Nothing is stored of it. See what {program} said: {path}",
            )
        if report.tar_sha256 != tar_sha256:
            raise Failure(
                "archive",
                f"{program} judged other bytes than those that were packed",
                wanted=f"tar sha256 {tar_sha256}",
                found=f"tar sha256 {report.tar_sha256}",
                todo=f"Run {program} again on what `package` left.",
            )
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _from_the_store(
    stored: StoredArchive, target: Path, plan: Plan, digests: dict[str, str], watch: Stopwatch
) -> ArchiveReport:
    place(stored.path, target)
    return ArchiveReport(
        schema="pymint/archive/1",
        ok=True,
        name=target.name,
        sha256=stored.record.digest,
        size=stored.record.size,
        tar_sha256=stored.tar_sha256,
        tar_size=stored.tar_size,
        origin="store",
        provider=plan.provider,
        measure=watch.measure(),
        reports=digests,
    )


def _compress(
    places: Places,
    store: Store,
    plan: Plan,
    package: PackageReport,
    target: Path,
    digests: dict[str, str],
    watch: Stopwatch,
    progress: Progress,
) -> ArchiveReport:
    tar = tar_path(places.run, plan)
    require_space(places.run, package.tar_size // 2, "compressing the archive")
    shown = 0

    def tell(done: int) -> None:
        nonlocal shown
        if done - shown >= package.tar_size // 100:
            shown = done
            progress.at(done, package.tar_size, target.name)

    made = compress(tar, target, level=LEVEL, threads=THREADS, progress=tell)
    if made.tar_sha256 != package.tar_sha256:
        target.unlink()
        raise Failure(
            "archive",
            f"{tar.name} changed after it was packed and judged",
            wanted=f"sha256 {package.tar_sha256}",
            found=f"sha256 {made.tar_sha256}",
            todo="Nothing was kept. See what else writes to the run directory, then build again.",
        )
    measure = watch.measure()
    facts = {"tar_sha256": made.tar_sha256, "tar_size": str(made.tar_size), "members": str(package.members)}
    facts |= {program: (places.reports / f"{program}.json").read_text() for program in JUDGES}
    keep(plan.archive_key, NODE, store, target, places.state / "tmp", facts, measure)
    return ArchiveReport(
        schema="pymint/archive/1",
        ok=True,
        name=target.name,
        sha256=made.sha256,
        size=made.size,
        tar_sha256=made.tar_sha256,
        tar_size=made.tar_size,
        origin="built",
        provider=plan.provider,
        measure=measure,
        reports=digests,
    )
