"""Whether a commit can be released: decided from what was read, and from nothing else.

The form, the first step of a release, the page `releases/readiness` and `./mint release --check` all ask `judge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from buildbot.process.results import SUCCESS, Results

from master.release.model import CellAnswer, CellState, Readiness
from workers.model import Cell
from workers.reports.build import ProviderFacts


@dataclass(frozen=True)
class Built:
    """A build of a cell of the commit. result: Buildbot's code, None while it runs."""

    builder: str
    number: int
    buildid: int
    result: int | None


@dataclass(frozen=True)
class Kept:
    """What the store's index has of a build. problem: why it can't be used, "" when it can.

    signed: whether its bundles are there.
    """

    buildid: int = 0
    provider: ProviderFacts | None = None
    signed: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Standing:
    """All that is known of a commit. builds: of the cells asked for, in any order; waiting: builders with a request
    that no build has answered yet; kept: by builder and number, of the builds that count.
    """

    builds: Sequence[Built] = ()
    waiting: frozenset[str] = frozenset()
    kept: Mapping[tuple[str, int], Kept] = field(default_factory=dict)


@dataclass(frozen=True)
class Terms:
    """What a release needs, by settings.toml. worked: the builders of cells that have a worker.

    signing: whether this farm signs what it builds.
    """

    set_name: str
    cells: Sequence[Cell]
    worked: frozenset[str]
    allow_unvalidated: bool = False
    signing: bool = True


def that_count(builds: Iterable[Built]) -> dict[str, Built]:
    """The newest build of each builder that ended well, whatever came after it."""
    found: dict[str, Built] = {}
    for build in sorted(builds, key=lambda one: one.buildid):
        if build.result == SUCCESS:
            found[build.builder] = build
    return found


def judge(commit: str, terms: Terms, standing: Standing, reasons: Sequence[str] = ()) -> Readiness:
    """The gate. reasons: what else is against a release, such as a commit that is not on the branch."""
    counting = that_count(standing.builds)
    cells = [_answer(cell.builder_name, terms, standing, counting) for cell in terms.cells]
    more = list(reasons)
    if not terms.signing:
        more.append('[signing] profile is "none": a release has to be signed')
    if not cells:
        more.append("[release] names no cell")
    notes = _notes([standing.kept.get((one.builder, one.number or 0)) for one in cells if one.state == "ready"])
    return Readiness(commit=commit, set_name=terms.set_name, cells=cells, reasons=more, notes=notes)


def _answer(builder: str, terms: Terms, standing: Standing, counting: Mapping[str, Built]) -> CellAnswer:
    counts = counting.get(builder)
    if counts is not None:
        problem = _objection(standing.kept.get((builder, counts.number)), counts, terms)
        return CellAnswer(builder, "refused" if problem else "ready", counts.number, problem)
    builds = sorted((one for one in standing.builds if one.builder == builder), key=lambda one: -one.buildid)
    for one in builds:
        if one.result is None:
            return CellAnswer(builder, "running", one.number, "it is being built")
    if builder in standing.waiting:
        return CellAnswer(builder, "waiting", None, "a request waits for its worker")
    if builds:
        return CellAnswer(builder, "failed", builds[0].number, f"it ended as {_word(builds[0].result)}")
    why = "it was never built of this commit" if builder in terms.worked else "no worker builds it"
    return CellAnswer(builder, "missing", None, why)


def _word(result: int | None) -> str:
    return str(Results[result]) if result is not None and 0 <= result < len(Results) else f"result {result}"


def _objection(kept: Kept | None, counts: Built, terms: Terms) -> str:
    """Why a build that ended well can't be released, "" when it can."""
    if kept is None:
        return "its archives are not in the store any more: build it again"
    if kept.problem:
        return kept.problem
    if kept.buildid != counts.buildid:
        return f"the index has build {kept.buildid} under that number, not {counts.buildid}: build it again"
    if kept.provider is not None and kept.provider.certificate is None and not terms.allow_unvalidated:
        return (
            f"its FIPS provider {kept.provider.provider_version} (procedure {kept.provider.procedure}) is not "
            "CMVP-validated, and [release] allow_unvalidated is not set"
        )
    if terms.signing and not kept.signed:
        return "nothing was signed for it: `python -m master.signing BUILD` tells why"
    return ""


def _notes(kept: Sequence[Kept | None]) -> list[str]:
    providers = {
        (one.provider.provider_version, one.provider.procedure)
        for one in kept
        if one is not None and one.provider is not None and one.provider.certificate is None
    }
    return [
        f"The OpenSSL FIPS provider {version} (procedure {procedure}) is not CMVP-validated."
        for version, procedure in sorted(providers)
    ]


HEADINGS: dict[CellState, str] = {
    "missing": "Missing",
    "failed": "Failed",
    "running": "Running",
    "waiting": "Waiting",
    "refused": "Refused",
}


def standing_of(readiness: Readiness) -> str:
    """In a line: "19 of 21 cells are ready"."""
    ready = sum(one.state == "ready" for one in readiness.cells)
    wanted = len(readiness.cells)
    return f"{ready} of {wanted} {'cell is' if wanted == 1 else 'cells are'} ready"


def objections(readiness: Readiness) -> list[str]:
    """Sentences that say all that is against a release, each cell named; empty when nothing is."""
    found = [f"{reason}." for reason in readiness.reasons]
    if all(one.state == "ready" for one in readiness.cells):
        return found
    found.append(f"{standing_of(readiness)} (set {readiness.set_name}).")
    for state, heading in HEADINGS.items():
        named = [_named(one) for one in readiness.cells if one.state == state]
        if named:
            found.append(f"{heading}: {'; '.join(named)}.")
    return found


def _named(one: CellAnswer) -> str:
    number = f" #{one.number}" if one.number is not None else ""
    # What is missing or runs says so by its heading.
    told = one.state in ("refused", "failed") or (one.state == "missing" and "worker" in one.why)
    return f"{one.builder}{number}" + (f" ({one.why})" if told else "")
