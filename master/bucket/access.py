"""Where a bucket of an S3 service is, as values: no client is loaded for naming one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# A part or a file of a hundred MB may go out over a slow line, but never be silent for long.
CONNECT_S, READ_S = 20, 120


@dataclass(frozen=True)
class Telling:
    """In whose name errors are told. subject: the first word; credentials, bucket: the settings; page: of docs."""

    subject: str
    credentials: str
    bucket: str
    page: str


OF_A_RELEASE = Telling(
    "publish", "[release] s3_credentials_file", "[release] s3_bucket, s3_region", "docs/publishing.md"
)


@dataclass(frozen=True)
class Access:
    """Where a bucket is, and the file with the keys to it; None for the client's own chain. Holds no secret itself."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    credentials: Path | None
    connect_s: float = CONNECT_S
    read_s: float = READ_S
    telling: Telling = OF_A_RELEASE
