"""Advisories from where the operator says: OSV's files and archives, NVD's feeds, by URL or from a directory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import time
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from workers.sources.http import redacted
from workers.sources.outcome import Missed
from workers.updates.advisories import AdvisoriesReport, Advisory, Affected, Feed, Range
from workers.updates.web import Reader

# OSV's archive of all that comes from git has about 200 MB, a year of NVD 25 MB packed.
FEED_LIMIT = 1 << 30
_ONE_LIMIT = 64 << 20
_NVD_LIMIT = 512 << 20
_TAG = re.compile(r"\A[A-Za-z_-]*(\d+(?:[._]\d+)*(?:[-+.]?[A-Za-z0-9]+)*)\Z")


class _Unreadable(Exception):
    """The data is not of a kind that is known."""


# RuntimeError: nested without end, or a zip that is encrypted or packed in a way that is not known.
_BROKEN = (
    _Unreadable, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile, EOFError,
    zlib.error,
)  # fmt: skip


def gather(wheres: tuple[str, ...], names: frozenset[str], cache: Path, reader: Reader) -> AdvisoriesReport:
    """Reads every feed; what can't be had anew is read as it was fetched last, and its age is told.

    wheres: URLs and paths. names: of the pinned sources; advisories about anything else are dropped.
    """
    feeds: list[Feed] = []
    kept: list[Advisory] = []
    for where in wheres:
        feed, own = _gathered(where, names, cache, reader)
        feeds.append(feed)
        kept += own
    return AdvisoriesReport("pymint/advisories/1", int(time.time()), feeds, kept)


def _gathered(where: str, names: frozenset[str], cache: Path, reader: Reader) -> tuple[Feed, list[Advisory]]:
    problem = ""
    path = Path(where)
    if urlsplit(where).scheme in {"http", "https"}:
        path = cache / hashlib.sha256(where.encode()).hexdigest()
        problem = _fetch(where, path, reader)
        where = redacted(where)  # as everybody reads it
    try:
        fetched = int(path.stat().st_mtime)
    except OSError:
        return Feed(where, problem=problem or "there is nothing at this path"), []
    kept: list[Advisory] = []
    count, newest = 0, ""
    try:
        for advisory in read(path):
            count += 1
            newest = max(newest, advisory.modified or advisory.published)
            about = tuple(one for one in advisory.affected if one.name in names and one.decidable)
            if about:
                kept.append(Advisory(**{**_fields(advisory), "affected": about}))
    except _BROKEN as error:
        problem = f"{problem}; " if problem else ""
        return Feed(where, fetched, 0, "", f"{problem}it can't be read: {type(error).__name__}: {error}"[:300]), []
    return Feed(where, fetched, count, newest, problem), kept


def _fields(advisory: Advisory) -> dict[str, Any]:
    return {name: getattr(advisory, name) for name in Advisory.__dataclass_fields__}


def _fetch(url: str, path: Path, reader: Reader) -> str:
    """Brings the file up to date; "" or why that did not work. A file of earlier stays then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    try:
        reader.tarball(url, temporary, FEED_LIMIT)
        # Before it takes the place of one that can be read.
        if not any(True for _ in read(temporary)):
            raise _Unreadable("it has no advisory")
    except Missed as missed:
        return str(missed)
    except _BROKEN as error:
        temporary.unlink(missing_ok=True)
        return f"what came can't be read ({type(error).__name__}: {error})"[:300]
    temporary.rename(path)
    return ""


def read(path: Path) -> Iterator[Advisory]:
    """All advisories of a file or of the files below a directory. Raises what reading raises, and for unknown kinds."""
    if path.is_dir():
        for one in sorted(path.rglob("*")):
            if one.is_file() and one.suffix in {".json", ".gz", ".zip"}:
                yield from read(one)
        return
    with path.open("rb") as stream:
        magic = stream.read(4)
        stream.seek(0)
        if magic[:2] == b"PK":
            yield from _of_zip(stream)
        elif magic[:2] == b"\x1f\x8b":
            with gzip.open(stream) as unpacked:
                yield from parse(_bounded(unpacked, _NVD_LIMIT))
        else:
            yield from parse(_bounded(stream, _NVD_LIMIT))


def _bounded(stream: IO[bytes] | gzip.GzipFile, limit: int) -> bytes:
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise _Unreadable(f"it unpacks to more than {limit} bytes")
    return bytes(data)


def _of_zip(stream: IO[bytes]) -> Iterator[Advisory]:
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".json"):
                with archive.open(member) as one:
                    yield from parse(_bounded(io.BytesIO(one.read(_ONE_LIMIT + 1)), _ONE_LIMIT))


def parse(data: bytes) -> Iterator[Advisory]:
    """The advisories of one JSON text: an OSV record or a list of them, or an NVD feed (API 2.0)."""
    raw = json.loads(data)
    if isinstance(raw, dict) and isinstance(raw.get("vulnerabilities"), list):
        for entry in raw["vulnerabilities"]:
            yield from _of_nvd(entry["cve"])
        return
    records = raw if isinstance(raw, list) else [raw]
    if not all(isinstance(one, dict) and "id" in one and "modified" in one for one in records):
        raise _Unreadable("it is neither OSV nor an NVD feed")
    for record in records:
        if "withdrawn" not in record:
            yield _of_osv(record)


def _of_osv(record: dict[str, Any]) -> Advisory:
    """https://ossf.github.io/osv-schema/"""
    affected = tuple(one for entry in record.get("affected", []) for one in _osv_affected(entry))
    severity = str((record.get("database_specific") or {}).get("severity") or "")
    identity = str(record["id"])
    return Advisory(
        identity, tuple(map(str, record.get("aliases") or ())), _short(record.get("summary") or record.get("details")),
        severity, str(record.get("published") or "")[:10], str(record["modified"])[:10],
        f"https://osv.dev/vulnerability/{identity}", affected,
    )  # fmt: skip


def _osv_affected(entry: dict[str, Any]) -> Iterator[Affected]:
    package = entry.get("package") or {}
    ranges = entry.get("ranges") or []
    names = set()
    if package.get("ecosystem") in {"PyPI", "Bitnami"}:
        names.add(f"{str(package['ecosystem']).lower()}/{str(package.get('name', '')).lower()}")
    for one in ranges:
        parts = urlsplit(str(one.get("repo") or ""))
        if one.get("type") == "GIT" and parts.hostname == "github.com":
            names.add(f"github/{parts.path.strip('/').removesuffix('.git').lower()}")
    numbered = [found for one in ranges if one.get("type") != "GIT" for found in _osv_ranges(one.get("events") or [])]
    tags = [_TAG.match(str(one)) for one in entry.get("versions") or []]
    versions = tuple(one[1].replace("_", ".") for one in tags if one is not None)
    for name in sorted(names):
        yield Affected(name, tuple(numbered), versions)


def _osv_ranges(events: list[dict[str, Any]]) -> Iterator[Range]:
    introduced: str | None = None
    for event in events:
        if "introduced" in event:
            if introduced is not None:
                yield Range(introduced)
            introduced = str(event["introduced"])
        elif introduced is not None and ("fixed" in event or "last_affected" in event):
            yield Range(introduced, str(event.get("fixed", "")), str(event.get("last_affected", "")))
            introduced = None
    if introduced is not None:
        yield Range(introduced)


def _of_nvd(cve: dict[str, Any]) -> Iterator[Advisory]:
    if cve.get("vulnStatus") == "Rejected":
        return
    affected = [
        one
        for configuration in cve.get("configurations") or []
        for node in configuration.get("nodes") or []
        for match in node.get("cpeMatch") or []
        if match.get("vulnerable")
        for one in _nvd_affected(match)
    ]
    told = [one.get("value") for one in cve.get("descriptions") or [] if one.get("lang") == "en"]
    scores = [one for kind in (cve.get("metrics") or {}).values() for one in kind]
    words = [str((one.get("cvssData") or {}).get("baseSeverity") or one.get("baseSeverity") or "") for one in scores]
    identity = str(cve["id"])
    yield Advisory(
        identity, (), _short(told[0] if told else ""), next((word.lower() for word in words if word), ""),
        str(cve.get("published") or "")[:10], str(cve.get("lastModified") or "")[:10],
        f"https://nvd.nist.gov/vuln/detail/{identity}", tuple(affected),
    )  # fmt: skip


def _nvd_affected(match: dict[str, Any]) -> Iterator[Affected]:
    parts = re.split(r"(?<!\\):", str(match.get("criteria") or ""))
    if len(parts) < 7:
        return
    name, version, update = f"cpe/{parts[3]}/{parts[4]}", parts[5].replace("\\", ""), parts[6]
    if version not in {"*", "-"}:
        # Of a pre-release or a vendor's update of a version, none of which is ever pinned.
        if update in {"*", "-"}:
            yield Affected(name, versions=(version,))
        return
    start = match.get("versionStartIncluding") or match.get("versionStartExcluding") or ""
    yield Affected(name, (Range(
        str(start), str(match.get("versionEndExcluding") or ""), str(match.get("versionEndIncluding") or ""),
        after="versionStartExcluding" in match,
    ),))  # fmt: skip


def _short(text: object) -> str:
    words = " ".join(str(text or "").split())
    return words if len(words) <= 200 else f"{words[:197].rsplit(' ', 1)[0]}…"


def age_in_days(fetched: int, now: int) -> int:
    """Whole days since a feed was fetched."""
    return max(0, (datetime.fromtimestamp(now, UTC) - datetime.fromtimestamp(fetched, UTC)).days)
