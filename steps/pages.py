"""Reports as HTML pages, made on the master from a checked report. All in a report is text of a worker: escaped."""

from __future__ import annotations

import jinja2

from steps.summaries import of_provider
from workers.errors import Failure
from workers.reports.checks import ProveReport, ValidateReport
from workers.validate.page import page
from workers.validate.policy import load_policy

_ENVIRONMENT = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)

_SHARED = """
{% macro table(heads) %}
<table style="border-collapse:collapse;width:100%">
<thead><tr>{% for head in heads %}<th style="text-align:left;padding:.3em .8em .3em 0;border-bottom:1px solid #888">
{{ head }}</th>{% endfor %}</tr></thead><tbody>{{ caller() }}</tbody></table>
{% endmacro %}
{% macro cell() %}<td style="vertical-align:top;padding:.3em .8em .3em 0;border-bottom:1px solid #ddd;\
overflow-wrap:anywhere">{{ caller() }}</td>{% endmacro %}
{% macro mark(ok) %}<b style="color:{{ '#1a7f37' if ok else '#cf222e' }}">{{ 'held' if ok else 'broken' }}</b>\
{% endmacro %}
"""

_PROVE = _ENVIRONMENT.from_string(
    _SHARED
    + """
<h4>{{ report.archive }}: {{ 'FIPS mode is proven' if report.ok else 'FIPS mode is not proven' }}</h4>
<p>Provider: {{ report.provider_name }} {{ provider }}. Loading it costs a process
{{ '%.0f' | format(1000 * (report.load_cpu_on_s - report.load_cpu_off_s)) }} ms of CPU
(<code>import hashlib</code>: {{ '%.0f' | format(1000 * report.load_cpu_off_s) }} ms with FIPS off,
{{ '%.0f' | format(1000 * report.load_cpu_on_s) }} ms on).</p>
<p><code>provider sha256 {{ report.provider_sha256 }}</code><br><code>tar sha256 {{ report.tar_sha256 }}</code></p>
{% call table(['check', 'FIPS', 'kind', '', 'wanted', 'found']) %}{% for check in checks %}<tr>
{% call cell() %}<code>{{ check.id }}</code>{% endcall %}
{% call cell() %}{{ check.mode }}{% endcall %}
{% call cell() %}{{ check.kind }}{% endcall %}
{% call cell() %}{{ mark(check.ok) }}{% endcall %}
{% call cell() %}{{ check.wanted }}{% endcall %}
{% call cell() %}{{ check.found }}{% endcall %}</tr>{% endfor %}{% endcall %}
"""
)


def of_validate(report: ValidateReport) -> str:
    """The validator's report, as `./mint validate --html` shows it."""
    try:
        title = load_policy(report.policy).title
    except Failure:  # a policy of the commit that was built, which the master's own does not know
        title = report.policy
    return page(report, title)


def of_prove(report: ProveReport) -> str:
    """The proof; failed checks first."""
    body = _PROVE.render(
        report=report,
        checks=sorted(report.checks, key=lambda check: check.ok),
        provider=of_provider(report.provider_version, report.procedure, report.certificate),
    )
    return document(f"{report.archive}: FIPS proof", body)


def embedded(html: str) -> str:
    """A page for Buildbot's own, which shows an HTML log as part of itself: in a frame that may do nothing."""
    return _ENVIRONMENT.from_string(
        '<iframe sandbox="" srcdoc="{{ html }}" style="width:100%;height:85vh;border:0" title="report"></iframe>'
    ).render(html=html)


def document(title: str, body: str) -> str:
    """A page of its own around a fragment."""
    head = _ENVIRONMENT.from_string(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>{{ title }}</title>'
        '<body style="font:15px/1.5 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em">'
    ).render(title=title)
    return f"{head}{body}</body></html>\n"
