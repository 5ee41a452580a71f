"""What a report says in one line. Pure functions, for the build's page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.progress import counted, seconds, size
from workers.reports.build import (
    ArchiveReport,
    DeriveReport,
    NodesReport,
    PackageReport,
    Plan,
    PlanReport,
    ProviderFacts,
    SourcesReport,
)
from workers.reports.checks import Check, ProveFlavoursReport, ProveReport, ValidateFlavoursReport, ValidateReport
from workers.reports.suite import SuiteReport
from workers.suite.page import in_words


def of_provider(version: str, procedure: str, certificate: str | None) -> str:
    """What may be said of the FIPS provider; "validated" only with a certificate's number."""
    status = f"CMVP certificate {certificate}" if certificate else "not CMVP-validated"
    return f"{version}, procedure {procedure}, {status}"


def of_facts(facts: ProviderFacts) -> str:
    return of_provider(facts.provider_version, facts.procedure, facts.certificate)


def releases(plan: Plan) -> dict[str, str]:
    """Node name to the release of its first source, as in "openssl 3.5.7"."""
    versions = {pin.source: pin.version for pin in plan.pins}
    return {node.name: versions[node.sources[0]] for node in plan.nodes if node.sources and node.sources[0] in versions}


def of_plan(report: PlanReport) -> str:
    plan = report.plan
    stored = sum(node.stored for node in plan.nodes)
    if plan.all_stored:
        work = "all of it stored"
    elif plan.archive_stored:
        work = "the archive is stored, the smaller ones are to be derived"
    else:
        work = f"{counted(len(plan.nodes), 'node')}, {stored} of them stored"
    older = ", ".join(f"{pin.source} {pin.version} for {pin.newest}" for pin in plan.pins if not pin.is_newest)
    return f"CPython {plan.python_version}: {work}" + (f" (not the first choice: {older})" if older else "")


def of_sources(report: SourcesReport) -> str:
    fetched = [source for source in report.sources if not source.origin.startswith("the cache")]
    took = seconds(report.measure.wall_s)
    if not report.sources:
        return f"no source is needed, {took}"
    if not fetched:
        return f"{counted(len(report.sources), 'source')}: all in the cache, {took}"
    volume = size(sum(source.size for source in fetched))
    return f"{counted(len(report.sources), 'source')}: {len(fetched)} fetched ({volume}), {took}"


def of_nodes(report: NodesReport, release: Mapping[str, str]) -> str:
    """One node by name, several by number: "openssl 3.5.7: from the store, 0.3 s"."""
    took = seconds(report.measure.wall_s)

    def label(name: str) -> str:
        return f"{name} {release[name]}" if name in release else name

    built = [node for node in report.nodes if node.origin == "built"]
    if len(report.nodes) == 1:
        return f"{label(report.nodes[0].name)}: {'built' if built else 'from the store'}, {took}"
    if not report.nodes:
        return f"{report.stage}: not needed, {took}"
    if not built:
        return f"{counted(len(report.nodes), 'node')}: from the store, {took}"
    names = ", ".join(label(node.name) for node in built)
    stored = len(report.nodes) - len(built)
    return f"{names}: built{f'; {stored} from the store' if stored else ''}, {took}"


def of_package(report: PackageReport) -> str:
    origin = "from the store" if report.origin == "store" else "packed"
    took = seconds(report.measure.wall_s)
    return f"{report.name}: {size(report.tar_size)}, {counted(report.members, 'member')}, {origin}, {took}"


def of_validate(report: ValidateReport) -> str:
    broken = [rule.id for rule in report.rules if rule.findings]
    if broken:
        return f"{len(broken)} of {counted(len(report.rules), 'rule')} broken: {', '.join(broken)}"
    floor = f", needs glibc {report.glibc_floor}" if report.glibc_floor else ""
    return f"{counted(len(report.rules), 'rule')} held{floor}, {seconds(report.measure.wall_s)}"


def of_prove(report: ProveReport) -> str:
    wrong = [check.id for check in report.checks if not check.ok]
    if wrong:
        return f"{len(wrong)} of {counted(len(report.checks), 'check')} failed: {', '.join(wrong)}"
    tampered = sum(check.kind == "tamper" for check in report.checks)
    provider = of_provider(report.provider_version, report.procedure, report.certificate)
    emulated = f", emulated by {report.emulator}" if report.emulator else ""
    held = f"{counted(len(report.checks), 'check')} held, {counted(tampered, 'tampering')} refused"
    return f"{held}, provider {provider}{emulated}"


def of_suite(report: SuiteReport) -> str:
    return f"{in_words(report)}, {seconds(report.measure.wall_s)}"


def of_archive(report: ArchiveReport) -> str:
    origin = "from the store" if report.origin == "store" else "packed"
    return f"{report.name}: {size(report.size)}, {origin}, {seconds(report.measure.wall_s)}"


def of_derive(report: DeriveReport) -> str:
    """ "install_only 24.1 MB, install_only_stripped 19.0 MB, debug_symbols 8.5 MB: derived, 12.0 s"."""
    took = seconds(report.measure.wall_s)
    if not report.archives:
        return f"nothing to derive, {took}"
    stored = all(one.origin == "store" for one in report.archives)
    made = ", ".join(f"{one.flavour} {size(one.size)}" for one in report.archives)
    return f"{made}: {'from the store' if stored else 'derived'}, {took}"


def of_validate_flavours(report: ValidateFlavoursReport) -> str:
    """Which rules were broken in which flavour, else how many held."""
    broken = [f"{one.flavour} {rule.id}" for one in report.reports for rule in one.report.rules if rule.findings]
    if broken:
        return f"{counted(len(broken), 'rule')} broken: {', '.join(broken)}"
    held = max((len(one.report.rules) for one in report.reports), default=0)
    return f"{counted(len(report.reports), 'archive')}: {counted(held, 'rule')} held, {seconds(report.measure.wall_s)}"


def of_prove_flavours(report: ProveFlavoursReport) -> str:
    """Which checks failed in which flavour, else how many held."""
    checks = [(f"{one.flavour} {check.id}", check.ok) for one in report.reports for check in one.report.checks]
    checks += [(check.id, check.ok) for check in report.checks]
    wrong = [name for name, ok in checks if not ok]
    if wrong:
        return f"{len(wrong)} of {counted(len(checks), 'check')} failed: {', '.join(wrong)}"
    held = f"{counted(len(checks), 'check')} held"
    return f"{counted(len(report.reports), 'archive')} run: {held}, {seconds(report.measure.wall_s)}"


def checks_in_words(checks: Sequence[Check]) -> str:
    """A few lines a check, for a log."""
    return "".join(
        f"{'held' if check.ok else 'FAILED'}  {check.id}\n  wanted  {check.wanted}\n  found   {check.found}\n"
        for check in checks
    )
