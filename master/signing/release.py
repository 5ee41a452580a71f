"""Signs a release: one statement about SHA256SUMS and all that it lists, once and for all.

It is told a tag and the digest of a SHA256SUMS in the store, and looks at the rest itself: that every listed byte is
there, and that every archive has a bundle of this farm, all of one commit. Formats: in-toto Statement v1 with the
predicate release v0.2 (in-toto/attestation, spec/predicates/release.md), DSSE, Sigstore bundle v0.3.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from master import settings as farm_settings
from master.home import Home
from master.release import kept
from master.release.model import SUMS_NAME, checked_tag
from master.settings import Settings
from master.signing import choice, journal, statement
from master.signing.bundle import SUFFIX, decode, encode
from master.signing.directory import ARCHIVE, read_sums
from master.signing.keeping import own_trust
from master.signing.pen import Pen, pen_of
from master.signing.statement import RELEASE, STATEMENT, Names
from master.signing.trust import Trust
from master.signing.verify import Wanted, verify
from master.store import Store, Stored
from workers.errors import Failure
from workers.reports.base import read_report, write_report

NOTHING_SIGNED = "Nothing was signed."


def of_release(source: str, tag: str, digest: str, listed: Mapping[str, str]) -> dict[str, Any]:
    """The statement. Its subjects are SHA256SUMS and each file in it, so that it can be held against any of them."""
    name = re.sub(r"[^a-z0-9.-]+", "-", source.rstrip("/").rpartition("/")[2].lower()) or "pymint"
    files = {SUMS_NAME: digest, **listed}
    return {
        "_type": STATEMENT,
        "subject": [{"name": one, "digest": {"sha256": sha256}} for one, sha256 in files.items()],
        "predicateType": RELEASE,
        "predicate": {"purl": f"pkg:generic/{quote(name)}@{tag}"},
    }


def sign(home: Home, settings: Settings, tag: str, digest: str, *, dry_run: bool) -> Stored:
    """The bundle of a release's SHA256SUMS, in the store: what was signed before, else signed now.

    Raises Failure when anything about the release does not fit; nothing is signed then.
    """
    store = Store(farm_settings.store_place(settings, home), patient=True)
    pen = pen_of(home, settings, dry_run=dry_run)
    remembered = _remembered(store, checked_tag(tag), digest, pen)
    store.refresh(kept.RELEASES)
    if remembered.exists():
        before = read_report(remembered, Stored)
        store.checked(before)
        return before
    listed = read_sums(store.checked(Stored(SUMS_NAME, digest, 0)).read_text())
    trust = own_trust(home)
    if trust is None:
        raise Failure("signing", "this farm has no key yet", todo=f"{NOTHING_SIGNED} ./mint up makes one.")
    commit = _commit(store, listed, trust)
    names, now = _names(home, settings, dry_run=dry_run), datetime.now(UTC)
    said = of_release(names.source, tag, digest, listed)
    one = pen.sign(statement.payload(said), names, commit, now)
    certified = one.bundle.certificate is not None
    wanted = Wanted(builder=names.builder if certified else None, predicate=RELEASE)
    verify(SUMS_NAME, digest, one.bundle, pen.trust, wanted)
    data = encode(one.bundle)
    entry = {
        "at": statement.moment(now.timestamp()),
        "kind": "release",
        "tag": tag,
        "commit": commit,
        "builderId": names.builder,
        "key": one.key,
        "subjects": {SUMS_NAME: digest},
        "payload": hashlib.sha256(one.bundle.payload).hexdigest(),
        "bundle": hashlib.sha256(data).hexdigest(),
    }
    journal.append(home.journal if not dry_run else home.journal.with_name("dry-run.jsonl"), entry)
    stored = store.put_bytes(data, SUMS_NAME + SUFFIX)
    write_report(stored, remembered)
    store.share(remembered)
    return stored


def _remembered(store: Store, tag: str, digest: str, pen: Pen) -> Path:
    """Where it stands which bundle was signed: a signature is another one each time, a release's plan is not."""
    key = hashlib.sha256(pen.key.hint.encode()).hexdigest()[:16]
    return store.root / kept.RELEASES / tag / kept.SIGNED / f"{digest}-{key}.json"


def signed_lists(store: Store, trust: Trust) -> Iterator[str]:
    """The sha256 of the bundle of each SHA256SUMS that was signed by who is trusted: of releases, not of rehearsals.

    Raises Failure for a bundle that is not in the store any more, or is damaged.
    """
    store.refresh(kept.RELEASES)
    for digest, stored in kept.signatures(store.root):
        bundle = decode(store.checked(stored).read_bytes(), stored.name)
        try:
            verify(SUMS_NAME, digest, bundle, trust, Wanted(predicate=RELEASE))
        except Failure:
            continue
        yield stored.sha256


def _commit(store: Store, listed: Mapping[str, str], trust: Trust) -> str:
    """The commit that every archive's own bundle names. Raises Failure, also for the first file that is not there."""
    commits = set()
    for name, sha256 in listed.items():
        store.checked(Stored(name, sha256, 0))
        if not ARCHIVE.search(name):
            continue
        if name + SUFFIX not in listed:
            raise Failure(
                "signing", f"{name} has no bundle", wanted=f"{name}{SUFFIX} in {SUMS_NAME}", todo=NOTHING_SIGNED
            )
        bundle = decode(store.path_of(listed[name + SUFFIX]).read_bytes(), name + SUFFIX)
        commits.add(verify(name, sha256, bundle, trust, Wanted()).parameters["commit"])
    if len(commits) != 1:
        raise Failure(
            "signing", "the archives of a release have to be of one commit", wanted="one",
            found=", ".join(sorted(commits)) or "no archive at all", todo=NOTHING_SIGNED,
        )  # fmt: skip
    return str(commits.pop())


def _names(home: Home, settings: Settings, *, dry_run: bool) -> Names:
    """What the farm calls itself when it releases."""
    chosen, page = settings.signing, farm_settings.page_url(settings)
    base = choice.base_of(chosen, page)
    source = choice.source_of(chosen, farm_settings.repository_url(settings, home))
    return Names(base, choice.release_id(base, dry_run=dry_run), source, page.rstrip("/"))
