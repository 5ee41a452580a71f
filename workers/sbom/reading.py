"""Reads bills of materials back as those do who get them: without the materials that they were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec


@dataclass(frozen=True)
class Item:
    """A component. sha256: its own. digests: these and its source's. properties: every value of each name."""

    reference: str
    name: str
    version: str
    purl: str
    cpe: str
    sha256: frozenset[str]
    digests: frozenset[str]
    properties: Mapping[str, tuple[str, ...]]

    def said(self, name: str) -> str:
        """The first value of a property, "" where there is none."""
        return next(iter(self.properties.get(name, ())), "")

    @property
    def identity(self) -> tuple[str, str, str, str, frozenset[str]]:
        """What both kinds of document have to say in the same way."""
        return self.name, self.version, self.purl, self.cpe, self.sha256


@dataclass(frozen=True)
class Read:
    """A CycloneDX document. time: as it stands there. properties: of the whole."""

    path: str
    subject: str
    time: str
    properties: Mapping[str, tuple[str, ...]]
    items: tuple[Item, ...]

    def said(self, name: str) -> str:
        return next(iter(self.properties.get(name, ())), "")


def read_cyclonedx(path: str, text: str) -> Read:
    """Raises KeyError, TypeError, AttributeError or ValueError for what is none, which its schema tells better."""
    found = json.loads(text)
    metadata = found["metadata"]
    return Read(
        path=path,
        subject=metadata["component"]["name"],
        time=metadata["timestamp"],
        properties=_properties(metadata),
        items=tuple(_item(component) for component in found["components"]),
    )


def _properties(holder: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for one in holder.get("properties", []):
        found[one["name"]] = (*found.get(one["name"], ()), one["value"])
    return found


def _item(component: Mapping[str, Any]) -> Item:
    own = _sha256(component)
    references = [_sha256(one) for one in component.get("externalReferences", [])]
    return Item(
        reference=component["bom-ref"],
        name=component["name"],
        version=component.get("version", ""),
        purl=component.get("purl", ""),
        cpe=component.get("cpe", ""),
        sha256=own,
        digests=own.union(*references),
        properties=_properties(component),
    )


def _sha256(holder: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(one["content"] for one in holder.get("hashes", []) if one["alg"] == "SHA-256")


class _Reference(msgspec.Struct):
    referenceCategory: str
    referenceType: str
    referenceLocator: str


class _Checksum(msgspec.Struct):
    algorithm: str
    checksumValue: str


class _Package(msgspec.Struct):
    SPDXID: str
    name: str
    downloadLocation: str
    filesAnalyzed: Literal[False]
    licenseConcluded: str
    licenseDeclared: str
    copyrightText: str
    versionInfo: str = ""
    checksums: list[_Checksum] = []
    externalRefs: list[_Reference] = []


class _Relationship(msgspec.Struct):
    spdxElementId: str
    relationshipType: str
    relatedSpdxElement: str


class _Creation(msgspec.Struct):
    created: str
    creators: list[str]


class Spdx(msgspec.Struct):
    """An SPDX 2.3 document: what the standard wants of one without files, and what is compared."""

    spdxVersion: Literal["SPDX-2.3"]
    dataLicense: Literal["CC0-1.0"]
    SPDXID: Literal["SPDXRef-DOCUMENT"]
    name: str
    documentNamespace: str
    creationInfo: _Creation
    documentDescribes: list[str]
    packages: list[_Package]
    relationships: list[_Relationship]

    def dangling(self) -> list[str]:
        """What relationships name and is not there."""
        known = {self.SPDXID, *(package.SPDXID for package in self.packages)}
        named = {end for one in self.relationships for end in (one.spdxElementId, one.relatedSpdxElement)}
        return sorted((named | set(self.documentDescribes)) - known)

    def identities(self) -> set[tuple[str, str, str, str, frozenset[str]]]:
        """As `Item.identity`, of all packages but the archive itself."""
        return {_identity(package) for package in self.packages if package.SPDXID not in self.documentDescribes}


def _identity(package: _Package) -> tuple[str, str, str, str, frozenset[str]]:
    names = {one.referenceType: one.referenceLocator for one in package.externalRefs}
    digests = frozenset(one.checksumValue for one in package.checksums if one.algorithm == "SHA256")
    return package.name, package.versionInfo, names.get("purl", ""), names.get("cpe23Type", ""), digests


def read_spdx(text: str) -> Spdx:
    """Raises msgspec.ValidationError or msgspec.DecodeError for what is none."""
    return msgspec.json.decode(text, type=Spdx)
