"""Puts an archive's facts before all rules. Pure: the same facts and policy give the same results."""

from __future__ import annotations

from collections.abc import Iterable

from workers.reports.checks import RuleResult
from workers.validate.rule import RULES, Case, Rule
from workers.validate.rules import archive, bytecode, debug, document, elf, fips, flavour, macho, relocation, text

# Importing a module of rules registers them; their order here is the report's.
GROUPS = {
    "archive": archive,
    "python-json": document,
    "text": text,
    "relocation": relocation,
    "elf": elf,
    "macho": macho,
    "fips": fips,
    "flavour": flavour,
    "bytecode": bytecode,
    "debug": debug,
}


def ordered() -> list[Rule]:
    """Every rule, in the order of the groups, within a group as they are written."""
    order = list(GROUPS)
    return sorted(RULES.values(), key=lambda rule: order.index(rule.group))


def judge(case: Case) -> list[RuleResult]:
    """The result of every rule."""
    results = []
    for rule in ordered():
        subjects = list(rule.of(case))
        findings = [finding for subject in subjects for finding in rule.check(subject, case)]
        results.append(RuleResult(rule.id, rule.why, len(subjects), findings))
    return results


def holds(results: Iterable[RuleResult]) -> bool:
    return not any(result.findings for result in results)
