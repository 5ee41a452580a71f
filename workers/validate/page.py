"""The report as a page: one self-contained file, readable in the light and in the dark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from workers.progress import counted, seconds
from workers.reports.checks import RuleResult, ValidateReport

_TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class Group:
    """The rules whose ids begin alike."""

    name: str
    rules: tuple[RuleResult, ...]

    @property
    def findings(self) -> int:
        return sum(len(rule.findings) for rule in self.rules)

    @property
    def judged(self) -> int:
        """How many of its rules had something to judge."""
        return sum(1 for rule in self.rules if rule.looked_at)


def groups(report: ValidateReport) -> list[Group]:
    """The report's rules by group, in its order."""
    found: dict[str, list[RuleResult]] = {}
    for result in report.rules:
        found.setdefault(result.id.partition(".")[0], []).append(result)
    return [Group(name, tuple(rules)) for name, rules in found.items()]


def page(report: ValidateReport, policy_title: str) -> str:
    """The page's HTML. Every text is escaped: names in a foreign archive are its maker's."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text())
    return template.render(
        report=report,
        groups=groups(report),
        policy_title=policy_title,
        findings=sum(len(rule.findings) for rule in report.rules),
        seconds=seconds,
        counted=counted,
    )
