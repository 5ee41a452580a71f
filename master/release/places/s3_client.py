"""boto3 as a release needs it: no retries of its own, errors in words, bodies that are checked while they are read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from master.release.model import Asset
from master.release.places.base import Trouble, rotten
from master.secrets.places import Place
from workers.errors import Failure

# A part or a file of a hundred MB may go out over a slow line, but never be silent for long.
CONNECT_S, READ_S = 20, 120
_PASSING = {408, 409, 412, 429}
_PASSING_CODES = {"BadDigest", "RequestTimeout", "SlowDown"}


@dataclass(frozen=True)
class Access:
    """Where a bucket is, and the file with the keys to it; None for the client's own chain. Holds no secret itself."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    credentials: Place | None
    connect_s: float = CONNECT_S
    read_s: float = READ_S


def credentials_of(path: Place) -> dict[str, str]:
    """`access_key_id` and `secret_access_key`, where the settings say. Raises Failure, which repeats nothing of it."""
    try:
        if isinstance(path, Path) and path.stat().st_mode & 0o007:
            raise Failure(
                "publish", f"s3: everybody on this machine may read {path}", wanted="mode 0600 or 0640",
                found=oct(path.stat().st_mode & 0o777), todo=f"chmod 600 {path}, and consider another key.",
            )  # fmt: skip
        found = tomllib.loads(path.read_text() if isinstance(path, Path) else path.text())
    except OSError as error:
        raise Failure(
            "publish", f"s3: the keys in {path} can't be read", found=error.strerror,
            todo="See [release] s3_credentials_file.",
        ) from None  # fmt: skip
    except ValueError:
        found = {}
    names = {"access_key_id": "aws_access_key_id", "secret_access_key": "aws_secret_access_key"}
    if not all(isinstance(found.get(name), str) for name in names):
        raise Failure(
            "publish", f"s3: {path} has no keys in it",
            wanted='access_key_id = "..." and secret_access_key = "...", a line each', found="something else",
            todo="Write it anew; what it holds is not repeated here.",
        )  # fmt: skip
    return {known: found[name] for name, known in names.items()}


def client_of(access: Access, connections: int) -> Any:
    """boto3's client. Raises Failure when the keys can't be read."""
    import boto3  # half a second and 30 MB, for those who have such a place
    from botocore.config import Config

    config = Config(
        retries={"total_max_attempts": 1}, connect_timeout=access.connect_s, read_timeout=access.read_s,
        max_pool_connections=connections + 2, request_checksum_calculation="when_required",
        response_checksum_validation="when_required", user_agent_extra="pymint",
        s3={"addressing_style": "path" if access.endpoint else "auto"},
    )  # fmt: skip
    keys = credentials_of(access.credentials) if access.credentials is not None else {}
    return boto3.session.Session().client(
        "s3", endpoint_url=access.endpoint, region_name=access.region, config=config, **keys
    )


@contextlib.contextmanager
def words(*, missing: bool = False) -> Iterator[None]:
    """The client's errors as Trouble or Failure. missing: what is not there raises KeyError."""
    try:
        yield
    except ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(error.response.get("Error", {}).get("Code", "no code"))
        if missing and status == 404 and code != "NoSuchBucket":
            raise KeyError(code) from error
        said = f"s3: {error.operation_name} was answered {status} {code}"
        if status in _PASSING or (status >= 500 and status != 501) or code in _PASSING_CODES:
            raise Trouble(said, _wait(error, status)) from error
        raise Failure(
            "publish", said, todo="Check [release] s3_bucket, s3_region and what the key may do: docs/publishing.md."
        ) from error
    except HTTPClientError as error:
        inner = error.kwargs.get("error")
        if isinstance(inner, Failure):
            raise inner from None
        raise Trouble(f"s3: the connection broke ({type(error).__name__})") from error
    except (BotoConnectionError, IncompleteReadError) as error:
        raise Trouble(f"s3: the connection broke ({type(error).__name__})") from error
    except BotoCoreError as error:
        raise Failure(
            "publish", f"s3: the client gave up ({type(error).__name__})",
            todo="Without s3_credentials_file it looks for keys as every AWS client does: docs/publishing.md.",
        ) from error  # fmt: skip


def _wait(error: ClientError, status: int) -> float | None:
    after = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    if status in (409, 412):
        return 0.0  # nothing to wait for: what is there has to be looked at again
    return float(after) if after.isdigit() else None


class Watched(io.FileIO):
    """A file that raises Failure instead of giving its end away when it is not the asset's, read from its beginning."""

    def __init__(self, path: Path, asset: Asset) -> None:
        try:
            super().__init__(path)
        except OSError as error:
            raise rotten(asset, path, error.strerror or str(error)) from error
        self._path, self._asset = path, asset
        self._hasher, self._read = hashlib.sha256(), 0

    def seek(self, position: int, whence: int = 0, /) -> int:
        where = super().seek(position, whence)
        if where == 0:
            self._hasher, self._read = hashlib.sha256(), 0
        return where

    def read(self, size: int | None = -1, /) -> bytes:
        where = self.tell()
        block = super().read(-1 if size is None else size) or b""
        if where == self._read:
            self._hasher.update(block)
            self._read += len(block)
            ended = self._read >= self._asset.size or not block
            if ended and (self._hasher.hexdigest(), self._read) != (self._asset.sha256, self._asset.size):
                raise rotten(self._asset, self._path, f"sha256 {self._hasher.hexdigest()}")
        return block
