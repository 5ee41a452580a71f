"""boto3 as this farm needs it: no retries of its own, and errors in words."""

from __future__ import annotations

import contextlib
import ssl
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from urllib3.util.ssl_match_hostname import CertificateError

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


def _trusted(path: Path, telling: Telling) -> str:
    """The file of an authority, which has one in it. Raises Failure: the client would only say that nothing came."""
    try:
        ssl.create_default_context(cafile=str(path))
    except OSError as error:
        found = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise Failure(
            telling.subject, f"s3: nobody can be trusted because of {path}", wanted="certificates in PEM, of those who "
            "vouch for the service", found=found, todo=f"See {telling.authority}, in {telling.page}.",
        ) from error  # fmt: skip
    return str(path)


def client_of(access: Access, connections: int) -> Any:
    """boto3's client. Raises Failure when the keys, or the authority's file, can't be read."""
    import boto3  # half a second and 30 MB, for those who have such a place
    from botocore.config import Config

    config = Config(
        retries={"total_max_attempts": 1}, connect_timeout=access.connect_s, read_timeout=access.read_s,
        max_pool_connections=connections + 2, request_checksum_calculation="when_required",
        response_checksum_validation="when_required", user_agent_extra="pymint",
        s3={"addressing_style": "path" if access.endpoint else "auto"},
    )  # fmt: skip
    keys = credentials_of(access.credentials, access.telling) if access.credentials is not None else {}
    verify = _trusted(access.authority, access.telling) if access.authority is not None else None
    return boto3.session.Session().client(
        "s3", endpoint_url=access.endpoint, region_name=access.region, config=config, verify=verify, **keys
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
    except SSLError as error:
        refused = _refused(error)
        if refused is None:
            raise Trouble(f"s3: the connection broke ({error.kwargs.get('error')})") from error
        parts = urlsplit(str(error.kwargs.get("endpoint_url")))
        raise Failure(
            telling.subject, f"s3: the certificate of {parts.scheme}://{parts.netloc} is not to be trusted",
            wanted=f"one for that name, in its time, of an authority that {telling.authority} names; without that "
            "setting, of one that browsers trust",
            found=refused, todo=f"Nothing was sent, no key either. Name its authority's certificate in "
            f"{telling.authority}, or the host as its\ncertificate does: {telling.page}.",
        ) from error  # fmt: skip
    except (BotoConnectionError, IncompleteReadError) as error:
        raise Trouble(f"s3: the connection broke ({type(error).__name__})") from error
    except BotoCoreError as error:
        raise Failure(
            telling.subject, f"s3: the client gave up ({type(error).__name__})",
            todo=f"Without {telling.credentials} it looks for keys as every AWS client does: {telling.page}.",
        ) from error  # fmt: skip


def _refused(error: SSLError) -> str | None:
    """What is wrong with a certificate; None when something else was the matter."""
    inner: BaseException | None = error.kwargs.get("error")
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return inner.verify_message
        if isinstance(inner, CertificateError):
            return str(inner)  # of the name, which urllib3 compares by itself
        first = inner.args[0] if inner.args else None
        inner = first if isinstance(first, BaseException) else inner.__cause__
    return None


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
