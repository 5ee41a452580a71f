"""`validate-flavours`: judges what `derive` made, each archive by its own rules and beside the others."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from workers.derive.head import Head, read_head
from workers.model import ROOT
from workers.package.stored import find_derived
from workers.programs.common import Places, Stopwatch, failing_plainly, places
from workers.programs.validate import tell_report
from workers.progress import Progress
from workers.reports.base import decode, read_report, write_report
from workers.reports.build import DeriveReport
from workers.reports.checks import FlavourValidation, ProveReport, ValidateFlavoursReport, ValidateReport
from workers.store import Store
from workers.validate.contents import Contents
from workers.validate.policy import load_policy
from workers.validate.rule import Family
from workers.validate.validate import judged, read


@click.command("validate-flavours")
@places
@failing_plainly
def command(places: Places) -> None:
    """Judges the archives that `derive` left in RUN/archive, without running anything that is in them.

    Ends with 1 when a rule does not hold.
    """
    watch = Stopwatch()
    progress = Progress()
    plan = places.plan()
    stored = find_derived(plan, Store(places.state / "store", progress.line))
    if stored is not None:
        found = [
            FlavourValidation(
                planned.flavour, decode(kept.reports["validate"].encode(), ValidateReport, "the stored report")
            )
            for planned, kept in stored
        ]
        progress.line(f"{len(found)} archives: judged when they were stored, by these very rules")
    else:
        found = _judge(places, read_head(places.run / "archive" / plan.archive_name), progress)
    report = ValidateFlavoursReport(
        schema="pymint/validate-flavours/1",
        ok=all(one.report.ok for one in found),
        reports=found,
        measure=watch.measure(),
    )
    write_report(report, places.reports / "validate-flavours.json")
    for one in found:
        tell_report(one.report, progress, whole=False)
    if not report.ok:
        sys.exit(1)


def _judge(where: Places, head: Head, progress: Progress) -> list[FlavourValidation]:
    policy = load_policy("pymint")
    own = [ROOT, where.run, where.state, where.cache, Path.home()]
    derived = read_report(where.reports / "derive.json", DeriveReport)
    proof = read_report(where.reports / "prove.json", ProveReport)
    facts = {}
    watches = {}
    for number, one in enumerate(derived.archives):
        watches[one.flavour] = Stopwatch()
        progress.at(number, len(derived.archives), one.name)
        facts[one.flavour] = read(where.run / "archive" / one.name, policy, own)
    family = family_of(head, proof, facts["install_only"])
    return [
        FlavourValidation(flavour, replace(judged(contents, policy, family), measure=watches[flavour].measure()))
        for flavour, contents in facts.items()
    ]


def family_of(head: Head, proof: ProveReport, whole: Contents) -> Family:
    """What the smaller archives are held against. proof: of the full one, whose module it saw. whole: install_only."""
    licences = {path.removeprefix("licenses/") for node in head.build.nodes for path in node.licences}
    return Family(
        provider_sha256=proof.provider_sha256,
        licences=frozenset(licences),
        debug={
            **{elf.build_id: elf.path for elf in whole.elves if elf.linked and elf.debug and elf.build_id},
            **{macho.uuid: macho.path for macho in whole.machos if macho.linked and macho.debug and macho.uuid},
        },
    )
