"""`validate`: judges an archive by the rules of workers/validate, without running anything that is in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from workers.errors import Failure
from workers.model import ROOT
from workers.package.stored import find_stored, tar_path
from workers.programs.common import Places, Stopwatch, failing_plainly, write_page
from workers.progress import Progress, counted, seconds
from workers.reports.base import decode, write_report
from workers.reports.checks import Finding, ValidateReport
from workers.store import Store
from workers.validate.page import groups, page
from workers.validate.policy import Policy, load_policy, names
from workers.validate.tbd import Sdk, sdks_below
from workers.validate.validate import choose_policy, validate

_SHOWN = 20


@click.command("validate")
@click.argument("archive", type=click.Path(path_type=Path), required=False)
@click.option("--policy", type=click.Choice(names()), help="By whose rules; seen from the archive if not given.")
@click.option(
    "--macos-sdks",
    "sdks",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with SDKs (MacOSX11.3.sdk, …) whose libraries have to have what Mach-O files take from them.",
)
@click.option("--run", "run_dir", type=click.Path(path_type=Path), help="The run directory, for its packed archive.")
@click.option("--state", type=click.Path(path_type=Path), help="The worker's state directory.")
@click.option("--cache", type=click.Path(path_type=Path), help="Where downloaded sources are kept.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the report there, too.")
@click.option("--html", "html_path", type=click.Path(path_type=Path), help="Write the report as a page there, too.")
@failing_plainly
def command(
    archive: Path | None,
    policy: str | None,
    sdks: Path | None,
    run_dir: Path | None,
    state: Path | None,
    cache: Path | None,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Judges ARCHIVE (.tar, .tar.zst, .tar.gz; full or install_only; anybody's), or what `package` left in a run.

    Ends with 1 when a rule does not hold.
    """
    progress = Progress()
    if archive is not None:
        watch = Stopwatch()
        chosen = load_policy(policy) if policy else choose_policy(archive)
        report = replace(validate(archive, chosen, sdks=_sdks(sdks, chosen)), measure=watch.measure())
    elif run_dir is not None and state is not None and cache is not None:
        where = Places(run_dir.resolve(), state.resolve(), cache.resolve())
        report = _of_a_run(where, progress, sdks)
        json_path = json_path or where.reports / "validate.json"
        html_path = html_path or where.reports / "validate.html"
    else:
        raise click.UsageError("name an ARCHIVE, or give --run, --state and --cache")
    if json_path is not None:
        write_report(report, json_path)
    if html_path is not None:
        write_page(page(report, load_policy(report.policy).title), html_path)
    tell_report(report, progress, whole=html_path is None)
    if not report.ok:
        sys.exit(1)


def _sdks(directory: Path | None, policy: Policy) -> tuple[Sdk, ...]:
    """The SDKs of the systems that archives for macOS are promised to run on."""
    if directory is None:
        return ()
    oldest = [target.deployment_target for target in policy.targets.values() if target.deployment_target is not None]
    return tuple(sdks_below(directory, tuple(int(part) for part in oldest[0].split("."))))


def _of_a_run(where: Places, progress: Progress, sdks: Path | None) -> ValidateReport:
    """The report on the packed archive of a run; the stored one when the archive itself came from the store."""
    watch = Stopwatch()
    plan = where.plan()
    stored = find_stored(plan, Store(where.state / "store", progress.line))
    if stored is not None and "validate" in stored.reports:
        progress.line(f"{plan.archive_name}: judged when it was stored, by these very rules")
        return decode(stored.reports["validate"].encode(), ValidateReport, "the stored report")
    tar = tar_path(where.run, plan)
    if not tar.exists():
        raise Failure("validate", "there is no packed archive", wanted=str(tar), todo="Run `package` first.")
    own = [ROOT, where.run, where.state, where.cache, Path.home()]
    total, shown = tar.stat().st_size, 0

    def tell(done: int) -> None:
        nonlocal shown
        if done - shown >= total // 50:
            shown = done
            progress.at(done, total, tar.name)

    policy = load_policy("pymint")
    return replace(validate(tar, policy, own, tell, _sdks(sdks, policy)), measure=watch.measure())


def tell_report(report: ValidateReport, progress: Progress, *, whole: bool) -> None:
    """A line for each group of rules, then what was found. Not `whole`: of many alike, the first; the page has all."""
    for group in groups(report):
        rules = f"{group.judged} of {counted(len(group.rules), 'rule')} had something to judge"
        progress.line(f"{group.name:12} {counted(group.findings, 'finding') if group.findings else 'holds':12} {rules}")
    for rule in report.rules:
        if rule.findings:
            progress.line(f"\n{rule.id}: {rule.why}")
            _list(rule.findings if whole else rule.findings[:_SHOWN], len(rule.findings), progress)
    found = sum(len(rule.findings) for rule in report.rules)
    floor = f", needs glibc {report.glibc_floor}" if report.glibc_floor else ""
    module = f", its FIPS module glibc {report.provider_glibc_floor}" if report.provider_glibc_floor else ""
    verdict = "valid" if report.ok else f"NOT valid, {counted(found, 'finding')}"
    progress.line(f"{report.archive}: {verdict} as {report.policy}{floor}{module}, {seconds(report.measure.wall_s)}")


def _list(findings: Sequence[Finding], count: int, progress: Progress) -> None:
    for finding in findings:
        progress.line(f"  {finding.file}\n    found   {finding.found}\n    wanted  {finding.wanted}")
    if count > len(findings):
        progress.line(f"  … and {count - len(findings)} more, in the report")
