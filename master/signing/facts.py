"""What the signer reads for itself, given no more than a build's id: database, index, stored bytes, repository."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import buildbot
import sqlalchemy as sa
from buildbot.db.model import Model

from master.database import reading
from master.home import Home
from master.signing.statement import Evidence, Run
from master.store import ArchiveRecord, Store
from workers.errors import Failure
from workers.reports.base import R, decode
from workers.reports.build import STAGES, NodesReport, Plan, PlanReport, SourcesReport
from workers.sources.pins import Pin, PinnedFile, load_pins, pin_of

if TYPE_CHECKING:
    from master.database import Where

PINS = "cpython-unix/sources.toml"
# The reports of these steps are in the database too, as they were when the step ended.
KEPT = ("plan", "sources", *STAGES)
NOTHING_SIGNED = "Nothing was signed."


def read_run(database: Where, buildid: int) -> tuple[Run, Mapping[str, bytes]]:
    """A build and the reports that its steps took in, from Buildbot's database, which is only read. Raises Failure."""
    with reading(database, "signing", NOTHING_SIGNED) as connection:
        return _run(connection, buildid), _reports(connection, buildid)


def _run(connection: sa.Connection, buildid: int) -> Run:
    builds, requests, sets = Model.builds, Model.buildrequests, Model.buildset_sourcestamps
    stamps, properties = Model.sourcestamps, Model.build_properties
    tables = (
        builds.join(Model.builders, builds.c.builderid == Model.builders.c.id)
        .join(Model.workers, builds.c.workerid == Model.workers.c.id)
        .join(requests, builds.c.buildrequestid == requests.c.id)
        .join(sets, requests.c.buildsetid == sets.c.buildsetid)
        .join(stamps, sets.c.sourcestampid == stamps.c.id)
    )
    query = (
        sa.select(
            builds.c.number, builds.c.builderid, Model.builders.c.name, Model.workers.c.name,
            stamps.c.repository, stamps.c.branch, stamps.c.revision, builds.c.started_at,
        )
        .select_from(tables)
        .where(builds.c.id == buildid)
    )  # fmt: skip
    rows = connection.execute(query).all()
    if len(rows) != 1:
        raise Failure(
            "signing", f"there is no build {buildid} of one commit", found=f"{len(rows)} source stamps",
            todo=f"{NOTHING_SIGNED} `./mint status` lists the builds by these numbers.",
        )  # fmt: skip
    number, builderid, builder, worker, repository, branch, revision, started_at = rows[0]
    said = connection.execute(sa.select(properties).where(properties.c.buildid == buildid)).all()
    return Run(
        buildid, number, builderid, builder, worker, repository, branch or "", revision or "", started_at,
        {row.name: json.loads(row.value) for row in said},
    )  # fmt: skip


def _reports(connection: sa.Connection, buildid: int) -> Mapping[str, bytes]:
    data = Model.build_data
    query = sa.select(data.c.name, data.c.value).where(data.c.buildid == buildid, data.c.name.in_(KEPT))
    return {row.name: row.value for row in connection.execute(query).all()}


def find_record(store: Store, run: Run) -> ArchiveRecord:
    """The record of a build in the index. Raises Failure when there is none."""
    record = store.find(run.builder, run.number)
    if record is None:
        raise Failure(
            "signing", f"no archive of build {run.number} of {run.builder} is recorded",
            todo=f"{NOTHING_SIGNED} Only what the step `record` took in is signed.",
        )  # fmt: skip
    return record


def rehash(store: Store, record: ArchiveRecord) -> None:
    """Reads every stored byte of a build again. Raises Failure for the first file that is not what was recorded."""
    for one in record.files():
        store.checked(one)


def gather(home: Home, store: Store, run: Run, kept: Mapping[str, bytes], record: ArchiveRecord) -> Evidence:
    """All that a statement is made of, from stored reports whose bytes were hashed. Raises Failure."""
    for name, data in kept.items():
        stored = next((one for one in record.reports if one.name == f"{name}.json"), None)
        if stored is None or store.path_of(stored.sha256).read_bytes() != data:
            raise Failure(
                "signing", f"the report {name} of build {run.buildid} was exchanged after its step",
                wanted="the bytes that the master read when the step ended", found="others, uploaded at the end",
                todo=f"{NOTHING_SIGNED} Look at the worker {run.worker}: it is broken, or not yours any more.",
            )  # fmt: skip

    def report(name: str, kind: type[R]) -> R:
        stored = next((one for one in record.reports if one.name == f"{name}.json"), None)
        if stored is None:
            raise Failure("signing", f"build {run.buildid} has no report {name}", todo=NOTHING_SIGNED)
        return decode(store.path_of(stored.sha256).read_bytes(), kind, stored.name)

    plan = report("plan", PlanReport).plan
    nodes = [node for stage in STAGES for node in report(stage, NodesReport).nodes]
    return Evidence(
        run=run,
        record=record,
        plan=plan,
        sources=report("sources", SourcesReport),
        nodes=tuple({node.name: node for node in nodes}.values()),
        origins=origins(plan, pins_at(home, record.commit)),
        versions={"buildbot": buildbot.version},
        farm=farm_version(home),
    )


def _git(directory: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    return done.returncode, done.stdout


def on_branch(home: Home, commit: str, branch: str) -> bool:
    """Whether the commit is on the branch, by the master's mirror: a forced build of another commit says so too."""
    code, _ = _git(home.repository, "merge-base", "--is-ancestor", commit, f"refs/heads/{branch}")
    return code == 0


def farm_version(home: Home) -> str:
    """The commit of the master's own code, `-dirty` when it was changed; "unknown" without git."""
    code, said = _git(home.checkout, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return said.strip() if code == 0 else "unknown"


def pins_at(home: Home, commit: str) -> Mapping[str, tuple[Pin, ...]] | None:
    """sources.toml of that commit, by the master's mirror; None when the commit has none. Raises Failure."""
    code, text = _git(home.repository, "show", f"{commit}:{PINS}")
    if code:
        return None
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "sources.toml"
        path.write_text(text)
        return load_pins(path)


def origins(plan: Plan, pins: Mapping[str, tuple[Pin, ...]] | None) -> dict[str, str]:
    """A URI for each planned source, by its digest. Raises Failure for one that the commit does not pin."""
    found = {}
    for chosen in plan.pins:
        if pins is None:
            found[chosen.sha256] = f"pkg:generic/{quote(chosen.source)}@{quote(chosen.version)}"
        else:
            found[chosen.sha256] = uri_of(*pin_of(pins, chosen.source, chosen.sha256))
    return found


def uri_of(pin: Pin, file: PinnedFile) -> str:
    """Upstream's own address, or the package that has those bytes, as a purl."""
    if pin.urls and not file.repacked:
        return pin.urls[0]
    if pin.distro is not None:
        source = "" if pin.distro.file.endswith(".deb") else "?arch=source"
        return f"pkg:deb/debian/{pin.distro.package}@{quote(pin.distro.version, safe='')}{source}"
    if pin.pypi is not None:
        name = re.split(r"[=<>~!\[; ]", pin.pypi.requirement)[0]
        return f"pkg:pypi/{name.lower()}@{quote(pin.version, safe='')}"
    return f"pkg:generic/{quote(pin.source)}@{quote(pin.version)}"
