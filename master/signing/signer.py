"""Signs what a build made: given its id and nothing else, reads the rest itself, and hashes every stored byte again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from master import settings as farm_settings
from master.database import where
from master.home import Home, write_file
from master.settings import Settings
from master.signing import choice, facts, journal, statement
from master.signing.bundle import SUFFIX, encode
from master.signing.journal import Line
from master.signing.pen import Pen, Signature, pen_of
from master.signing.statement import Names
from master.signing.verify import Wanted, verify
from master.store import ArchiveRecord, Attestation, Store, Stored
from workers.errors import Failure
from workers.model import load_matrix


@dataclass(frozen=True)
class Outcome:
    """What became of a build's attestation. why: not attested because of that. bundles: each beside its archive."""

    attested: bool
    why: str = ""
    profile: str = ""
    key: str = ""
    builder: str = ""
    bundles: list[Stored] = field(default_factory=list)


def names_of(home: Home, settings: Settings, record: ArchiveRecord, *, dry_run: bool) -> Names:
    """What the farm calls itself in the statements about a build."""
    chosen, page = settings.signing, farm_settings.page_url(settings)
    base = choice.base_of(chosen, page)
    system = load_matrix().targets[record.cell.target].os
    return Names(
        base=base,
        builder=choice.builder_id(chosen, base, record.worker, system, dry_run=dry_run),
        source=choice.source_of(chosen, farm_settings.repository_url(settings, home)),
        page=page.rstrip("/"),
    )


def attest(home: Home, settings: Settings, buildid: int, *, rehearsal: Path | None = None) -> Outcome:
    """Signs the statements about a build and puts the bundles beside its archives, once and for all.

    rehearsal: a directory for the bundles of a dry run, which another key signs and the store never sees.
    Raises Failure when anything about the build does not fit; nothing is signed then.
    """
    chosen, dry_run = settings.signing, rehearsal is not None
    if chosen.profile == "none":
        return Outcome(False, '[signing] profile is "none" in settings.toml')
    store = Store(farm_settings.store_place(settings, home), patient=True)
    run, kept = facts.read_run(where(home, settings), buildid)
    record = facts.find_record(store, run)
    before = store.attested(record)
    if before is not None and not dry_run:
        return Outcome(True, "", chosen.profile, before.key, before.builder_id, before.bundles)
    wanted = farm_settings.repository_url(settings, home)
    if run.repository != wanted:
        raise Failure(
            "signing", f"build {buildid} is of another repository", wanted=wanted, found=run.repository,
            todo=facts.NOTHING_SIGNED,
        )  # fmt: skip
    branch = settings.repository.branch
    if not facts.on_branch(home, record.commit, branch):
        return Outcome(False, f"the commit {record.commit[:12]} is not on {branch}")
    facts.rehash(store, record)
    evidence = facts.gather(home, store, run, kept, record)
    statement.check(evidence)
    names = names_of(home, settings, record, dry_run=dry_run)
    pen, now = pen_of(home, settings, dry_run=dry_run), datetime.now(UTC)
    statements: dict[str, dict[str, Any] | None] = {
        "build": statement.of_build(evidence, names),
        "derive": statement.of_derived(evidence, names),
    }
    signed = [
        (kind, said, _signed(pen, said, names, record.commit, now))
        for kind, said in statements.items()
        if said is not None
    ]
    log = home.journal if not dry_run else home.journal.with_name("dry-run.jsonl")
    lines = [journal.append(log, _entry(kind, said, one, names, record, now)) for kind, said, one in signed]
    contents = {
        subject["name"] + SUFFIX: encode(one.bundle) for _, said, one in signed for subject in said["subject"]
    }  # fmt: skip
    if rehearsal is not None:
        bundles = [_rehearse(rehearsal / name, data) for name, data in contents.items()]
    else:
        bundles = [store.put_bytes(data, name) for name, data in contents.items()]
        store.attest(record, _attestation(record, names, pen, now, bundles, lines))
    return Outcome(True, "", chosen.profile, pen.key.hint, names.builder, bundles)


def _signed(pen: Pen, said: Mapping[str, Any], names: Names, commit: str, now: datetime) -> Signature:
    """A signature that was verified as its readers will: a key that is not what its public half says signs nothing."""
    one = pen.sign(statement.payload(said), names, commit, now)
    wanted = Wanted(builder=names.builder, commit=commit, source=names.source)
    for subject in said["subject"]:
        verify(subject["name"], subject["digest"]["sha256"], one.bundle, pen.trust, wanted)
    return one


def _entry(
    kind: str, said: Mapping[str, Any], one: Signature, names: Names, record: ArchiveRecord, now: datetime
) -> dict[str, Any]:
    return {
        "at": statement.moment(now.timestamp()),
        "kind": kind,
        "buildid": record.buildid,
        "builder": record.builder,
        "build": record.number,
        "commit": record.commit,
        "builderId": names.builder,
        "key": one.key,
        "subjects": {subject["name"]: subject["digest"]["sha256"] for subject in said["subject"]},
        "payload": hashlib.sha256(one.bundle.payload).hexdigest(),
        "bundle": hashlib.sha256(encode(one.bundle)).hexdigest(),
    }


def _attestation(
    record: ArchiveRecord, names: Names, pen: Pen, now: datetime, bundles: list[Stored], lines: list[Line]
) -> Attestation:
    return Attestation(
        schema="pymint/attestation/1",
        buildid=record.buildid,
        key=pen.key.hint,
        builder_id=names.builder,
        attested_at=int(now.timestamp()),
        bundles=bundles,
        lines=lines,
    )


def _rehearse(path: Path, data: bytes) -> Stored:
    write_file(path, data)
    return Stored(path.name, hashlib.sha256(data).hexdigest(), len(data))
