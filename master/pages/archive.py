"""The page of a build's archive: what it is, what is in it, what was proven of it, what it cost, all of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup
from twisted.internet import threads

from master.pages import charts, database
from master.pages.contents import Contents, Reader
from master.pages.page import NoSuchPage, Page, Query, Source
from master.store import ArchiveRecord, Attestation, Stored
from steps import summaries
from workers.errors import Failure
from workers.model import FLAVOURS
from workers.progress import seconds
from workers.reports.base import Measure, decode
from workers.reports.build import STAGES, NodesReport, ProviderFacts
from workers.reports.checks import ProveReport, ValidateReport
from workers.reports.suite import SuiteReport

R = TypeVar("R")
READER = Reader()
# The stages that are one piece of work each, and what their reports are called.
WHOLE = ("package", "validate", "prove", "test", "archive", "derive", "validate-flavours", "prove-flavours")
SLOWEST = 15


@dataclass(frozen=True)
class Timed:
    """What a stage's report says of its time, whatever else is in it."""

    measure: Measure


@dataclass(frozen=True)
class Snapshot:
    """What could not be read is None, with the reason in `problems`. timed: by report."""

    record: ArchiveRecord
    files: Sequence[Stored]
    attestation: Attestation | None
    builderid: int | None
    contents: Contents | None
    listed: str
    validate: ValidateReport | None
    prove: ProveReport | None
    suite: SuiteReport | None
    nodes: Mapping[str, NodesReport]
    timed: Mapping[str, Measure]
    problems: Sequence[str]


@dataclass(frozen=True)
class FlavourLine:
    """size: of the archive, tar_size: of the tar inside, in bytes. bundle: the name of what is signed for it, or ""."""

    flavour: str
    stored: Stored
    tar_size: int
    bundle: str
    bills: Sequence[str]


@dataclass(frozen=True)
class Node:
    name: str
    stage: str
    origin: str
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class View:
    record: ArchiveRecord
    builderid: int | None
    flavours: Sequence[FlavourLine]
    others: Sequence[Stored]
    provider: str
    certificate: str | None
    floor: str
    provider_floor: str
    validation: str
    proof: str
    tests: str
    suite: SuiteReport | None
    contents: Contents | None
    listed: str
    nodes: Sequence[Node]
    timings: Markup | None
    wall_s: float
    cpu_s: float
    signed: Attestation | None
    problems: Sequence[str]
    older_pins: Sequence[tuple[str, str, str]]


def of_provider(facts: ProviderFacts) -> str:
    return summaries.of_facts(facts)


def nodes_of(nodes: Mapping[str, NodesReport], timed: Mapping[str, Measure]) -> list[Node]:
    """What took time, in the order in which it was done: each node, then the stages that are one piece of work."""
    found = [
        Node(one.name, stage, one.origin, one.measure.wall_s, one.measure.cpu_s)
        for stage, report in nodes.items()
        for one in report.nodes
    ]
    return found + [Node(name, name, "stage", one.wall_s, one.cpu_s) for name, one in timed.items()]


def timings_of(nodes: Sequence[Node]) -> Markup | None:
    """The longest ones as bars."""
    longest = sorted(nodes, key=lambda one: -max(one.wall_s, one.cpu_s))[:SLOWEST]
    rows = [charts.Bar(one.name, (one.wall_s, one.cpu_s)) for one in nodes if one in longest]
    if not rows:
        return None
    return charts.bars("Time by node", ("wall time", "processor time"), rows, seconds)


def flavours_of(record: ArchiveRecord, files: Sequence[Stored]) -> list[FlavourLine]:
    """Each flavour that was recorded, with what lies beside it under its name."""
    archives = [("full", record.archive, record.tar_size)]
    archives += [(one.flavour, one.archive, one.tar_size) for one in record.derived]
    found = []
    for flavour, stored, tar_size in archives:
        stem = stored.name.partition(".tar.")[0]
        beside = [one.name for one in files if one.name != stored.name and one.name.startswith(f"{stem}.")]
        bundles = [name for name in beside if "sigstore" in name or "intoto" in name or "bundle" in name]
        bills = [name for name in beside if name.endswith((".cdx.json", ".spdx.json"))]
        found.append(FlavourLine(flavour, stored, tar_size, bundles[0] if bundles else "", bills))
    order: dict[str, int] = {name: at for at, name in enumerate(FLAVOURS)}
    return sorted(found, key=lambda one: order.get(one.flavour, len(order)))


def model(said: Snapshot, query: Query) -> View:
    record = said.record
    flavours = flavours_of(record, said.files)
    told = {one.stored.name for one in flavours} | {name for one in flavours for name in (one.bundle, *one.bills)}
    nodes = nodes_of(said.nodes, said.timed)
    floor = said.validate.glibc_floor if said.validate else None
    return View(
        record=record,
        builderid=said.builderid,
        flavours=flavours,
        others=[one for one in said.files if one.name not in told],
        provider=of_provider(record.provider),
        certificate=record.provider.certificate,
        floor=f"glibc {floor}" if floor else "",
        provider_floor=f"glibc {record.provider.glibc_floor}" if record.provider.glibc_floor else "",
        validation=summaries.of_validate(said.validate) if said.validate else "",
        proof=summaries.of_prove(said.prove) if said.prove else "",
        tests=summaries.of_suite(said.suite) if said.suite else "",
        suite=said.suite,
        contents=said.contents,
        listed=said.listed,
        nodes=nodes,
        timings=timings_of(nodes),
        wall_s=sum(one.wall_s for one in nodes),
        cpu_s=sum(one.cpu_s for one in nodes),
        signed=said.attestation,
        problems=said.problems,
        older_pins=[(pin.source, pin.version, pin.newest) for pin in record.pins if not pin.is_newest],
    )


async def snapshot(source: Source, query: Query) -> Snapshot:
    builder, number = query.get("builder", ""), query.get("number", "")
    if builder not in source.matrix.by_builder_name:
        raise NoSuchPage("archive?builder=BUILDER&number=NUMBER: no cell has that builder.", 404)
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise NoSuchPage("archive?builder=BUILDER&number=NUMBER: that is no number of a build.", 400)
    ids = await database.read(source.master, lambda one, tables: database.builder_ids(one, tables, [builder]))
    flavour, builderid = query.get("flavour", ""), ids.get(builder)
    found: Snapshot = await threads.deferToThread(_read, source, builder, int(number), flavour, builderid)
    return found


def _read(source: Source, builder: str, number: int, flavour: str, builderid: int | None) -> Snapshot:
    record = source.store.find(builder, number)
    if record is None:
        raise NoSuchPage(f"No archive of build {number} of {builder} is stored.")
    problems: list[str] = []
    by_name = {one.name: one for one in record.reports}

    def report(name: str, kind: type[R]) -> R | None:
        stored = by_name.get(f"{name}.json")
        if stored is None:
            return None
        try:
            return decode(source.store.checked(stored).read_bytes(), kind, stored.name)
        except Failure as failure:
            problems.append(f"{stored.name}: {failure.what}")
            return None

    archives: dict[str, Stored] = {"full": record.archive, **{one.flavour: one.archive for one in record.derived}}
    listed = flavour if flavour in archives else "full"
    try:
        contents = READER.of(source.store, archives[listed])
    except Failure as failure:
        contents = None
        problems.append(failure.what)
    nodes: dict[str, NodesReport] = {}
    for stage in STAGES:
        if (made := report(stage, NodesReport)) is not None:
            nodes[stage] = made
    timed = {name: found.measure for name in WHOLE if (found := report(name, Timed)) is not None}
    return Snapshot(
        record=record, files=source.store.files(record), attestation=source.store.attested(record),
        builderid=builderid, contents=contents, listed=listed, validate=report("validate", ValidateReport),
        prove=report("prove", ProveReport), suite=report("test", SuiteReport), nodes=nodes, timed=timed,
        problems=list(dict.fromkeys(problems)),
    )  # fmt: skip


PAGE = Page(
    name="archive",
    title="Archive",
    about="What a build made",
    snapshot=snapshot,
    model=model,
    parameters=("builder", "number", "flavour"),
    menu=False,
)
