"""One fault each, as in validate_faults: the bills of materials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.validate_faults import Change, trips
from tests.unit.validate_samples import Sample

CYCLONEDX, SPDX = ".cdx.json", ".spdx.json"
Document = dict[str, Any]


def component(document: Document, name: str) -> Document:
    """The component, or the package, of a name."""
    found: list[Document] = document.get("components") or document["packages"]
    return next(one for one in found if one["name"] == name)


def changed(ending: str, change: Callable[[Document], object]) -> Change:
    def apply(document: Document) -> Document:
        change(document)
        return document

    return lambda sample: sample.bills.append((ending, apply))


def say(name: str, value: str) -> Callable[[Document], object]:
    """Changes a property of a CycloneDX component."""

    def change(found: Document) -> None:
        next(one for one in found["properties"] if one["name"] == name)["value"] = value

    return change


def of(name: str, change: Callable[[Document], object]) -> Change:
    return changed(CYCLONEDX, lambda document: change(component(document, name)))


@trips("sbom.present")
def there_are_no_bills_of_materials(sample: Sample) -> None:
    sample.bills += [(CYCLONEDX, lambda document: None), (SPDX, lambda document: None)]


@trips("sbom.present")
def there_is_none_in_spdx(sample: Sample) -> None:
    sample.bills.append((SPDX, lambda document: None))


@trips("sbom.format")
def cyclonedx_has_a_field_of_its_own(sample: Sample) -> None:
    changed(CYCLONEDX, lambda document: document.update(fips="yes"))(sample)


@trips("sbom.format")
def cyclonedx_is_something_else(sample: Sample) -> None:
    sample.bills.append((CYCLONEDX, lambda document: ["no bill"]))


@trips("sbom.format")
def spdx_is_of_another_version(sample: Sample) -> None:
    changed(SPDX, lambda document: document.update(spdxVersion="SPDX-2.2"))(sample)


@trips("sbom.format")
def spdx_speaks_of_what_is_not_there(sample: Sample) -> None:
    relation = {"spdxElementId": "SPDXRef-x", "relationshipType": "OTHER", "relatedSpdxElement": "SPDXRef-archive"}
    changed(SPDX, lambda document: document["relationships"].append(relation))(sample)


@trips("sbom.same")
def spdx_has_another_release(sample: Sample) -> None:
    changed(SPDX, lambda document: component(document, "zlib").update(versionInfo="1.2"))(sample)


@trips("sbom.same")
def spdx_is_of_another_archive(sample: Sample) -> None:
    changed(SPDX, lambda document: document.update(name="other"))(sample)


@trips("sbom.complete")
def a_library_has_no_purl(sample: Sample) -> None:
    of("zlib", lambda found: found.pop("purl"))(sample)
    changed(SPDX, lambda document: component(document, "zlib")["externalRefs"].pop(0))(sample)


@trips("sbom.complete")
def a_licence_is_of_nothing_that_is_named(sample: Sample) -> None:
    sample.put("licenses/LICENSE.tcl.txt", "TCL\n")


@trips("sbom.complete")
def a_component_is_where_nothing_is(sample: Sample) -> None:
    path = {"name": "pymint:path", "value": "install/lib/libz.so"}
    of("zlib", lambda found: found["properties"].append(path))(sample)


@trips("sbom.build")
def a_component_is_of_another_release(sample: Sample) -> None:
    of("zlib", lambda found: found.update(version="1.2"))(sample)
    changed(SPDX, lambda document: component(document, "zlib").update(versionInfo="1.2"))(sample)


@trips("sbom.build")
def a_component_is_of_other_bytes(sample: Sample) -> None:
    of("zlib", say("pymint:object-sha256", "0" * 64))(sample)


@trips("sbom.build")
def a_component_is_of_another_source(sample: Sample) -> None:
    def change(found: Document) -> None:
        found["externalReferences"] = []
        found["hashes"][0]["content"] = "0" * 64

    of("zlib", change)(sample)
    changed(SPDX, lambda document: component(document, "zlib")["checksums"][0].update(checksumValue="0" * 64))(sample)


@trips("sbom.build")
def a_component_is_of_no_node(sample: Sample) -> None:
    of("zlib", say("pymint:source", "xz"))(sample)


@trips("sbom.build")
def the_bill_is_of_another_commit(sample: Sample) -> None:
    changed(CYCLONEDX, lambda document: say("pymint:commit", "d" * 40)(document["metadata"]))(sample)


@trips("sbom.build")
def the_bill_is_of_another_time(sample: Sample) -> None:
    changed(CYCLONEDX, lambda document: document["metadata"].update(timestamp="2026-01-01T00:00:00+00:00"))(sample)


@trips("sbom.fips")
def the_module_is_said_to_have_a_certificate(sample: Sample) -> None:
    of("openssl-fips-provider", say("pymint:cmvp-certificate", "4985"))(sample)


@trips("sbom.fips")
def the_module_is_not_told_from_the_library(sample: Sample) -> None:
    of("openssl-fips-provider", say("pymint:node", "openssl"))(sample)


@trips("sbom.fips")
def another_mac_is_said(sample: Sample) -> None:
    of("openssl-fips-provider", say("pymint:module-mac", "00:11"))(sample)
