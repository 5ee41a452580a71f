"""Puts an archive's facts before all rules. Pure: the same facts and policy give the same results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workers.errors import Failure
from workers.reports.checks import Finding, RuleResult
from workers.validate.rule import RULES, Case, Rule
from workers.validate.rules import (
    archive,
    bytecode,
    debug,
    document,
    elf,
    fips,
    flavour,
    macho,
    relocation,
    sbom,
    text,
)

# Importing a module of rules registers them; their order here is the report's.
GROUPS = {
    "archive": archive,
    "python-json": document,
    "text": text,
    "relocation": relocation,
    "elf": elf,
    "macho": macho,
    "fips": fips,
    "sbom": sbom,
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
    return [_result(rule, case) for rule in ordered()]


def _result(rule: Rule, case: Case) -> RuleResult:
    """What a rule finds. What it trips over in an archive, which is its maker's, is a finding and ends no other rule.

    A Failure is not: it speaks of the policy or of an SDK.
    """
    subjects: list[Any] = []
    findings: list[Finding] = []
    try:
        subjects.extend(rule.of(case))
        for subject in subjects:
            findings.extend(rule.check(subject, case))
    except Failure:
        raise
    except Exception as error:
        findings.append(
            Finding(case.contents.name, f"{type(error).__name__}: {error}", "something that this rule can judge")
        )
    return RuleResult(rule.id, rule.why, len(subjects), [_printable(finding) for finding in findings])


def _printable(finding: Finding) -> Finding:
    """The same where a name or a text of the archive is no UTF-8, which neither a report nor a terminal takes."""
    texts = (finding.file, finding.found, finding.wanted)
    return Finding(*(text.encode("utf-8", "backslashreplace").decode() for text in texts))


def holds(results: Iterable[RuleResult]) -> bool:
    return not any(result.findings for result in results)
