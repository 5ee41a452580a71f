"""What a person carries from the master to a worker's machine: one line with all that the worker has to know."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from dataclasses import dataclass

import msgspec

from workers.errors import Failure

PREFIX = "pymint-worker-1."
# Of the text's own digest: tells a line that was cut off or wrapped from a whole one. It protects against nobody.
_CHECK = 8
_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Invitation:
    """Where the master is, who the worker is, and by whose certificate it knows the master ("": plain text)."""

    host: str
    port: int
    name: str
    password: str
    authority: str
    disk_gb: float = 50.0


def text_of(invitation: Invitation) -> str:
    packed = zlib.compress(msgspec.json.encode(invitation), 9)
    body = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    return f"{PREFIX}{hashlib.sha256(body.encode()).hexdigest()[:_CHECK]}.{body}"


def read(text: str) -> Invitation:
    """The invitation in a pasted text, which may be wrapped. Raises Failure when it is none, or not whole."""
    joined = "".join(text.split())
    check, _, body = joined.removeprefix(PREFIX).partition(".")
    try:
        if not joined.startswith(PREFIX):
            raise ValueError(f"a text that begins with {joined[:16]!r}" if joined else "nothing")
        if hashlib.sha256(body.encode()).hexdigest()[:_CHECK] != check:
            raise ValueError("an invitation that is cut off, or changed")
        packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        plain = zlib.decompressobj().decompress(packed, _LIMIT)
        return msgspec.json.decode(plain, type=Invitation)
    except (ValueError, binascii.Error, zlib.error, msgspec.DecodeError) as error:
        raise Failure(
            "invitation",
            "this is no invitation of a master",
            wanted=f"the whole line that begins with {PREFIX}",
            found=str(error),
            todo="Have it printed again on the master's machine: `./mint worker invite NAME`.",
        ) from error
