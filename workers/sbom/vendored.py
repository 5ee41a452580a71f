"""What CPython's source carries of other projects', by the list that it brings of it: Misc/sbom.spdx.json, SPDX 2.3.

The list is of the source, not of what is built from it: some of it is replaced by libraries of our own, some is of
modules that are not built. Taken is what the archive has files or objects of.
"""

from __future__ import annotations

import email
import re
import tarfile
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

import msgspec

from workers.errors import Failure

LIST = "Misc/sbom.spdx.json"
_BUNDLED = re.compile(r"/ensurepip/_bundled/(?P<name>[^/-]+)-(?P<version>[^/-]+)-[^/]+\.whl$")
# Folders whose objects are CPython's own.
_OWN = frozenset({"Modules", "Objects", "Parser", "Programs", "Python"})


@dataclass(frozen=True)
class Vendored:
    """A project in CPython's source, in the words of CPython's list. files: its own, as paths in the source."""

    name: str
    version: str
    url: str | None
    sha256: str | None
    cpe: str | None
    purl: str | None
    files: tuple[str, ...]


@dataclass(frozen=True)
class Bundled:
    """A wheel in the tree, for ensurepip. path: in the archive's `python/`. licence: as it says itself, else None."""

    name: str
    version: str
    path: str
    sha256: str
    licence: str | None


class _Reference(msgspec.Struct):
    referenceType: str
    referenceLocator: str


class _Checksum(msgspec.Struct):
    algorithm: str
    checksumValue: str


class _Package(msgspec.Struct):
    SPDXID: str
    name: str
    versionInfo: str
    downloadLocation: str = "NOASSERTION"
    checksums: list[_Checksum] = []
    externalRefs: list[_Reference] = []


class _File(msgspec.Struct):
    SPDXID: str
    fileName: str


class _Relationship(msgspec.Struct):
    spdxElementId: str
    relationshipType: str
    relatedSpdxElement: str


class _List(msgspec.Struct):
    files: list[_File]
    packages: list[_Package]
    relationships: list[_Relationship]


def read_list(source: Path) -> list[Vendored] | None:
    """The list in a tarball of CPython's; None when it has none, as before 3.12. Raises Failure when it is another's.

    The tarball is read up to the list, a second of CPU.
    """
    with tarfile.open(source, "r|*") as tar:
        for member in tar:
            if member.name.partition("/")[2] == LIST:
                stream = tar.extractfile(member)
                return parse_list(stream.read() if stream is not None else b"")
    return None


def parse_list(text: bytes) -> list[Vendored]:
    """The projects that a list names. Raises Failure when it is no such list."""
    try:
        found = msgspec.json.decode(text, type=_List)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Failure(
            "package",
            f"CPython's {LIST} is not what it was in other releases",
            wanted="SPDX 2.3 with files, packages and relationships",
            found=str(error),
            todo="See what changed upstream, and mend workers/sbom/vendored.py.",
        ) from error
    names = {file.SPDXID: file.fileName for file in found.files}
    files: dict[str, list[str]] = {package.SPDXID: [] for package in found.packages}
    for relation in found.relationships:
        if relation.relationshipType == "CONTAINS" and relation.spdxElementId in files:
            files[relation.spdxElementId].append(names[relation.relatedSpdxElement])
    return [_vendored(package, tuple(files[package.SPDXID])) for package in found.packages]


def _vendored(package: _Package, files: tuple[str, ...]) -> Vendored:
    references = {one.referenceType: one.referenceLocator for one in package.externalRefs}
    digests = {one.algorithm: one.checksumValue for one in package.checksums}
    return Vendored(
        name=package.name,
        version=package.versionInfo,
        url=package.downloadLocation if "://" in package.downloadLocation else None,
        sha256=digests.get("SHA256"),
        cpe=references.get("cpe23Type"),
        purl=references.get("purl"),
        files=files,
    )


def shipped(
    listed: Iterable[Vendored], paths: Collection[str], stdlib: str, linked: Collection[str]
) -> tuple[list[Vendored], dict[str, str]]:
    """Those of the list that the archive has, and the others by name, with the reason.

    paths: of the archive, below `python/`. stdlib: `install/lib/python3.13`. linked: names of the libraries that
    CPython was linked with in place of its own copies.
    """
    have = frozenset(paths)
    folders = frozenset(str(PurePosixPath(path).parent) for path in have if path.endswith(".o"))
    kept, left = [], {}
    for one in listed:
        if one.name in linked:
            left[one.name] = "a library of its own is linked"
        elif any(_is_there(file, have, folders, stdlib) for file in one.files):
            kept.append(one)
        else:
            left[one.name] = "of a module that is not built"
    return kept, left


def _is_there(file: str, have: frozenset[str], folders: frozenset[str], stdlib: str) -> bool:
    """Whether a file of the source is in the archive: a module of the library, or a part of an object.

    A project has a folder below the module's own, whose objects may be made of it by #include; so both count.
    """
    path = PurePosixPath(file)
    if path.parts[0] == "Lib":
        return f"{stdlib}/{path.relative_to('Lib')}" in have
    near = [folder for folder in (path.parent, path.parent.parent) if folder.parts and str(folder) not in _OWN]
    return any(f"build/{folder}" in folders for folder in near)


def bundled(files: Mapping[str, Path]) -> list[Bundled]:
    """The wheels that ensurepip has, from the archive's files by path."""
    found = []
    for path, source in sorted(files.items()):
        match = _BUNDLED.search(path)
        if match is not None:
            digest = sha256(source.read_bytes()).hexdigest()
            found.append(Bundled(match["name"], match["version"], path, digest, _licence(source)))
    return found


def _licence(wheel: Path) -> str | None:
    """`License-Expression` of a wheel's metadata (PEP 639)."""
    try:
        with zipfile.ZipFile(wheel) as opened:
            name = next(name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
            return email.message_from_bytes(opened.read(name)).get("License-Expression")
    except (zipfile.BadZipFile, StopIteration):
        return None
