"""boto3 as this farm needs it: no retries of its own, and errors in words."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from master.bucket.access import OF_A_RELEASE, Access, Telling
from master.bucket.trouble import Trouble
from master.secrets.places import Place
from workers.errors import Failure

_PASSING = {408, 409, 412, 429}
_PASSING_CODES = {"BadDigest", "XAmzContentChecksumMismatch", "RequestTimeout", "SlowDown"}


def credentials_of(path: Place, telling: Telling = OF_A_RELEASE) -> dict[str, str]:
    """`access_key_id` and `secret_access_key`, where the settings say. Raises Failure, which repeats nothing of it."""
    try:
        if isinstance(path, Path) and path.stat().st_mode & 0o007:
            raise Failure(
                telling.subject, f"s3: everybody on this machine may read {path}", wanted="mode 0600 or 0640",
                found=oct(path.stat().st_mode & 0o777), todo=f"chmod 600 {path}, and consider another key.",
            )  # fmt: skip
        found = tomllib.loads(path.read_text() if isinstance(path, Path) else path.text())
    except OSError as error:
        raise Failure(
            telling.subject, f"s3: the keys in {path} can't be read", found=error.strerror,
            todo=f"See {telling.credentials}.",
        ) from None  # fmt: skip
    except ValueError:
        found = {}
    names = {"access_key_id": "aws_access_key_id", "secret_access_key": "aws_secret_access_key"}
    if not all(isinstance(found.get(name), str) for name in names):
        raise Failure(
            telling.subject, f"s3: {path} has no keys in it",
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
    keys = credentials_of(access.credentials, access.telling) if access.credentials is not None else {}
    return boto3.session.Session().client(
        "s3", endpoint_url=access.endpoint, region_name=access.region, config=config, **keys
    )


@contextlib.contextmanager
def words(*, missing: bool = False, telling: Telling = OF_A_RELEASE) -> Iterator[None]:
    """The client's errors as Trouble or Failure. missing: what is not there raises KeyError."""
    try:
        yield
    except ClientError as error:
        status = status_of(error)
        code = str(error.response.get("Error", {}).get("Code", "no code"))
        if missing and status == 404 and code != "NoSuchBucket":
            raise KeyError(code) from error
        said = f"s3: {error.operation_name} was answered {status} {code}"
        if status in _PASSING or (status >= 500 and status != 501) or code in _PASSING_CODES:
            raise Trouble(said, _wait(error, status)) from error
        raise Failure(
            telling.subject, said, todo=f"Check {telling.bucket} and what the key may do: {telling.page}."
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
            telling.subject, f"s3: the client gave up ({type(error).__name__})",
            todo=f"Without {telling.credentials} it looks for keys as every AWS client does: {telling.page}.",
        ) from error  # fmt: skip


def status_of(error: BaseException | None) -> int:
    """The status that a service answered; 0 for what was no answer."""
    if not isinstance(error, ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _wait(error: ClientError, status: int) -> float | None:
    after = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    if status in (409, 412):
        return 0.0  # nothing to wait for: what is there has to be looked at again
    return float(after) if after.isdigit() else None
