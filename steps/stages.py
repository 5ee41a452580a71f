"""The stages that are a worker's program, in the order of docs/architecture.md. Each says what it proves and leaves."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from steps import pages, summaries, test_results
from steps.program import WorkerProgram
from workers.errors import Failure
from workers.reports.build import (
    ArchiveReport,
    CellName,
    DeriveReport,
    NodesReport,
    PackageReport,
    PlanReport,
    SourcesReport,
    Stage,
)
from workers.reports.checks import ProveFlavoursReport, ProveReport, ValidateFlavoursReport, ValidateReport
from workers.reports.suite import SuiteReport


class Plan(WorkerProgram[PlanReport]):
    """Decides everything before anything is built: pins, keys, what is stored.

    Proves: the plan is of the commit that was checked out and of the cell that this builder is for.
    Leaves: `plan.json` in the run directory; properties `python_version`, `archive_name`, `derived_names`, `provider`,
    `releases`.
    """

    name = "plan"
    program = "plan"
    report = PlanReport
    report_name = "plan"

    def __init__(self, *args: Any, require_validated: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.require_validated = require_validated

    def objection(self, report: PlanReport) -> str | None:
        plan = report.plan
        if plan.commit != self.getProperty("got_revision"):
            return f"plan: the plan is of the commit {plan.commit}, {self.getProperty('got_revision')} was checked out"
        cell = CellName(*(str(self.getProperty(name)) for name in ("version", "target", "variant")))
        if plan.cell != cell:
            planned, wanted = " ".join(astuple(plan.cell)), " ".join(astuple(cell))
            return f"plan: the plan is for {planned}, this builder is for {wanted}"
        if not self.require_validated or plan.provider.certificate is not None:
            return None
        failure = Failure(
            "plan", "the FIPS provider would not be CMVP-validated",
            wanted="a validated provider ([fips] require_validated in settings.toml)",
            found=summaries.of_facts(plan.provider),
            todo="With procedure = \"policy\" in [fips] and release 3.1.2 it is; or take that setting out.",
        )  # fmt: skip
        return str(failure)

    async def run(self) -> int:
        await self.runRmdir(f"{self.build.workdir}/../run")
        return await super().run()

    def arguments(self) -> list[str]:
        version, target, variant = (str(self.getProperty(name)) for name in ("version", "target", "variant"))
        return ["--python", version, "--target", target, "--variant", variant]

    def summary(self, report: PlanReport) -> str:
        return summaries.of_plan(report)

    async def keep(self, report: PlanReport) -> None:
        plan = report.plan
        said: dict[str, Any] = {
            "python_version": plan.python_version,
            "archive_name": plan.archive_name,
            "derived_names": {one.flavour: one.name for one in plan.flavours},
            "provider": summaries.of_facts(plan.provider),
            "provider_version": plan.provider.provider_version,
            "provider_procedure": plan.provider.procedure,
            "provider_certificate": plan.provider.certificate or "",
            "releases": summaries.releases(plan),
        }
        for name, value in said.items():
            self.setProperty(name, value, "plan")


class Sources(WorkerProgram[SourcesReport]):
    """Gets every pinned source that the plan needs.

    Proves: size and sha256 of each are the pin's.
    Leaves: the tarballs in the worker's cache.
    """

    name = "sources"
    program = "sources"
    report = SourcesReport
    report_name = "sources"

    def summary(self, report: SourcesReport) -> str:
        return summaries.of_sources(report)


class Nodes(WorkerProgram[NodesReport]):
    """Builds the nodes of one stage that the store does not have.

    Proves: each of them is stored, with its own digest.
    Leaves: objects in the worker's store; a log a node that was built.
    """

    program = "build"
    report = NodesReport
    stage: Stage

    def arguments(self) -> list[str]:
        return ["--stage", self.stage]

    def summary(self, report: NodesReport) -> str:
        return summaries.of_nodes(report, self.getProperty("releases") or {})


class Dependencies(Nodes):
    """The libraries that CPython links, for the target."""

    name = report_name = "dependencies"
    stage = "dependencies"


class Openssl(Nodes):
    """libcrypto and libssl as CPython links them: static, hidden symbols."""

    name = report_name = "openssl"
    stage = "openssl"


class FipsProvider(Nodes):
    """The FIPS module, from a tree and by a procedure of its own."""

    name = report_name = "fips-provider"
    stage = "fips-provider"

    def summary(self, report: NodesReport) -> str:
        return f"{super().summary(report)} ({self.getProperty('provider')})"


class Cpython(Nodes):
    """Build Python, instrumented build, training, optimised build: what of it the cell's variant wants."""

    name = report_name = "cpython"
    stage = "cpython"


class Package(WorkerProgram[PackageReport]):
    """Packs the tree deterministically, with PYTHON.json first and the licences of all that is linked.

    Leaves: the tar, not yet compressed, in the run directory.
    """

    name = "package"
    program = "package"
    report = PackageReport
    report_name = "package"

    def summary(self, report: PackageReport) -> str:
        return summaries.of_package(report)


class Validate(WorkerProgram[ValidateReport]):
    """Judges the packed tree by every rule of the validator.

    Proves: no rule was broken on these very bytes.
    Leaves: the report, as build data and as a page.
    """

    name = "validate"
    program = "validate"
    report = ValidateReport
    report_name = "validate"

    def summary(self, report: ValidateReport) -> str:
        return summaries.of_validate(report)

    async def keep(self, report: ValidateReport) -> None:
        # Made here and not taken from the worker: Buildbot puts HTML logs into its own page as they are.
        await self.addHTMLLog("validation report", pages.embedded(pages.of_validate(report)))


class ProveFips(WorkerProgram[ProveReport]):
    """Unpacks the archive at a fresh path and tries to get MD5 past it.

    Proves: every check held with FIPS on, none was needed with it off, and each tampering was refused.
    Leaves: the report, as build data and as a page.
    """

    name = "prove-fips"
    program = "prove"
    report = ProveReport
    report_name = "prove"

    def summary(self, report: ProveReport) -> str:
        return summaries.of_prove(report)

    async def keep(self, report: ProveReport) -> None:
        await self.addHTMLLog("FIPS proof", pages.embedded(pages.of_prove(report)))


class RunSuite(WorkerProgram[SuiteReport]):
    """Runs CPython's own tests on the packed tree, or finds that a tree of the same bytes has passed them.

    Proves: every test that failed is pinned by name with a reason, and every pinned one failed.
    Leaves: the report, as build data and as a page; test result sets in Buildbot.
    """

    name = "test-suite"
    program = "test"
    report = SuiteReport
    report_name = "test"

    def summary(self, report: SuiteReport) -> str:
        return summaries.of_suite(report)

    async def keep(self, report: SuiteReport) -> None:
        await self.addHTMLLog("test suite", pages.embedded(pages.of_suite(report)))
        for found in test_results.of(report):
            number = await self.addTestResultSet(found.description, found.category, found.unit)
            for one in found.results:
                self.addTestResult(number, one.value, test_name=one.name, duration_ns=one.duration_ns)


class Archive(WorkerProgram[ArchiveReport]):
    """Compresses the tar that was validated and proven.

    Proves: the digest of the tar inside is the one that both judged.
    Leaves: the archive in the run directory.
    """

    name = "archive"
    program = "archive"
    report = ArchiveReport
    report_name = "archive"

    def summary(self, report: ArchiveReport) -> str:
        return summaries.of_archive(report)


class Derive(WorkerProgram[DeriveReport]):
    """Makes the smaller flavours out of the archive: install_only, the same stripped, and the debug symbols.

    Proves: it read the tar that was validated and proven, and the FIPS module in each flavour is the one proven.
    Leaves: the smaller archives beside the full one.
    """

    name = "derive"
    program = "derive"
    report = DeriveReport
    report_name = "derive"

    def summary(self, report: DeriveReport) -> str:
        return summaries.of_derive(report)


class ValidateFlavours(WorkerProgram[ValidateFlavoursReport]):
    """Judges each smaller archive by the rules for its flavour, and beside the others.

    Proves: no rule was broken on these very bytes.
    Leaves: the reports, as build data and as a page each.
    """

    name = "validate-flavours"
    program = "validate-flavours"
    report = ValidateFlavoursReport
    report_name = "validate-flavours"

    def summary(self, report: ValidateFlavoursReport) -> str:
        return summaries.of_validate_flavours(report)

    async def keep(self, report: ValidateFlavoursReport) -> None:
        for one in report.reports:
            await self.addHTMLLog(f"validation report, {one.flavour}", pages.embedded(pages.of_validate(one.report)))


class ProveFlavours(WorkerProgram[ProveFlavoursReport]):
    """Proves the FIPS mode of each smaller archive, that its bytecode is used, and that its symbols are found.

    Proves: every check held, with the FIPS module of the full archive.
    Leaves: the reports, as build data and as a page each; the other checks as a log.
    """

    name = "prove-flavours"
    program = "prove-flavours"
    report = ProveFlavoursReport
    report_name = "prove-flavours"

    def summary(self, report: ProveFlavoursReport) -> str:
        return summaries.of_prove_flavours(report)

    async def keep(self, report: ProveFlavoursReport) -> None:
        for one in report.reports:
            await self.addHTMLLog(f"FIPS proof, {one.flavour}", pages.embedded(pages.of_prove(one.report)))
        await self.addCompleteLog("bytecode and symbols", summaries.checks_in_words(report.checks))
