"""Versions of releases: which is newer, of which line, a pre-release or not, and how file names spell them."""

from __future__ import annotations

import re
from typing import Literal

Spelling = Literal["plain", "dashes", "underscores", "sqlite"]

VERSION = re.compile(r"\A[0-9][0-9A-Za-z.+~-]{0,59}\Z")
_PRE = re.compile(r"(?i)(?:^|[0-9.\-_+~])(?:a|b|c|rc|alpha|beta|dev|pre|preview|snapshot|test)[.\-_]?\d*(?:$|[^a-z])")
_SQLITE = re.compile(r"\A(\d)(\d\d)(\d\d)(\d\d)\Z")


def order(version: str) -> tuple[int, ...]:
    """What versions are sorted by: their numbers. 3.13.10 is newer than 3.13.9, 6.6+20260608 newer than 6.6."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def newer(version: str, than: str) -> bool:
    """Whether a version comes after another of the same line."""
    return order(version) > order(than)


def in_line(version: str, line: str) -> bool:
    """Whether a version belongs to a line: 3.5.9 to "3.5", 3.50.1 not. Everything belongs to ""."""
    return not line or version == line or (version.startswith(line) and not version[len(line)].isalnum())


def is_prerelease(version: str) -> bool:
    """Whether a version says of itself that it is not final: 3.14.0rc2, 1.5.0-beta1, 2.0~pre."""
    return _PRE.search(version) is not None


def spelled(version: str, spelling: Spelling) -> str:
    """The version as upstream's file names have it. Raises ValueError for one that can't be spelled so."""
    if spelling == "dashes":
        return version.replace("+", "-")
    if spelling == "underscores":
        return version.replace(".", "_")
    if spelling == "sqlite":
        numbers = [*order(version), 0][:4]
        if len(numbers) < 4 or max(numbers[1:]) > 99 or re.sub(r"[0-9.]", "", version):
            raise ValueError(f"{version} is no version of SQLite")
        return f"{numbers[0]}{numbers[1]:02d}{numbers[2]:02d}{numbers[3]:02d}"
    return version


def unspelled(text: str, spelling: Spelling) -> str | None:
    """The version that a file name spells so; None when it spells none."""
    version: str | None = text
    if spelling == "dashes":
        version = text.replace("-", "+")
    elif spelling == "underscores":
        version = text.replace("_", ".")
    elif spelling == "sqlite":
        numbers = _SQLITE.match(text)
        version = None
        if numbers is not None:
            parts = [int(number) for number in numbers.groups()]
            version = ".".join(str(number) for number in (parts if parts[3] else parts[:3]))
    return version if version is not None and VERSION.match(version) else None


def of_distribution(version: str) -> str:
    """Upstream's version in the version of a Debian package: without epoch, revision and the marks of a repacked one.

    `1:1.3.dfsg+really1.3.2-4` is 1.3.2; `3.5.9-1~deb13u1` is 3.5.9; `6.6+20260608-2` is 6.6+20260608.
    """
    upstream = version.partition(":")[2] if ":" in version else version
    upstream = upstream.rpartition("-")[0] or upstream
    upstream = upstream.rpartition("+really")[2]
    return re.sub(r"[.+~-]?(?:dfsg|ds|repack)[0-9.]*$", "", upstream)
