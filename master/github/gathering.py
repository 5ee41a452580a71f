"""What a pull request's comment is made of, fetched: its builds, their reports, and main's newest of the same cells."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, TypeVar

from master.github import comment, facts
from master.github.comment import Facts, Row, Shown
from master.github.statuses import Request, address_of, in_words, newest, state_of
from master.pulls.decide import Known
from master.pulls.keeping import PAGE
from master.pulls.names import cell_name
from workers.errors import Failure
from workers.reports.base import decode
from workers.reports.build import ArchiveReport, PlanReport
from workers.reports.checks import ProveReport, ValidateReport

R = TypeVar("R")


@dataclass(frozen=True)
class Gathering:
    """master: Buildbot's. repository, branch: as git knows them. pulls: the builders of pull requests."""

    master: Any
    repository: str
    branch: str
    page_url: str
    pulls: tuple[str, ...]

    async def comment(self, known: Known) -> tuple[str, str]:
        """The comment's text as it is now, and its digest."""
        found = await facts.requests_of(self.master, known.head, self.repository, frozenset(self.pulls))
        rows = [await self._row(cell, request) for cell, request in newest(found).items()]
        text = comment.written(Shown(known.head, self.branch, known.waits, rows, self.page_url))
        return text, hashlib.sha256(text.encode()).hexdigest()

    async def _row(self, cell: str, request: Request) -> Row:
        main = await facts.newest_good(self.master, cell_name(request.builder), self.branch, self.repository)
        took = None
        if request.started_at is not None and request.complete_at is not None:
            took = float(request.complete_at - request.started_at)
        stored = request.complete and state_of(request) == "success" and request.number is not None
        return Row(
            cell=cell,
            state=state_of(request),
            words=in_words(request),
            url=address_of(request, self.page_url),
            files=f"{self.page_url}{PAGE}/{request.builder}/{request.number}/" if stored else None,
            took_s=took,
            found=await self._facts(request.buildid),
            main=await self._facts(main),
        )

    async def _facts(self, buildid: int | None) -> Facts:
        if buildid is None:
            return Facts()
        plan = await self._report(buildid, "plan", PlanReport)
        validate = await self._report(buildid, "validate", ValidateReport)
        proof = await self._report(buildid, "prove-fips", ProveReport)
        archive = await self._report(buildid, "archive", ArchiveReport)
        return Facts(
            nodes={node.name: node.key for node in plan.plan.nodes} if plan else None,
            pins={pin.source: pin.version for pin in plan.plan.pins} if plan else None,
            size=archive.size if archive else None,
            floor=validate.glibc_floor if validate else None,
            checks=(sum(check.ok for check in proof.checks), len(proof.checks)) if proof else None,
            provider=f"{proof.provider_version}, {proof.procedure}" if proof else None,
            certificate=plan.plan.provider.certificate if plan else None,
        )

    async def _report(self, buildid: int, step: str, kind: type[R]) -> R | None:
        data = await facts.reported(self.master, buildid, step)
        try:
            return decode(data, kind, step) if data is not None else None
        except Failure:  # of an older pymint: nothing is said of it then
            return None
