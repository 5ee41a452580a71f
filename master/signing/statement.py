"""What is attested: in-toto statements with SLSA provenance, made of what the master knows, as pure functions.

What the fields mean for this farm: docs/buildtypes/. Formats: in-toto Statement v1, SLSA provenance v1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from master.store import ArchiveRecord, Stored
from workers.errors import Failure
from workers.reports.build import BuiltNode, Plan, SourcesReport

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
RELEASE = "https://in-toto.io/attestation/release/v0.2"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
Kind = Literal["build", "derive"]
BUILD_TYPES: Mapping[Kind, str] = {"build": "buildtypes/cpython-build/v1", "derive": "buildtypes/install-only/v1"}
# Everything that a person decides about a build, and nothing else: a verifier refuses what it does not know.
EXTERNAL = {"source", "branch", "commit", "version", "target", "variant"}
STRIPPER = "llvm-objcopy"
_DIGEST = re.compile(r"\A[0-9a-f]{64}\Z")

Descriptor = dict[str, Any]


@dataclass(frozen=True)
class Names:
    """What a farm calls itself and its things. None ends with a slash.

    base: where its identities begin. builder: the builder's id, which says how well it is protected.
    source: the repository's address as users know it. page: the address of its web page.
    """

    base: str
    builder: str
    source: str
    page: str


@dataclass(frozen=True)
class Run:
    """A build as Buildbot's database has it. started_at: seconds since 1970, UTC."""

    buildid: int
    number: int
    builderid: int
    builder: str
    worker: str
    repository: str
    branch: str
    revision: str
    started_at: int
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """Everything that the master knows of a build.

    nodes: of all stages. origins: a URI for the digest of each source. versions: of what builds. farm: the commit of
    the master's own code.
    """

    run: Run
    record: ArchiveRecord
    plan: Plan
    sources: SourcesReport
    nodes: tuple[BuiltNode, ...]
    origins: Mapping[str, str]
    versions: Mapping[str, str]
    farm: str


def check(evidence: Evidence) -> None:
    """Raises Failure when what was recorded of a build does not fit together."""
    run, record, plan = evidence.run, evidence.record, evidence.plan
    said = run.properties
    keys = {node.name: node.key for node in plan.nodes}
    fits: list[tuple[str, object, object]] = [
        ("the record is of another build", (run.builder, run.number), (record.builder, record.number)),
        ("the record has another id than the build", run.buildid, record.buildid),
        ("the record names another worker", run.worker, record.worker),
        ("another commit was requested than recorded", run.revision, record.commit),
        ("another commit was planned than recorded", plan.commit, record.commit),
        ("the plan was made of a changed checkout", False, plan.dirty),
        ("the build was of another cell",
         tuple(said.get(name) for name in ("version", "target", "variant")),
         (record.cell.version, record.cell.target, record.cell.variant)),
        ("the plan is of another cell", plan.cell, record.cell),
    ]  # fmt: skip
    fits += [
        (f"the node {node.name} has another key than planned", keys.get(node.name, "no such node"), node.key)
        for node in evidence.nodes
    ]
    for what, wanted, found in fits:
        if wanted != found:
            raise Failure(
                "signing", f"build {run.buildid}: {what}", wanted=str(wanted), found=str(found),
                todo="Nothing was signed. Look at who can write the master's database and store.",
            )  # fmt: skip


def moment(seconds: float) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def subject(stored: Stored, tar_sha256: str) -> Descriptor:
    """An archive. The digest of the tar inside stays the same when only the compressor changes."""
    return {"name": stored.name, "digest": {"sha256": stored.sha256}, "annotations": {"tarSha256": tar_sha256}}


def commit_of(record: ArchiveRecord, names: Names) -> Descriptor:
    return {
        "name": "recipes",
        "uri": f"git+{names.source}@{record.commit}",
        "digest": {"gitCommit": record.commit},
    }


def _sources(evidence: Evidence) -> Iterable[Descriptor]:
    got = {(one.source, one.sha256): one.origin for one in evidence.sources.sources}
    for pin in evidence.plan.pins:
        annotations = {"version": pin.version}
        if (origin := got.get((pin.source, pin.sha256))) is not None:
            annotations["deliveredBy"] = origin
        yield {
            "name": f"source/{pin.source}",
            "uri": evidence.origins[pin.sha256],
            "digest": {"sha256": pin.sha256},
            "annotations": annotations,
        }


def _tool(name: str, toolchain: Mapping[str, str]) -> Descriptor:
    """A file of the toolchain by its digest, or what the plan says of it instead."""
    said = toolchain[name]
    version = {"annotations": {"version": toolchain["version"]}} if "version" in toolchain else {}
    if _DIGEST.match(said):
        return {"name": f"toolchain/{name}", "digest": {"sha256": said}, **version}
    return {"name": f"toolchain/{name}", "uri": f"pkg:generic/{name}", "annotations": {"version": said}}


def _objects(evidence: Evidence) -> Iterable[Descriptor]:
    """The object of each planned node; one whose object was not needed is known by its key alone."""
    made = {node.name: node for node in evidence.nodes}
    for planned in evidence.plan.nodes:
        built = made.get(planned.name)
        annotations = {"key": planned.key, "stage": planned.stage, **({"origin": built.origin} if built else {})}
        yield {
            "name": f"object/{planned.name}",
            "uri": f"pymint:object/{planned.key}",
            **({"digest": {"sha256": built.digest}} if built else {}),
            "annotations": annotations,
        }


def _predicate(
    kind: Kind, evidence: Evidence, names: Names, dependencies: list[Descriptor], byproducts: list[Descriptor]
) -> dict[str, Any]:
    run, record, plan = evidence.run, evidence.record, evidence.plan
    return {
        "buildDefinition": {
            "buildType": f"{names.base}/{BUILD_TYPES[kind]}",
            "externalParameters": {
                "source": names.source,
                "branch": record.branch,
                "commit": record.commit,
                "version": record.cell.version,
                "target": record.cell.target,
                "variant": record.cell.variant,
            },
            "internalParameters": {
                "builder": run.builder,
                "number": run.number,
                "worker": run.worker,
                "scheduler": str(run.properties.get("scheduler", "")),
                "farm": evidence.farm,
                "pythonVersion": record.python_version,
                "archiveKey": plan.archive_key,
                "sourceDateEpoch": plan.epoch,
                "emulator": plan.emulator,
                "fipsProvider": asdict(plan.provider),
            },
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": names.builder, "version": dict(evidence.versions)},
            "metadata": {
                "invocationId": f"{names.page}/#/builders/{run.builderid}/builds/{run.number}",
                "startedOn": moment(run.started_at),
                "finishedOn": moment(record.recorded_at),
            },
            "byproducts": byproducts,
        },
    }


def _statement(subjects: list[Descriptor], predicate: dict[str, Any]) -> dict[str, Any]:
    return {"_type": STATEMENT, "subject": subjects, "predicateType": PROVENANCE, "predicate": predicate}


def _reports(record: ArchiveRecord) -> list[Descriptor]:
    kinds = {".json": "application/json", ".html": "text/html"}
    return [
        {
            "name": one.name,
            "digest": {"sha256": one.sha256},
            "mediaType": next((kind for end, kind in kinds.items() if one.name.endswith(end)), "text/plain"),
        }
        for one in record.reports
    ]


def of_build(evidence: Evidence, names: Names) -> dict[str, Any]:
    """The statement about the full archive: the commit, every source, the toolchain and every object that went in."""
    record, toolchain = evidence.record, evidence.plan.toolchain
    dependencies = [
        commit_of(record, names),
        *_sources(evidence),
        *(_tool(name, toolchain) for name in sorted(toolchain) if name != "version"),
        *_objects(evidence),
    ]
    predicate = _predicate("build", evidence, names, dependencies, _reports(record))
    return _statement([subject(record.archive, record.tar_sha256)], predicate)


def of_derived(evidence: Evidence, names: Names) -> dict[str, Any] | None:
    """The statement about the smaller archives, which were made of the full one; None where there are none."""
    record, toolchain = evidence.record, evidence.plan.toolchain
    if not record.derived:
        return None
    full = {**subject(record.archive, record.tar_sha256), "name": f"archive/{record.archive.name}"}
    tools = [_tool(STRIPPER, toolchain)] if STRIPPER in toolchain else []
    predicate = _predicate("derive", evidence, names, [commit_of(record, names), full, *tools], _reports(record))
    return _statement([subject(one.archive, one.tar_sha256) for one in record.derived], predicate)


def payload(statement: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: the same for the same statement."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
