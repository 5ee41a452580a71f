"""The same bill as an SPDX 2.3 document, for those who read no CycloneDX. Nothing is in it that is not there."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from typing import Any

from cyclonedx.model import ExternalReferenceType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression

from workers.errors import Failure
from workers.sbom.bill import LICENCE_TEXT, LINKAGE, PATH, ROOT

_UNSAID = "NOASSERTION"
_LINKS = {"static": "STATIC_LINK", "shared": "DYNAMIC_LINK"}
_OWN_LICENCE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")


def spdx(bom: Bom) -> bytes:
    """The document, sorted and indented. Raises Failure for a bill without subject, time or serial number."""
    metadata = bom.metadata
    subject = metadata.component
    if subject is None or metadata.timestamp is None or bom.serial_number is None:
        raise Failure("package", "a bill of materials says not what it is of", todo="This is a mistake in pymint.")
    when = metadata.timestamp.strftime("%Y-%m-%dT%H:%M:%SZ")
    tools = [f"Tool: {tool.name}-{tool.version}" for tool in metadata.tools.components]
    annotator = tools[0] if tools else "Tool: pymint"
    components = sorted(bom.components, key=_reference)
    packages = [_package(one, when, annotator) for one in (subject, *components)]
    document: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": subject.name,
        # A number of its own: no address is claimed that nobody serves.
        "documentNamespace": uuid.uuid5(bom.serial_number, "SPDX-2.3").urn,
        "creationInfo": {"created": when, "creators": tools},
        "comment": "\n".join(f"{one.name}={one.value}" for one in metadata.properties),
        "documentDescribes": [_id(ROOT)],
        "packages": packages,
        "relationships": _relationships(bom, components),
    }
    own = _own_licences(components)
    if own:
        document["hasExtractedLicensingInfos"] = own
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def _reference(component: Component) -> str:
    return str(component.bom_ref.value)


def _id(reference: str) -> str:
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", reference)


def _package(component: Component, when: str, annotator: str) -> dict[str, Any]:
    licence = _expression(component)
    references = {one.type: one for one in component.external_references}
    source = references.get(ExternalReferenceType.SOURCE_DISTRIBUTION)
    url = str(source.url) if source is not None else ""
    of_source = source is not None and component.hashes == source.hashes
    package: dict[str, Any] = {
        "SPDXID": _id(_reference(component)),
        "name": component.name,
        "downloadLocation": url if of_source and url.startswith(("https://", "http://")) else _UNSAID,
        "filesAnalyzed": False,
        "licenseConcluded": licence,
        "licenseDeclared": licence,
        "copyrightText": _UNSAID,
        "primaryPackagePurpose": component.type.value.upper(),
    }
    if component.version is not None:
        package["versionInfo"] = component.version
    if component.description is not None:
        package["description"] = component.description
    if source is not None and package["downloadLocation"] == _UNSAID:
        package["sourceInfo"] = f"{source.comment} ({url})" if source.comment is not None else f"made from {url}"
    if component.hashes and not of_source and (path := _property(component, PATH)):
        package["packageFileName"] = path
    if component.hashes:
        package["checksums"] = [{"algorithm": "SHA256", "checksumValue": one.content} for one in component.hashes]
    names = []
    if component.purl is not None:
        names.append(("PACKAGE-MANAGER", "purl", component.purl.to_string()))
    if component.cpe is not None:
        names.append(("SECURITY", "cpe23Type", component.cpe))
    if names:
        package["externalRefs"] = [
            {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}
            for category, kind, locator in names
        ]
    said = [f"{one.name}={one.value}" for one in component.properties]
    if component.pedigree is not None and component.pedigree.notes:
        said.append(component.pedigree.notes)
    if said:
        package["annotations"] = [
            {"annotationDate": when, "annotationType": "OTHER", "annotator": annotator, "comment": one} for one in said
        ]
    return package


def _expression(component: Component) -> str:
    for one in component.licenses:
        if isinstance(one, LicenseExpression):
            return one.value
        if isinstance(one, DisjunctiveLicense) and one.id is not None:
            return one.id
    return _UNSAID


def _relationships(bom: Bom, components: Iterable[Component]) -> list[dict[str, str]]:
    """What depends on what; of libraries besides, how they are linked."""
    linkage = {_reference(one): _property(one, LINKAGE) for one in components}
    found = [("SPDXRef-DOCUMENT", "DESCRIBES", _id(ROOT))]
    for dependency in bom.dependencies:
        above = str(dependency.ref.value)
        for below in sorted(str(one.value) for one in dependency.dependencies_as_bom_refs()):
            kind = "CONTAINS" if above == ROOT else "DEPENDS_ON"
            found.append((_id(above), kind, _id(below)))
            how = _LINKS.get(linkage.get(below, ""))
            if how is not None and above != ROOT:
                found.append((_id(above), how, _id(below)))
    return [
        {"spdxElementId": above, "relationshipType": kind, "relatedSpdxElement": below} for above, kind, below in found
    ]


def _property(component: Component, name: str) -> str:
    return next((str(one.value) for one in component.properties if one.name == name), "")


def _own_licences(components: Iterable[Component]) -> list[dict[str, str]]:
    """Licences that SPDX's list does not have: their texts are in the archive."""
    found: dict[str, list[str]] = {}
    for one in components:
        for name in _OWN_LICENCE.findall(_expression(one)):
            found.setdefault(name, []).append(_property(one, LICENCE_TEXT))
    return [
        {"licenseId": name, "extractedText": f"The text is in the archive: {', '.join(sorted(texts))}"}
        for name, texts in sorted(found.items())
    ]
