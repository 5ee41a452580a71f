"""What an origin can answer but the pinned bytes."""

from __future__ import annotations

import errno
import re
from pathlib import Path


class Missed(Exception):
    """The origin has not got the file, or can't be reached. The text says why, for a person."""


class Wrong(Exception):
    """The origin gave other bytes than pinned. sha256: their digest, None when their number already told.

    size: bytes. more: the origin wanted to send still more than these.
    """

    def __init__(self, origin: str, sha256: str | None, size: int, *, more: bool = False) -> None:
        super().__init__(origin)
        self.origin = origin
        self.sha256 = sha256
        self.size = size
        self.more = more

    def told(self) -> str:
        """`sha256 91ff0e3c…0b12, 53153930 bytes, from https://…`."""
        digest = "" if self.sha256 is None else f"sha256 {short(self.sha256)}, "
        return f"{digest}{'more than ' if self.more else ''}{self.size} bytes, from {self.origin}"


def short(sha256: str) -> str:
    """A digest as people compare it: its beginning and its end."""
    return f"{sha256[:8]}…{sha256[-4:]}"


def without_urls(text: str) -> str:
    """A client's words without URLs, which would tell the mirror or index that this machine is set up with."""
    return re.sub(r"\w[\w+.-]*://\S+", "its server", text)


def full_disk(complaint: str, path: Path) -> None:
    """Raises the OSError that a client only wrote about."""
    if "no space left" in complaint.lower():
        raise OSError(errno.ENOSPC, "No space left on device", str(path))
