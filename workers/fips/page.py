"""The proof as a page: one self-contained file, readable in the light and in the dark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from workers.progress import counted, seconds
from workers.reports.checks import Check, ProveReport

_TEMPLATE = Path(__file__).with_name("page.html")

# id's first part → what the group is called on the page.
_TITLES = {
    "files": "Files",
    "claims": "What the archive says of its module",
    "inside": "Inside the interpreter",
    "feature": "What people expect of it",
    "moved": "At a moved path",
    "start": "Ways to start it",
    "setup": "fips_setup",
    "tamper": "Tampering",
    "vectors": "OpenSSL's own tests of the module",
}


@dataclass(frozen=True)
class Group:
    """Checks whose ids begin alike."""

    title: str
    checks: tuple[Check, ...]

    @property
    def failed(self) -> int:
        return sum(1 for check in self.checks if not check.ok)


def groups(report: ProveReport) -> list[Group]:
    """The report's checks by group, failed ones first in each."""
    found: dict[str, list[Check]] = {}
    for check in report.checks:
        found.setdefault(check.id.partition(".")[0], []).append(check)
    return [
        Group(_TITLES.get(name, name), tuple(sorted(checks, key=lambda check: check.ok)))
        for name, checks in found.items()
    ]


def provider_in_words(report: ProveReport) -> str:
    """ "3.5.7, procedure toolchain, not CMVP-validated": the word "validated" only with a certificate."""
    if report.provider_name == "none":
        return "none answered"
    claim = f"CMVP-validated, certificate {report.certificate}" if report.certificate else "not CMVP-validated"
    return f"{report.provider_name} {report.provider_version}, procedure {report.procedure}, {claim}"


def page(report: ProveReport) -> str:
    """The page's HTML. Every text is escaped: what a foreign archive prints is its maker's."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_TEMPLATE.read_text()).render(
        report=report,
        groups=groups(report),
        failed=[check for check in report.checks if not check.ok],
        provider=provider_in_words(report),
        seconds=seconds,
        counted=counted,
    )
