"""Checked edits to CPython's source: data in `cpython-unix/edits/`, each found by its context or refused by name.

An edit is a TOML file; its stem is its name. The form is described in `cpython-unix/edits/README.md`.
A patch file would carry line numbers and fuzz; here a change names the exact text that it replaces, which must occur
exactly once, so that a release in which upstream moved or rewrote that place fails before anything is compiled.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from workers.errors import Failure
from workers.model import DATA

EDITS = DATA / "edits"
PATCHLEVEL = "Include/patchlevel.h"


@dataclass(frozen=True)
class Replacement:
    """In `file`, the text `find`, which occurs exactly once, becomes `replace`. since, until: minors, inclusive."""

    file: str
    find: str
    replace: str
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class Addition:
    """The file `origin` beside the edit is added to the source as `file`, which must not exist there yet."""

    file: str
    origin: str
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class _Document:
    """An edit's TOML, as written."""

    reason: str
    since: str | None = None
    until: str | None = None
    freethreaded: bool | None = None
    replace: list[Replacement] = field(default_factory=list)
    add: list[Addition] = field(default_factory=list)


@dataclass(frozen=True)
class Edit:
    """One edit as it applies to one minor version. `added` maps a new file of the source to its content.

    digest: sha256 over the edit's TOML and the files that it adds, in hex.
    """

    name: str
    reason: str
    replacements: tuple[Replacement, ...]
    added: dict[str, bytes]
    digest: str


@dataclass(frozen=True)
class Applied:
    """What an edit did: the files of the source that it changed or added, in order, without repeats."""

    name: str
    reason: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class _Misfit:
    """A replacement or addition that the source has no place for."""

    edit: str
    file: str
    wanted: str
    found: str


def edits_for(minor: str, *, freethreaded: bool = False, directory: Path = EDITS) -> list[Edit]:
    """The edits that apply to a minor version ("3.13"), by name. Raises Failure for an edit that can't be read."""
    found = []
    for path in sorted(directory.glob("*.toml")):
        document = _read(path)
        if not _within(minor, document.since, document.until):
            continue
        if document.freethreaded is not None and document.freethreaded != freethreaded:
            continue
        replacements = tuple(change for change in document.replace if _within(minor, change.since, change.until))
        added = {
            change.file: _content(path, change.origin)
            for change in document.add
            if _within(minor, change.since, change.until)
        }
        if not replacements and not added:
            continue
        digest = hashlib.sha256(path.read_bytes())
        for name, content in sorted(added.items()):
            digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
        found.append(Edit(path.stem, document.reason, replacements, added, digest.hexdigest()))
    return found


def edit_digest_inputs(minor: str, *, freethreaded: bool = False, directory: Path = EDITS) -> dict[str, str]:
    """What a node's key holds of its edits: name → digest of each that applies."""
    return {edit.name: edit.digest for edit in edits_for(minor, freethreaded=freethreaded, directory=directory)}


def apply_edits(source: Path, minor: str, *, freethreaded: bool = False, directory: Path = EDITS) -> list[Applied]:
    """Applies the edits of a minor version to an unpacked source; says what each did.

    Either all edits fit and are written, or none is: everything is checked in memory first. A changed file keeps its
    modification time and mode, an added one gets the time of `Include/patchlevel.h`, so that the tree depends on
    nothing but the source and the edits. Raises Failure that names each edit, file and context without a place.
    """
    overlay: dict[str, bytes] = {}
    misfits: list[_Misfit] = []
    applied = []
    for edit in edits_for(minor, freethreaded=freethreaded, directory=directory):
        misfits.extend(_apply_in_memory(source, edit, overlay))
        files = [change.file for change in edit.replacements] + list(edit.added)
        applied.append(Applied(edit.name, edit.reason, tuple(dict.fromkeys(files))))
    if misfits:
        raise _failure(source, minor, misfits)
    for name, content in overlay.items():
        _write(source, name, content)
    return applied


def _apply_in_memory(source: Path, edit: Edit, overlay: dict[str, bytes]) -> Iterator[_Misfit]:
    for change in edit.replacements:
        before = overlay.get(change.file)
        if before is None:
            try:
                before = (source / change.file).read_bytes()
            except OSError as error:
                yield _Misfit(edit.name, change.file, change.find, f"no such file ({error.strerror})")
                continue
        wanted = change.find.encode()
        count = before.count(wanted)
        if count != 1:
            yield _Misfit(
                edit.name, change.file, change.find, _what_is_there(before.decode("utf-8", "replace"), change)
            )
            continue
        overlay[change.file] = before.replace(wanted, change.replace.encode())
    for name, content in edit.added.items():
        if name in overlay or (source / name).exists():
            yield _Misfit(edit.name, name, "no file of that name, since the edit adds it", "the source has one")
            continue
        overlay[name] = content


def _what_is_there(text: str, change: Replacement) -> str:
    """How often the context occurs; when it does not, the lines that look like its first ones, with their numbers."""
    count = text.count(change.find)
    if count > 1:
        return f"{count} times, where exactly one was wanted"
    for wanted in filter(None, (line.strip() for line in change.find.splitlines())):
        near = [f"line {number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if wanted in line]
        if near:
            return "not there; the nearest is " + "; ".join(near[:3])
    return "not there, nor any of its lines"


def _failure(source: Path, minor: str, misfits: list[_Misfit]) -> Failure:
    first = misfits[0]
    others = [f"Also: edit {misfit.edit}, {misfit.file}: {misfit.found}." for misfit in misfits[1:]]
    return Failure(
        "edits",
        f"edit {first.edit!r} does not fit {first.file} of CPython {_release(source) or minor}; nothing was changed",
        wanted="\n          ".join(first.wanted.splitlines()),
        found=first.found,
        todo="\n".join(
            [
                *others,
                f"See what upstream changed there, and give cpython-unix/edits/{first.edit}.toml a context for it",
                "(with since/until where versions differ).",
            ]
        ),
    )


def _release(source: Path) -> str | None:
    """The release of an unpacked source ("3.13.15"), where it says so."""
    try:
        lines = (source / PATCHLEVEL).read_text().splitlines()
    except OSError:
        return None
    return next((line.split('"')[1] for line in lines if line.startswith("#define PY_VERSION ")), None)


def _write(source: Path, name: str, content: bytes) -> None:
    path = source / name
    like = path if path.exists() else source / PATCHLEVEL
    before = like.stat() if like.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.edited")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    if before is not None:
        temporary.chmod(before.st_mode & 0o777)
        os.utime(temporary, ns=(before.st_mtime_ns, before.st_mtime_ns))
    temporary.rename(path)


def _read(path: Path) -> _Document:
    try:
        document = msgspec.convert(tomllib.loads(path.read_text()), _Document)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Failure(
            "edits", f"edit {path.stem!r} can't be read", found=str(error), todo=f"Mend {path.name}; README.md there."
        ) from error
    for name in [change.file for change in document.replace] + [change.file for change in document.add]:
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
            raise Failure(
                "edits",
                f"edit {path.stem!r} names a file outside of the source",
                found=name,
                todo=f"Mend {path.name}: paths are relative to the unpacked source.",
            )
    for change in document.replace:
        if not change.find.strip() or change.find == change.replace:
            raise Failure(
                "edits",
                f"edit {path.stem!r} changes nothing in {change.file}",
                wanted="a context, and a different text for it",
                found=repr(change.find[:80]),
                todo=f"Mend {path.name}.",
            )
    return document


def _content(edit: Path, origin: str) -> bytes:
    try:
        return (edit.parent / origin).read_bytes()
    except OSError as error:
        raise Failure(
            "edits",
            f"edit {edit.stem!r} adds {origin}, which can't be read",
            found=str(error),
            todo=f"It belongs beside {edit.name}.",
        ) from error


def _within(minor: str, since: str | None, until: str | None) -> bool:
    number = _number(minor)
    return (since is None or number >= _number(since)) and (until is None or number <= _number(until))


def _number(minor: str) -> tuple[int, ...]:
    return tuple(int(part) for part in minor.split("."))
