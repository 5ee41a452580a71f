"""Makes the plan of a release from what was collected: names, indexes, notes, SHA256SUMS and its signature.

The same collection and tag give the same plan, byte for byte: no clock, no path and no random number goes into it,
SHA256SUMS is signed once, and what was known of CVEs stays what it was when the release was planned first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from master import settings as farm_settings
from master.home import Home, one_keeper
from master.release import advisories, indexes, kept, telling
from master.release.address import url_of
from master.release.assets import all_assets, asset, released
from master.release.collect import Collection
from master.release.model import NOTES_NAME, SUMS_NAME, Asset, Plan, Role, checked_tag, identity
from master.settings import Settings
from master.signing import choice
from master.signing.bundle import SUFFIX
from master.signing.keeping import KEYS, ROOT
from master.store import Store, Stored
from workers.errors import Failure, retold
from workers.model import load_matrix
from workers.progress import counted, size
from workers.reports.base import decode

# What is made of the plan's own data, and can be made of it again.
GENERATED: tuple[Role, ...] = ("index", "page", "sums")


@dataclass(frozen=True)
class Before:
    """The release before: its plan, and those of its indexes in which older versions stay."""

    plan: Plan
    indexes: Mapping[str, bytes]


def make(
    home: Home,
    settings: Settings,
    collection: Collection,
    *,
    tag: str,
    rehearsal: bool,
    say: Callable[[str], None] = print,
) -> Plan:
    """The plan, kept in the store with every file that it names. Raises Failure."""
    store, matrix = Store(farm_settings.store_place(settings, home), patient=True), load_matrix()
    before = _before(store, checked_tag(tag))
    keys = _keys(home, settings, store)
    plan = Plan(
        schema="pymint/release-plan/1",
        tag=tag,
        commit=collection.commit,
        epoch=collection.epoch,
        repository=collection.repository,
        rehearsal=rehearsal,
        previous=before.plan.tag if before is not None else "",
        cells=[released(matrix.by_builder_name[one.record.builder], one, tag) for one in collection.cells],
        assets=_by_name([*all_assets(matrix, collection.cells, tag), *keys]),
        notes=list(collection.notes),
        url=url_of(settings.release, home, tag),
        base=collection.base,
    )
    earlier = before.plan if before is not None else None
    plan = replace(
        plan, advisories=advisories.looked(home.updates, plan, earlier, kept.of_tag(store.root, tag), say)
    )  # fmt: skip
    made = [asset(name, store.put_bytes(data, name), role) for name, (data, role) in generate(plan, before).items()]
    listed = _by_name([*plan.assets, *made])
    sums = store.put_bytes(indexes.sums(listed), SUMS_NAME)
    bundle = _signed(home, settings, tag, sums.sha256, dry_run=rehearsal)
    signed = [asset(SUMS_NAME, sums, "sums"), asset(SUMS_NAME + SUFFIX, bundle, "sums")]
    plan = replace(plan, assets=_by_name([*listed, *signed]))
    path = _kept(home, store, plan, collection, say)
    whole = sum(one.size for one in plan.assets)
    files = counted(len(plan.assets), "file")
    say(f"{files}, {size(whole)}, since {plan.previous or 'the beginning'}: {identity(plan)}")
    say(f"kept as {path}")
    return plan


def _kept(home: Home, store: Store, plan: Plan, collection: Collection, say: Callable[[str], None]) -> Path:
    """The plan's place in the store. From then on nothing of its commit is dropped; so nothing may be dropped while it
    is written, and all of it has to be there. A rehearsal, which writes here only, is held for a while.

    Raises Failure when something of the builds was dropped since it was collected.
    """
    if plan.rehearsal:
        path = kept.keep(store.root, plan)
        store.share(path)
        return path
    with one_keeper(home, say, drops=False):
        store.refresh("index")
        records = [one.record for one in collection.cells]
        gone = [one for one in records if store.record(one.commit, one.builder, one.number) is None]
        wanted = [Stored(one.name, one.sha256, one.size) for one in plan.assets]
        lost = store.missing([*wanted, *(file for one in records for file in store.files(one))])
        if gone or lost:
            names = [*(f"{one.builder} #{one.number}" for one in gone), *(one.name for one in lost)]
            raise Failure(
                "release", "builds of this release were dropped from the store while it was planned",
                found=", ".join(names[:5]), todo="Nothing was published. Build those cells of that commit again, then "
                "rebuild this build. Who dropped\nthem: ./mint prune, or [retention] keep_builds.",
            )  # fmt: skip
        path = kept.keep(store.root, plan)
        store.share(path)
    return path


def generate(plan: Plan, before: Before | None) -> dict[str, tuple[bytes, Role]]:
    """Every file that is written from the plan, but for SHA256SUMS; the same from the finished plan as from the first.

    Raises Failure when the plan's release before is not the one that is given.
    """
    if plan.previous != (before.plan.tag if before is not None else ""):
        raise Failure(
            "release", f"{plan.tag} was planned after another release", wanted=plan.previous or "the first",
            found=before.plan.tag if before is not None else "none", todo="Plan it again.",
        )  # fmt: skip
    bare = replace(plan, assets=[one for one in plan.assets if one.role not in GENERATED])
    earlier = before.plan if before is not None else None
    found: dict[str, tuple[bytes, Role]] = {
        name: (data, "index")
        for name, data in indexes.all_indexes(bare, before.indexes if before is not None else {}).items()
    }
    found[telling.PAGE] = telling.page(bare, earlier), "page"
    found[NOTES_NAME] = telling.notes(bare, earlier), "page"
    return found


def _by_name(assets: list[Asset]) -> list[Asset]:
    return sorted(assets, key=lambda one: one.name)


def _before(store: Store, tag: str) -> Before | None:
    store.refresh(kept.RELEASES)
    plan = kept.before(store.root, tag)
    if plan is None:
        return None
    wanted = [one for one in plan.assets if one.name in indexes.ACCUMULATED]
    return Before(
        plan, {one.name: store.checked(Stored(one.name, one.sha256, one.size)).read_bytes() for one in wanted}
    )


def _keys(home: Home, settings: Settings, store: Store) -> list[Asset]:
    """What verifiers need, but for any secret: the list of keys or the trusted root, and the key's public half."""
    name, _ = choice.key_names(settings.signing, dry_run=False)
    public = [f"{name}.pub"] if settings.signing.profile == "key" else []
    return [
        asset(one, store.put(home.keys / one, one), "keys")
        for one in (KEYS, ROOT, *public)
        if (home.keys / one).exists()
    ]


def _signed(home: Home, settings: Settings, tag: str, digest: str, *, dry_run: bool) -> Stored:
    """Has the signer, a process of its own, sign SHA256SUMS. Raises its Failure."""
    command = [] if dry_run else settings.signing.command
    argv = [*command, sys.executable, "-m", "master.signing", "--release", tag, digest]
    done = subprocess.run(
        [*argv, "--rehearse"] if dry_run else argv, cwd=home.checkout, env={**os.environ, "MINT_HOME": str(home.root)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return decode(lines[-1].encode(), Stored, "what the signer said")
    if (failure := retold(done.stderr)) is not None:
        raise failure
    last = (done.stderr.strip().splitlines() or ["no word"])[-1]
    raise Failure(
        "signing", f"the signer ended with {done.returncode}", found=last.partition(":")[0],
        todo=f"By hand it tells more: MINT_HOME=… .venv/bin/python -m master.signing --release {tag} {digest}",
    )  # fmt: skip
