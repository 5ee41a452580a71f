"""The pins of `cpython-unix/sources.toml`: which bytes a source is, and where they can come from."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from workers.errors import Failure, unknown_name
from workers.model import DATA


@dataclass(frozen=True)
class Distro:
    """The distribution's source package of the same release. `version` and `suite` are of the day the pin was made.

    A `file` that ends with .deb is of the package itself, which then holds headers or data only, the same on every
    processor. sha256, size (bytes): of the distribution's file where it repacked the tarball; None where it is
    upstream's own.
    """

    package: str
    version: str
    suite: str
    file: str
    sha256: str | None = None
    size: int | None = None

    @property
    def is_built(self) -> bool:
        return self.file.endswith(".deb")


@dataclass(frozen=True)
class Wheel:
    """A file of the Python package index: what to ask its client for, for which platform tag, and the file's name."""

    requirement: str
    platform: str
    file: str


@dataclass(frozen=True)
class PinnedFile:
    """One file that a release comes in: the names that origins have for it, and what to check.

    size: bytes, None: not known. repacked: the distribution made it anew from upstream's.
    """

    names: tuple[str, ...]
    sha256: str
    size: int | None
    repacked: bool


@dataclass(frozen=True)
class Pin:
    """A release of a source. `size` is in bytes, None where nobody could measure it: then the sha256 alone is checked.

    sha256 and size are those of the file at `urls`, or where there are none, of the one file that its only origin has.
    released: the newest time in the tarball, as a day (2026-06-08); "" where nobody has looked.
    """

    source: str
    version: str
    urls: tuple[str, ...]
    sha256: str
    size: int | None
    licences: tuple[str, ...]
    licence_files: tuple[str, ...]
    cpe: str | None
    purl: str | None
    distro: Distro | None
    pypi: Wheel | None
    released: str = ""

    @cached_property
    def files(self) -> tuple[PinnedFile, ...]:
        """The files that will do, the pinned one first, the distribution's repacked one after it."""
        distro, repacked = self.distro, self.distro is not None and self.distro.sha256 not in {None, self.sha256}
        names = [PurePosixPath(unquote(urlsplit(url).path)).name for url in self.urls]
        if distro is not None and not repacked:
            names.append(distro.file)
        if self.pypi is not None:
            names.append(self.pypi.file)
        own = PinnedFile(tuple(dict.fromkeys(names)), self.sha256, self.size, repacked=False)
        if distro is None or distro.sha256 is None or not repacked:
            return (own,)
        return own, PinnedFile((distro.file,), distro.sha256, distro.size, repacked=True)

    def file_of(self, sha256: str) -> PinnedFile | None:
        """The file of this digest, or None when the pin has no such file."""
        return next((file for file in self.files if file.sha256 == sha256), None)


class _Release(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    sha256: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    released: str = ""
    distro: Distro | None = None
    pypi: Wheel | None = None
    licences: tuple[str, ...] | None = None
    licence_files: tuple[str, ...] | None = None
    cpe: str | None = None
    purl: str | None = None


class _Source(msgspec.Struct, forbid_unknown_fields=True, rename={"otherwise": "else"}):
    licences: tuple[str, ...]
    licence_files: tuple[str, ...]
    pins: tuple[_Release, ...]
    cpe: str | None = None
    purl: str | None = None
    otherwise: str | None = None


class Pins(dict[str, tuple[Pin, ...]]):
    """The releases of each source, the preferred one first. A name that is none is answered with those that are."""

    def __missing__(self, name: str) -> tuple[Pin, ...]:
        raise unknown_name("sources", "source", name, sorted(self))


def load_pins(path: Path = DATA / "sources.toml") -> Mapping[str, tuple[Pin, ...]]:
    """Reads the pins. Raises Failure, which names table and key, when the file can't be read or is inconsistent."""
    try:
        return parse_pins(path.read_text(), path)
    except OSError as error:
        raise _bad(path, "", str(error)) from error


def parse_pins(text: str, path: Path = DATA / "sources.toml") -> Mapping[str, tuple[Pin, ...]]:
    """The same from the file's text. path: what the Failure calls it."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _bad(path, "", str(error)) from error
    sources = {name: _source(path, name, table) for name, table in raw.items()}
    own = {name: tuple(_pins_of(path, name, name, source)) for name, source in sources.items()}
    pins = Pins(own)
    for name, source in sources.items():
        if source.otherwise is None:
            continue
        if source.otherwise not in sources:
            raise _bad(path, f"[{name}] else", f"there is no source {source.otherwise!r}; known: {', '.join(sources)}")
        taken = {pin.version for pin in own[name]}
        other = _pins_of(path, source.otherwise, name, sources[source.otherwise])
        pins[name] = own[name] + tuple(pin for pin in other if pin.version not in taken)
    return pins


def pin_of(pins: Mapping[str, tuple[Pin, ...]], source: str, sha256: str) -> tuple[Pin, PinnedFile]:
    """The pin of `source` one of whose files has this digest. Raises Failure when sources.toml has none (any more)."""
    for pin in pins[source]:
        file = pin.file_of(sha256)
        if file is not None:
            return pin, file
    raise Failure(
        "sources",
        f"no pin of {source} has the planned digest",
        wanted=f"sha256 {sha256}",
        found=", ".join(f"{pin.version}: {file.sha256}" for pin in pins[source] for file in pin.files),
        todo="sources.toml changed after the build was planned. Run `plan` again.",
    )


def _bad(path: Path, where: str, found: str) -> Failure:
    return Failure("sources", f"{path.name}: {where or 'the file'} can't be read", found=found, todo=f"Mend {path}.")


def _source(path: Path, name: str, table: Any) -> _Source:
    try:
        source = msgspec.convert(table, _Source)
    except msgspec.ValidationError as error:
        raise _bad(path, f"[{name}]", str(error)) from error
    if not source.pins:
        raise _bad(path, f"[{name}] pins", "no release is pinned")
    seen = set[str]()
    for release in source.pins:
        problem = _problem(release, seen)
        if problem is not None:
            raise _bad(path, f"[{name}] {release.version}", problem)
        seen.add(release.version)
    return source


def _problem(release: _Release, seen: set[str]) -> str | None:
    """What is wrong with a release beyond the types of its fields, or None."""
    if release.version in seen:
        return "the release is pinned twice"
    distro = release.distro
    for key, digest in (("sha256", release.sha256), ("distro.sha256", distro.sha256 if distro else None)):
        if digest is not None and (len(digest) != 64 or not set(digest) <= set("0123456789abcdef")):
            return f"{key}: {digest!r} is not a sha256 in 64 lower-case hex digits"
    for key, size in (("size", release.size), ("distro.size", distro.size if distro else None)):
        if size is not None and size <= 0:
            return f"{key}: {size} is not a number of bytes"
    if release.released and not _is_day(release.released):
        return f"released: {release.released!r} is no day, such as 2026-06-08"
    for url in release.urls:
        if urlsplit(url).scheme not in {"https", "http"} or not PurePosixPath(urlsplit(url).path).name:
            return f"urls: {url!r} is not the URL of a file"
    if not (release.urls or distro or release.pypi):
        return "no origin: it needs urls, distro or pypi"
    if not release.urls and distro is not None and distro.sha256 is not None:
        return "distro.sha256 is for repacked tarballs beside upstream's own; without urls it belongs into sha256"
    return None


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _pins_of(path: Path, table: str, source: str, rows: _Source) -> Iterator[Pin]:
    """The releases of the table `table` as pins of `source`."""
    for row in rows.pins:
        try:
            cpe = _filled(row.cpe or rows.cpe, _cpe_version(row.version))
            purl = _filled(row.purl or rows.purl, row.version.replace("+", "%2B"))
        except (KeyError, IndexError, ValueError) as error:
            raise _bad(path, f"[{table}] cpe or purl", f"only {{version}} is filled in; {error!r}") from error
        yield Pin(
            source=source,
            version=row.version,
            urls=row.urls,
            sha256=row.sha256,
            size=row.size,
            licences=rows.licences if row.licences is None else row.licences,
            licence_files=rows.licence_files if row.licence_files is None else row.licence_files,
            cpe=cpe,
            purl=purl,
            distro=row.distro,
            pypi=row.pypi,
            released=row.released,
        )


def _cpe_version(version: str) -> str:
    """A CPE's formatted string quotes punctuation but '.', '-' and '_' with a backslash (NISTIR 7695, 6.2)."""
    return "".join(c if c.isalnum() or c in ".-_" else f"\\{c}" for c in version)


def _filled(template: str | None, version: str) -> str | None:
    return None if template is None else template.format(version=version)
