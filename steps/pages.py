"""Reports as HTML pages, made on the master from a checked report. All in a report is text of a worker: escaped."""

from __future__ import annotations

import jinja2

from workers.errors import Failure
from workers.fips.page import page as prove_page
from workers.reports.checks import ProveReport, ValidateReport
from workers.reports.suite import SuiteReport
from workers.suite.page import page as suite_page
from workers.validate.page import page as validate_page
from workers.validate.policy import load_policy

_ENVIRONMENT = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
_FRAME = _ENVIRONMENT.from_string(
    '<iframe sandbox="" srcdoc="{{ html }}" style="width:100%;height:85vh;border:0" title="report"></iframe>'
)
_HEAD = _ENVIRONMENT.from_string(
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>{{ title }}</title>'
    '<body style="font:15px/1.5 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em">'
)


def of_validate(report: ValidateReport) -> str:
    """The validator's report, as `./mint validate --html` shows it."""
    try:
        title = load_policy(report.policy).title
    except Failure:  # a policy of the commit that was built, which the master's own does not know
        title = report.policy
    return validate_page(report, title)


def of_prove(report: ProveReport) -> str:
    """The proof, as `./mint prove --html` shows it."""
    return prove_page(report)


def of_suite(report: SuiteReport) -> str:
    """CPython's own tests: what nobody expected first."""
    return suite_page(report)


def embedded(html: str) -> str:
    """A page for Buildbot's own, which shows an HTML log as part of itself: in a frame that may do nothing."""
    return _FRAME.render(html=html)


def document(title: str, body: str) -> str:
    """A page of its own around a fragment of HTML."""
    return f"{_HEAD.render(title=title)}{body}</body></html>\n"
