"""`test`: runs CPython's own test suite on an archive and holds every failure against those that are pinned by name."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from workers.errors import Failure
from workers.fips.tree import find_tree
from workers.model import load_matrix
from workers.package.stored import find_stored, tar_path
from workers.programs.common import Places, Stopwatch, failing_plainly, write_page
from workers.progress import Progress, seconds
from workers.reports.base import decode, read_report, write_report
from workers.reports.build import CellName
from workers.reports.suite import Extent, Mode, RanFile, SuiteReport
from workers.store import Store, require_space
from workers.suite.data import Where, load_pins, load_running, pins_path, planned
from workers.suite.identity import INSTALL, Contents, key, read_contents
from workers.suite.judge import Verdict, headline, judge, recovered, worth_another_run
from workers.suite.junit import Broken, Outcome
from workers.suite.page import in_words, page
from workers.suite.propose import proposal
from workers.suite.running import Ran, Tree, remove, run_all
from workers.tarball import extract

NODE = "test-suite"
# An unpacked tree with its compiled modules, and what tests write; the largest seen was 0.9 GB.
_SPACE = 3_000_000_000
# Files at a time for each processor: tests wait about as long as they compute.
_AT_A_TIME = 2


@dataclass(frozen=True)
class Asked:
    """What the command line asks for. only: these files instead of all of the extent."""

    extent: Extent | None
    only: tuple[str, ...]
    modes: tuple[Mode, ...]
    jobs: int

    @property
    def whole(self) -> bool:
        """Whether all of an extent runs, so that having passed says something."""
        return not self.only and len(self.modes) == 2


@click.command("test")
@click.argument("archive", type=click.Path(path_type=Path), required=False)
@click.option("--run", "run_dir", type=click.Path(path_type=Path), help="The run directory, for its packed archive.")
@click.option("--state", type=click.Path(path_type=Path), help="The worker's state directory.")
@click.option("--cache", type=click.Path(path_type=Path), help="Where downloaded sources are kept.")
@click.option("--extent", type=click.Choice(["full", "quick", "none"]), help="Instead of what the matrix says.")
@click.option("--only", multiple=True, metavar="FILE", help="Only this test file, such as test_ssl; may be repeated.")
@click.option("--fips", type=click.Choice(["off", "on"]), help="Only in this mode.")
@click.option("--jobs", type=click.IntRange(min=1), help="Files at a time (default: twice the processors).")
@click.option("--from", "earlier", type=click.Path(path_type=Path), help="Run nothing: judge this report again.")
@click.option("--pin", is_flag=True, help="Print the pins that would make all failures expected. Writes nothing.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the report there, too.")
@click.option("--html", "html_path", type=click.Path(path_type=Path), help="Write the report as a page there, too.")
@failing_plainly
def command(
    archive: Path | None,
    run_dir: Path | None,
    state: Path | None,
    cache: Path | None,
    extent: Extent | None,
    only: tuple[str, ...],
    fips: Mode | None,
    jobs: int | None,
    earlier: Path | None,
    pin: bool,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Runs CPython's tests on ARCHIVE (a full one), or on what `package` left in a run, FIPS off and on.

    Ends with 1 when a test fails that is not pinned in cpython-unix/suite, or one that is pinned does not.
    """
    progress = Progress()
    asked = Asked(extent, only, (fips,) if fips else ("off", "on"), jobs or _AT_A_TIME * (os.cpu_count() or 1))
    if earlier is not None:
        report = judged_again(read_report(earlier, SuiteReport))
    elif archive is not None:
        with tempfile.TemporaryDirectory(prefix="test-") as scratch:
            report = run_suite(archive, read_contents(archive), asked, Path(scratch) / "suite", progress)
    elif run_dir is not None and state is not None and cache is not None:
        where = Places(run_dir.resolve(), state.resolve(), cache.resolve())
        report = _of_a_run(where, asked, progress)
        json_path = json_path or where.reports / "test.json"
        html_path = html_path or where.reports / "test.html"
    else:
        raise click.UsageError("name an ARCHIVE, or give --run, --state and --cache")
    if json_path is not None:
        write_report(report, json_path)
    if html_path is not None:
        write_page(page(report), html_path)
    _tell(report, progress)
    if pin:
        progress.line(
            f"\n# for cpython-unix/suite/{report.cell.version}.toml, once each reason is known:\n\n{proposal(report)}"
        )
    if not report.ok:
        sys.exit(1)


def _of_a_run(where: Places, asked: Asked, progress: Progress) -> SuiteReport:
    """The suite on a run's packed archive; a stored result when a tree of the same bytes has passed already."""
    watch = Stopwatch()
    plan = where.plan()
    store = Store(where.state / "store", progress.line)
    stored = find_stored(plan, store)
    archive = stored.path if stored is not None else tar_path(where.run, plan)
    if not archive.exists():
        raise Failure("test-suite", "there is no packed archive", wanted=str(archive), todo="Run `package` first.")
    contents = read_contents(archive)
    extent, _ = chosen_extent(contents, asked)
    identity = key(contents, extent)
    cell = load_matrix().cell(plan.cell.version, plan.cell.target, plan.cell.variant)
    write_report({NODE: identity}, where.state / "roots" / f"{cell.builder_name}.{NODE}.json")
    with store.locked(identity, lambda: progress.line("waiting for another build that tests the same tree")):
        passed = _passed_before(store, identity) if asked.whole else None
        if passed is not None:
            progress.line(f"{plan.archive_name}: these files passed in {passed.tested}, by these very expectations")
            return replace(
                passed,
                archive=plan.archive_name,
                tar_sha256=contents.tar_sha256,
                origin="store",
                measure=watch.measure(),
            )
        require_space(where.state, _SPACE, "the test suite")
        scratch = where.state / "tmp" / identity
        report = run_suite(archive, contents, asked, scratch, progress)
        report = replace(report, archive=plan.archive_name, tested=plan.archive_name, measure=watch.measure())
        if report.ok and asked.whole:
            scratch.mkdir(parents=True)
            write_report(report, scratch / "report.json")
            store.add(identity, NODE, scratch / "report.json", report.measure)
            remove(scratch)
    return report


def _passed_before(store: Store, identity: str) -> SuiteReport | None:
    record = store.checked(identity)
    return (
        None if record is None else decode(store.path_of(record.digest).read_bytes(), SuiteReport, "the stored report")
    )


def chosen_extent(contents: Contents, asked: Asked) -> tuple[Extent, str]:
    """How much of the suite runs, and why. What this machine's processor can't run is not run."""
    matrix, where = load_matrix(), contents.where
    if asked.extent is not None:
        return asked.extent, "as asked for"
    target = matrix.targets.get(where.target)
    machine = platform.machine()
    if target is not None and target.arch != machine:
        return "none", f"not run: this machine is {machine}, the archive is for {target.arch}"
    if not pins_path(where.version).exists():
        return "none", f"not run: nobody has looked at what fails in {where.version} yet (no {where.version}.toml)"
    variant = matrix.variants.get(where.variant)
    return (variant.suite if variant is not None else "quick"), f"as matrix.toml has it for {where.variant}"


def run_suite(archive: Path, contents: Contents, asked: Asked, scratch: Path, progress: Progress) -> SuiteReport:
    """Unpacks an archive, runs its tests, and judges them.

    scratch: a folder that is made, and removed in the end. Raises Failure when tests can't be run at all.
    """
    watch = Stopwatch()
    running, where = load_running(), contents.where
    extent, why = chosen_extent(contents, asked)
    pins = load_pins(where.version)
    first: Verdict | None = None
    outcomes: dict[tuple[str, Mode], Outcome] = {}
    ran: list[Ran] = []
    if extent != "none":
        remove(scratch)
        try:
            progress.at(0, 100, f"unpacking {archive.name}")
            extract(archive, scratch / "unpacked", wanted=lambda member: member.startswith(INSTALL))
            found = find_tree(scratch / "unpacked")
            if found.python is None:
                raise Failure("test-suite", f"{archive.name} has no interpreter", todo="Name a full archive.")
            tree = Tree(found.root, found.python.relative_to(found.root).as_posix(), scratch, running)
            tree.prepare()
            known = tree.files()
            wanted = _wanted(asked, planned(extent, known, running, where.version))
            there = [one for one in wanted if one[0] in known]
            outcomes = {one: _no_such_file(one[0]) for one in wanted if one[0] not in known}
            ran = run_all(tree, there, asked.jobs, _teller(len(wanted), progress))
            outcomes |= {(one.file, one.mode): one.outcome for one in ran}
            first = judge(outcomes, pins, where)
            if again := worth_another_run(first):
                progress.line(f"{len(again)} files did not go as expected and run once more, each alone")
                later = run_all(tree, again, 1, _teller(len(again), progress))
                outcomes |= {(one.file, one.mode): one.outcome for one in later}
                ran = [one for one in ran if (one.file, one.mode) not in again] + later
        finally:
            remove(scratch)
    verdict = judge(outcomes, pins, where, whole=extent == "full" and asked.whole)
    return SuiteReport(
        schema="pymint/test/1",
        ok=verdict.ok,
        archive=archive.name,
        tar_sha256=contents.tar_sha256,
        tree_sha256=contents.tree_sha256,
        tested=archive.name,
        origin="run",
        cell=CellName(where.version, where.target, where.variant),
        python_version=where.release,
        extent=extent if asked.whole or extent == "none" else "chosen",
        why=why if asked.whole or extent == "none" else "as asked for",
        resources=running.resources,
        files=[
            RanFile(
                one.file,
                one.mode,
                verdict.passed(one.file, one.mode),
                one.outcome.run,
                one.outcome.skipped,
                one.ended.wall_s,
                one.ended.cpu_s,
            )
            for one in ran
        ],
        failures=verdict.failures,
        vanished=verdict.vanished,
        measure=watch.measure(),
        failed=headline(verdict),
        recovered=[] if first is None else recovered(first, verdict),
    )


def _no_such_file(name: str) -> Outcome:
    return Outcome(broken=(Broken(name, "no such file", "regrtest lists no such test"),))


def judged_again(report: SuiteReport) -> SuiteReport:
    """A report held against the pins as they are now, without running anything."""
    cell = report.cell
    outcomes: dict[tuple[str, Mode], Outcome] = {(ran.file, ran.mode): Outcome() for ran in report.files}
    for failure in report.failures:
        before = outcomes.get((failure.file, failure.mode), Outcome()).broken
        outcomes[failure.file, failure.mode] = Outcome(
            broken=(*before, Broken(failure.test, failure.how, failure.said))
        )
    where = Where(cell.version, report.python_version, cell.target, cell.variant)
    verdict = judge(outcomes, load_pins(cell.version), where, whole=report.extent == "full")
    files = [replace(ran, passed=verdict.passed(ran.file, ran.mode)) for ran in report.files]
    return replace(
        report,
        ok=verdict.ok,
        files=files,
        failures=verdict.failures,
        vanished=verdict.vanished,
        failed=headline(verdict),
    )


def _wanted(asked: Asked, planned: Sequence[tuple[str, Mode]]) -> list[tuple[str, Mode]]:
    if asked.only:
        return [(file, mode) for file in asked.only for mode in asked.modes]
    return [one for one in planned if one[1] in asked.modes]


def _teller(total: int, progress: Progress) -> Callable[[int, Ran], None]:
    """Tells of each file: how far, and a line when it did not simply pass or took long."""

    def tell(number: int, ran: Ran) -> None:
        progress.at(number, total, f"{ran.file}, FIPS {ran.mode}")
        bad = [broken for broken in ran.outcome.broken if broken.how != "skipped"]
        if bad or ran.ended.wall_s >= 60:
            said = ", ".join(f"{one.test}: {one.how}" for one in bad) or "passed"
            progress.line(f"{ran.file}, FIPS {ran.mode}: {said}, {seconds(ran.ended.wall_s)}")

    return tell


def _tell(report: SuiteReport, progress: Progress) -> None:
    """What nobody expected, the slowest, and the verdict."""
    for failure in report.new:
        last = failure.said.splitlines()[-1:] or [""]
        progress.line(f"\n{failure.test}, FIPS {failure.mode}: {failure.how} (in {failure.file})\n  {last[0]}")
    for gone in report.vanished:
        progress.line(f"\n{gone.test}, FIPS {gone.mode}: pinned, and does not fail\n  {gone.reason}")
    for failure in report.recovered:
        progress.line(
            f"\n{failure.test}, FIPS {failure.mode}: {failure.how} beside others, not alone (in {failure.file})"
        )
    for ran in report.slowest:
        progress.line(f"slow  {seconds(ran.wall_s):>12}  {ran.file}, FIPS {ran.mode}")
    progress.line(f"{report.archive}: {in_words(report)}, {seconds(report.measure.wall_s)}")
