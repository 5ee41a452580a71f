"""`[signing]` of settings.toml: who signs what a farm builds, and what the farm calls itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from master.complaint import URL, Complaint

NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,39}\Z")
DRY_RUN = "dry-run"
# Of securesystemslib: a file, PKCS #11, three clouds, Vault. Its gpg keys are none that a bundle can name.
SCHEMES = ("file2", "hsm", "awskms", "gcpkms", "azurekms", "hv")


@dataclass(frozen=True)
class Signing:
    """Provenance of what `main` builds.

    profile: a public `key`, an own `ca` whose bundles stock tools verify, or `none`. key_name: of the files in
    `keys/`. key: a securesystemslib URI of a private key that lies elsewhere; pin_file: with the PIN of a device
    (`hsm`). base: where the farm's identities begin, the page's address by default. source: the repository's
    address as users know it. builders: a worker's name to its builder id, whole or below `base`/builders/.
    timestamp_url: somebody else's RFC 3161 service, for `ca`. command: what the signer is started with.
    """

    profile: Literal["key", "ca", "none"] = "key"
    key_name: str = "farm"
    key: str | None = None
    pin_file: str | None = None
    base: str | None = None
    source: str | None = None
    builders: dict[str, str] = field(default_factory=dict)
    timestamp_url: str | None = None
    command: list[str] = field(default_factory=list)


def complaint(chosen: Signing, workers: list[str]) -> Complaint | None:
    """What types can't say of `[signing]`, or None. workers: the configured ones."""
    if not NAME.match(chosen.key_name) or chosen.key_name.startswith(DRY_RUN):
        wanted = f"small letters, digits and dashes, at most 40, not {DRY_RUN!r}"
        return Complaint("key_name", "this is no name for a key", wanted, repr(chosen.key_name))
    if chosen.key is not None and chosen.key.partition(":")[0] not in SCHEMES:
        wanted = f"a URI that begins with {', '.join(f'{one}:' for one in SCHEMES)}"
        return Complaint("key", "this key can't be used", wanted, chosen.key.partition(":")[0] + ":…")
    device = chosen.key is not None and chosen.key.startswith("hsm:")
    if device != (chosen.pin_file is not None):
        found = "none" if device else chosen.key or "no key in a device"
        return Complaint("pin_file", "a key in a device has a PIN, and no other key", 'key = "hsm:…" and a file', found)
    for key in ("base", "source", "timestamp_url"):
        value = getattr(chosen, key)
        if value is not None and not URL.match(value):
            return Complaint(key, "this is no address", "http(s)://host/…", repr(value))
    if chosen.timestamp_url is not None and chosen.profile != "ca":
        return Complaint("timestamp_url", "only the profile ca has timestamps", 'profile = "ca"', chosen.profile)
    for worker in chosen.builders:
        if worker not in workers:
            return Complaint("builders", f"there is no worker {worker!r}", f"one of {', '.join(workers)}", worker)
    return None


def base_of(chosen: Signing, page_url: str) -> str:
    """Where the farm's identities begin, without a slash at its end."""
    return (chosen.base or page_url).rstrip("/")


def organisation_of(base: str) -> str:
    return urlsplit(base).hostname or "pymint"


def builder_id(chosen: Signing, base: str, worker: str, system: str, *, dry_run: bool) -> str:
    """The id of the builder that a worker is: how well it is protected. system: of the target, `linux` or `macos`.

    A worker of which nothing is said keeps its state from one build to the next: `persistent`.
    """
    said = chosen.builders.get(worker, f"{system}-persistent/v1")
    whole = said if "://" in said else f"{base}/builders/{said.strip('/')}"
    return f"{whole}/{DRY_RUN}" if dry_run else whole


def release_id(base: str, *, dry_run: bool) -> str:
    """Who signs a release's SHA256SUMS: the farm itself, whichever workers built what it lists."""
    return f"{base}/releases/v1" + (f"/{DRY_RUN}" if dry_run else "")


def source_of(chosen: Signing, repository: str) -> str:
    """The repository as a URI."""
    said = chosen.source or repository
    said = said.removesuffix("/").removesuffix(".git")
    return f"file://{said}" if said.startswith("/") else said


def key_names(chosen: Signing, *, dry_run: bool) -> tuple[str, str]:
    """The name of the key that signs or certifies, and that of the timestamping key."""
    name = DRY_RUN if dry_run else chosen.key_name
    return (f"{name}-ca" if chosen.profile == "ca" else name), f"{name}-tsa"
