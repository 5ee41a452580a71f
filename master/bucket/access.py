"""Where a bucket of an S3 service is, as values: no client is loaded for naming one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from master.secrets.places import Place

# A part or a file of a hundred MB may go out over a slow line, but never be silent for long.
CONNECT_S, READ_S = 20, 120


@dataclass(frozen=True)
class Telling:
    """Who tells of errors. subject: the first word; credentials, bucket, authority: settings. page: of docs/."""

    subject: str
    credentials: str
    bucket: str
    page: str
    authority: str


OF_A_RELEASE = Telling(
    "publish",
    "[release] s3_credentials_file",
    "[release] s3_bucket, s3_region",
    "docs/publishing.md",
    "[release] s3_ca_file",
)
OF_THE_STORE = Telling(
    "store", "[store] credentials_file", "[store] bucket, region", "docs/cluster.md", "[store] ca_file"
)  # fmt: skip


@dataclass(frozen=True)
class Access:
    """Where a bucket is, and where the keys to it are; None for the client's own chain. Holds no secret itself.

    authority: a file with the certificates of those who may vouch for the service; None: whom browsers trust.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    credentials: Place | None
    connect_s: float = CONNECT_S
    read_s: float = READ_S
    telling: Telling = OF_A_RELEASE
    authority: Path | None = None


@dataclass(frozen=True)
class Bucket:
    """The part of a bucket that is the store's. cache_bytes: how much of it is kept on this machine.

    patience_s: how long what has to be written waits for a service that does not answer.
    """

    access: Access
    cache_bytes: int
    patience_s: float


@dataclass(frozen=True)
class StorePlace:
    """Where a store lies. root: a directory; of a store in a bucket, what of it is on this machine.

    A value, so that a reconfiguration can compare it.
    """

    root: Path
    bucket: Bucket | None = None
