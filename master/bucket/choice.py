"""`[store]` of settings.toml: a directory, or a bucket of an S3 service that several masters share."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from master.complaint import URL, Complaint

BUCKET = re.compile(r"\A[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
PREFIX = re.compile(r"\A([A-Za-z0-9][A-Za-z0-9._-]*/)*[A-Za-z0-9][A-Za-z0-9._-]*\Z")
# What S3 takes in one request. Larger files would have to come in parts, and no archive is a tenth of it.
MOST_MB = 5000


@dataclass(frozen=True)
class StoreSettings:
    """Where archives are kept. Those above `max_archive_mb` are refused.

    path: a directory, relative to MINT_HOME or absolute; where a backup is restored to. bucket: instead of it, of an S3
    service, below `prefix`; endpoint: the service's address (none: the cloud's own), region; credentials_file: with
    `access_key_id = ...` and `secret_access_key = ...` in it (none: the usual chain of the client); ca_file: with the
    certificate of the authority that vouches for the service (none: those that browsers trust). cache: a directory of
    this machine for what was read, cache_gb: how large it may become. patience_minutes: how long a build waits for a
    bucket that does not answer, before it fails.
    """

    path: str = "store"
    max_archive_mb: int = 2000
    bucket: str | None = None
    prefix: str = "store"
    endpoint: str | None = None
    region: str = "us-east-1"
    credentials_file: str | None = None
    ca_file: str | None = None
    cache: str | None = None
    cache_gb: float = 50.0
    patience_minutes: float = 10.0


def complaint(chosen: StoreSettings) -> Complaint | None:
    """What types can't say of `[store]`, or None."""
    if not 0 < chosen.max_archive_mb <= MOST_MB:
        return Complaint("max_archive_mb", "no archive is of that size", f"1 to {MOST_MB}", str(chosen.max_archive_mb))
    if chosen.bucket is None:
        for key in ("endpoint", "credentials_file", "ca_file", "cache"):
            if (value := getattr(chosen, key)) is not None:
                return Complaint(key, "there is no bucket that it would be for", "bucket = ..., too", repr(value))
        return None
    if not BUCKET.match(chosen.bucket):
        wanted = "3 to 63 small letters, digits, dots and dashes"
        return Complaint("bucket", "this is no name of a bucket", wanted, repr(chosen.bucket))
    if not PREFIX.match(chosen.prefix):
        return Complaint("prefix", "no key can begin so", 'names with / between them, like "pymint/store"',
                         repr(chosen.prefix))  # fmt: skip
    if chosen.endpoint is not None and not URL.match(chosen.endpoint):
        return Complaint("endpoint", "this is no address", "https://host[:port]", repr(chosen.endpoint))
    if chosen.endpoint is not None and not encrypted(chosen.endpoint):
        return Complaint("endpoint", "keys and archives would go through the network for everybody to read",
                         "https://..., or an address of this machine's loopback", repr(chosen.endpoint))  # fmt: skip
    if chosen.ca_file is not None and (chosen.endpoint or "").startswith("http:"):
        return Complaint("ca_file", "without TLS there is no certificate", "https://...", repr(chosen.endpoint))
    if not 0 < chosen.cache_gb < float("inf"):
        return Complaint("cache_gb", "this is no size of a cache", "more than 0, in GB", str(chosen.cache_gb))
    if not 0 <= chosen.patience_minutes <= 24 * 60:
        return Complaint("patience_minutes", "nobody waits so long", "0 to 1440", str(chosen.patience_minutes))
    return None


def encrypted(endpoint: str) -> bool:
    """Whether nobody on the way can read it: TLS, or no way at all."""
    parts = urlsplit(endpoint)
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
