"""`prove-flavours`: proves what `derive` made, and keeps it once it is found good."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from workers.derive.proofs import bytecode_is_used, symbols_are_found
from workers.errors import Failure
from workers.fips.prove import prove
from workers.model import Flavour
from workers.package.stored import StoredArchive, find_derived, keep
from workers.programs.common import Places, Stopwatch, failing_plainly, places
from workers.programs.prove import tell_report
from workers.progress import Progress, counted
from workers.reports.base import decode, encode, read_report, write_report
from workers.reports.build import DeriveReport, Plan, PlannedFlavour
from workers.reports.checks import (
    Check,
    FlavourProof,
    ProveFlavoursReport,
    ProveReport,
    ValidateFlavoursReport,
)
from workers.room import in_use
from workers.store import Store
from workers.toolchain import find_tool

# The check `same-module` is what this stands on.
_SUITES = "they were run on the full archive's module, which has the same bytes"


@click.command("prove-flavours")
@places
@failing_plainly
def command(places: Places) -> None:
    """Runs each archive that `derive` left in RUN/archive, and looks for debug symbols as a debugger does.

    Ends with 1 when a check does not hold. What is good is stored, as `archive` does with the full one.
    """
    watch = Stopwatch()
    progress = Progress()
    plan = places.plan()
    store = Store(places.state / "store", progress.line)
    stored = find_derived(plan, store)
    if stored is not None:
        proofs, checks = _from_the_store(stored)
        progress.line(f"{len(proofs)} archives: proven when they were stored, by these very checks")
    else:
        derived = read_report(places.reports / "derive.json", DeriveReport)
        judged_good(read_report(places.reports / "validate-flavours.json", ValidateFlavoursReport), derived)
        proofs, checks = _prove(places, plan, derived, progress)
    report = ProveFlavoursReport(
        schema="pymint/prove-flavours/1",
        ok=all(one.report.ok for one in proofs) and all(check.ok for check in checks),
        reports=proofs,
        checks=checks,
        measure=watch.measure(),
    )
    write_report(report, places.reports / "prove-flavours.json")
    for one in proofs:
        tell_report(one.report, progress)
    for check in checks:
        if not check.ok:
            progress.line(f"\n{check.id}\n  wanted  {check.wanted}\n  found   {check.found}")
    held = f"{sum(check.ok for check in checks)} of {counted(len(checks), 'check')}"
    progress.line(f"{held} of bytecode and debug symbols held")
    if not report.ok:
        sys.exit(1)
    if stored is None:
        _keep(places, plan, report, store)


def judged_good(validated: ValidateFlavoursReport, derived: DeriveReport) -> None:
    """Raises Failure unless every archive was judged, these very bytes of it, and found good."""
    judged = {one.flavour: one.report for one in validated.reports}
    for one in derived.archives:
        report = judged.get(one.flavour)
        if report is None or not report.ok or report.tar_sha256 != one.tar_sha256:
            raise Failure(
                "prove-flavours",
                f"{one.name} was not found good",
                wanted=f"a valid archive, tar sha256 {one.tar_sha256}",
                found="no verdict" if report is None else f"ok: {report.ok}, tar sha256 {report.tar_sha256}",
                todo="Run `validate-flavours` on what `derive` left.",
            )


def _prove(
    where: Places, plan: Plan, derived: DeriveReport, progress: Progress
) -> tuple[list[FlavourProof], list[Check]]:
    paths: dict[Flavour, Path] = {one.flavour: where.run / "archive" / one.name for one in derived.archives}
    scratch = where.state / "tmp" / f"prove-flavours-{os.getpid()}"
    proofs: list[FlavourProof] = []
    checks: list[Check] = []
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with in_use(scratch):
            for flavour, path in paths.items():
                if flavour == "debug_symbols":
                    beside = paths["install_only_stripped"]
                    checks += symbols_are_found(find_tool("llvm-symbolizer"), beside, path, scratch / flavour)
                    continue
                watch = Stopwatch()
                checks += bytecode_is_used(path, flavour, scratch / flavour)
                proof = replace(prove(path, scratch / "proof", progress, plan, _SUITES), measure=watch.measure())
                proofs.append(FlavourProof(flavour, proof))
                checks.append(
                    Check(
                        f"{flavour}.same-module",
                        "off",
                        "positive",
                        proof.provider_sha256 == derived.provider_sha256,
                        f"sha256 {derived.provider_sha256}, as in the full archive",
                        f"sha256 {proof.provider_sha256}",
                    )
                )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return proofs, checks


def _of(flavour: Flavour, checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if check.id.startswith(f"{flavour}.")]


def _keep(where: Places, plan: Plan, report: ProveFlavoursReport, store: Store) -> None:
    """Stores every derived archive with what made it and what was found of it."""
    derived = read_report(where.reports / "derive.json", DeriveReport)
    validated = read_report(where.reports / "validate-flavours.json", ValidateFlavoursReport)
    valid = {one.flavour: one.report for one in validated.reports}
    proven = {one.flavour: one.report for one in report.reports}
    keys = {planned.flavour: planned.key for planned in plan.flavours}
    for one in derived.archives:
        path = where.run / "archive" / one.name
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != one.sha256:
            raise Failure(
                "prove-flavours",
                f"{one.name} changed after it was derived and judged",
                wanted=f"sha256 {one.sha256}",
                found=f"sha256 {found}",
                todo="Nothing was kept. See what else writes to the run directory, then build again.",
            )
        facts = {
            "tar_sha256": one.tar_sha256,
            "tar_size": str(one.tar_size),
            "members": str(one.members),
            "derive": encode(replace(one, origin="store")).decode(),
            "validate": encode(valid[one.flavour]).decode(),
            "checks": encode(_of(one.flavour, report.checks)).decode(),
        }
        if one.flavour in proven:
            facts["prove"] = encode(proven[one.flavour]).decode()
        keep(keys[one.flavour], one.flavour, store, path, where.state / "tmp", facts, derived.measure)


def _from_the_store(stored: Sequence[tuple[PlannedFlavour, StoredArchive]]) -> tuple[list[FlavourProof], list[Check]]:
    proofs: list[FlavourProof] = []
    checks: list[Check] = []
    for planned, kept in stored:
        checks += decode(kept.reports["checks"].encode(), list[Check], "the stored checks")
        if "prove" in kept.reports:
            report = decode(kept.reports["prove"].encode(), ProveReport, "the stored report")
            proofs.append(FlavourProof(planned.flavour, report))
    return proofs, checks
