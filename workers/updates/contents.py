"""What is in a fetched file, read without unpacking it: whether it can be the release that it is said to be."""

from __future__ import annotations

import lzma
import re
import tarfile
import time
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workers.progress import size
from workers.updates.model import Lies, Offer
from workers.updates.rules import Rule

_MOST_MEMBERS = 500_000
_ENDING = re.compile(r"\.(?:tar\.(?:gz|xz|bz2|zst)|tgz)\Z")


@dataclass(frozen=True)
class Facts:
    """What is in a file. tops: the names at its top; newest: the newest time in it, as a day; files: all names."""

    tops: frozenset[str]
    newest: str
    files: frozenset[str]


def of_tarball(path: Path, limit: int) -> Facts:
    """Reads the names and times of a tarball, unpacking nothing. Raises Lies when it is broken or unreasonable.

    limit: bytes that all files in it may have in sum.
    """
    tops: set[str] = set()
    files: set[str] = set()
    newest, total = 0.0, 0
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.size < 0:
                    raise Lies("it is no whole tarball (a file of it ends before it begins)")
                total += member.size
                if name.startswith("/") or ".." in name.split("/"):
                    raise Lies(f"it has a file outside of itself: {name[:80]!r}")
                if len(files) > _MOST_MEMBERS or total > limit:
                    raise Lies(f"it unpacks to more than {_MOST_MEMBERS} files or {size(limit)}")
                if name and name != "pax_global_header":
                    tops.add(name.partition("/")[0])
                    files.add(name.partition("/")[2])
                    newest = max(newest, float(member.mtime))
    except (tarfile.TarError, EOFError, OSError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise Lies(f"it is no whole tarball ({error})") from error
    return Facts(frozenset(tops), _day(newest), frozenset(files))


def of_wheel(path: Path) -> Facts:
    try:
        with zipfile.ZipFile(path) as wheel:
            newest = max(one.date_time for one in wheel.infolist())
            day = f"{newest[0]:04d}-{newest[1]:02d}-{newest[2]:02d}"
            return Facts(frozenset(), day, frozenset(wheel.namelist()))
    except (zipfile.BadZipFile, ValueError) as error:
        raise Lies(f"it is no whole wheel ({error})") from error


def _day(newest: float) -> str:
    if newest > time.time() + 2 * 86400:
        raise Lies("it has files from the future")
    return datetime.fromtimestamp(newest, UTC).date().isoformat() if newest > 0 else ""


def as_a_release(facts: Facts, offer: Offer, rule: Rule, licences: tuple[str, ...]) -> None:
    """Raises Lies when the file has not got what the release's own has."""
    if offer.kind in {"upstream", "mirror", "offline"}:
        name = offer.url.rpartition("/")[2]
        wanted = rule.filled(rule.folder, offer.version) if rule.folder else _ENDING.sub("", name)
        if facts.tops != {wanted}:
            found = ", ".join(sorted(facts.tops)[:3]) or "nothing"
            raise Lies(f"at its top it should have {wanted}, and has {found[:120]}")
    elif offer.kind == "distribution" and len(facts.tops) != 1:
        raise Lies(f"it has {len(facts.tops)} things at its top", loud=False)
    lacking = [one for one in (*rule.contains, *licences) if one not in facts.files]
    if lacking:
        raise Lies(f"it has no {', '.join(lacking)}: a person has to look at what changed", loud=False)
