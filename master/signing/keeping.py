"""Keys from the first start on: made where none is, listed for verifiers, and what they replace is dated."""

from __future__ import annotations

from datetime import UTC, datetime

from master import settings as farm_settings
from master.home import Home, write_file
from master.settings import Settings, main_workers
from master.signing import choice, keys, trust
from master.signing.statement import moment
from workers.errors import Failure
from workers.model import Matrix, load_matrix

KEYS = "keys.json"
ROOT = "trusted_root.jsonl"


def prepare(home: Home, settings: Settings, now: datetime | None = None) -> None:
    """Makes the keys that `[signing]` asks for and writes `keys.json` or `trusted_root.jsonl`; again and again, safely.

    Raises Failure when a key that lies elsewhere is not described by its public half.
    """
    chosen = settings.signing
    if chosen.profile == "none":
        return
    when = now or datetime.now(UTC)
    base = choice.base_of(chosen, farm_settings.page_url(settings))
    home.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    for dry_run in (False, True):
        name, service = choice.key_names(chosen, dry_run=dry_run)
        elsewhere = chosen.key is not None and not dry_run
        if chosen.profile == "key":
            if not elsewhere:
                keys.make(home.keys, name)
            continue
        if not elsewhere:
            keys.make_authority(home.keys, name, choice.organisation_of(base), when)
        if chosen.timestamp_url is None or dry_run:
            keys.make_service(home.keys, service, choice.organisation_of(base), when)
    _list(home, settings, load_matrix(), base, when)


def own_trust(home: Home) -> trust.Trust | None:
    """Whom the farm's own archives are to be signed by; None where it has no key yet. Raises Failure."""
    known, root = home.keys / KEYS, home.keys / ROOT
    if not known.exists() and not root.exists():
        return None
    found = trust.decode_root(root.read_bytes(), ROOT) if root.exists() else trust.Trust()
    listed = trust.decode_keys(known.read_bytes(), KEYS).keys if known.exists() else []
    return trust.Trust(tuple(listed), found.authorities, found.services)


def _list(home: Home, settings: Settings, matrix: Matrix, base: str, now: datetime) -> None:
    chosen = settings.signing
    name, _ = choice.key_names(chosen, dry_run=False)
    if chosen.profile == "ca":
        _write(home, ROOT, trust.trusted_root(_chains(home, "-ca"), _chains(home, "-tsa"), base))
        return
    public = home.keys / f"{name}.pub"
    if not public.exists():
        raise Failure(
            "signing", f"there is no public key {public.name}", wanted=f"that of [signing] key, as PEM in {public}",
            todo="Write it there; a KMS or HSM tells it.",
        )  # fmt: skip
    path = home.keys / KEYS
    known = trust.decode_keys(path.read_bytes(), KEYS) if path.exists() else trust.KeyList("pymint/keys/1")
    spki = keys.spki_of(keys.read_public(public.read_bytes(), public.name))
    builders = {
        choice.builder_id(chosen, base, worker.name, matrix.targets[target].os, dry_run=False)
        for worker in main_workers(settings)
        for target in (*worker.targets, *worker.cross)
    }
    _write(home, KEYS, trust.encode_keys(trust.with_key(known, name, spki, sorted(builders), moment(now.timestamp()))))


def _chains(home: Home, ending: str) -> list[trust.Chain]:
    """Those of keys that were ever used, but for dry runs."""
    names = [path.stem for path in sorted(home.keys.glob(f"*{ending}.crt"))]
    return [keys.read_chain(home.keys, name) for name in names if not name.startswith(choice.DRY_RUN)]


def _write(home: Home, name: str, data: bytes) -> None:
    path = home.keys / name
    if not path.exists() or path.read_bytes() != data:
        write_file(path, data)
