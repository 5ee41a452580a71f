"""Bills of materials: what is in them is what went in, both forms are what their standards want, and twice the same."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.unit.sbom_samples import FACTS, LIBB2, PIP, PLAN, chosen, fips, materials, with_pin
from workers.errors import Failure
from workers.reports.build import ProviderFacts
from workers.sbom.bill import Materials, bill
from workers.sbom.documents import Documents, documents, find_in, for_flavour, stem_of
from workers.sbom.reading import read_cyclonedx, read_spdx
from workers.tarball import extract, write_tar

INSTALL_ONLY = PLAN.archive_name.replace("-noopt-", "-noopt-install_only-").replace(".zst", ".gz")


def made(given: Materials | None = None) -> Documents:
    return documents(bill(given or materials()))


def cyclonedx(given: Materials | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made(given).cyclonedx)
    return found


def components(given: Materials | None = None) -> dict[str, dict[str, Any]]:
    return {one["bom-ref"]: one for one in cyclonedx(given)["components"]}


def said(component: dict[str, Any]) -> dict[str, str]:
    return {one["name"].removeprefix("pymint:"): one["value"] for one in component.get("properties", [])}


def of_source(source: str, given: Materials | None = None) -> dict[str, Any]:
    (found,) = (one for one in components(given).values() if said(one).get("source") == source)
    return found


def standard_complaints(both: Documents) -> list[str]:
    """What CycloneDX's strict schema and the SPDX project's own checker have against the documents."""
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(both.cyclonedx.decode())
    with tempfile.NamedTemporaryFile(suffix=".spdx.json") as file:
        file.write(both.spdx)
        file.flush()
        found = validate_full_spdx_document(parse_file(file.name))
    return [str(error)] * (error is not None) + [one.validation_message for one in found]


@pytest.mark.parametrize(
    "given",
    [
        materials(),
        replace(materials(), vendored=None, bundled=[]),
        with_pin("xz", "5.4.1"),
        replace(materials(), fips=fips(ProviderFacts("3.1.2", "policy", "4985", "2.31"))),
    ],
    ids=["all", "no-list", "public-domain", "certificate"],
)
def test_both_documents_are_what_their_standards_want(given: Materials) -> None:
    full = made(given)
    assert standard_complaints(full) == []
    assert standard_complaints(for_flavour(full.cyclonedx, INSTALL_ONLY, "install_only")) == []


def test_a_licence_that_spdx_does_not_list_is_defined_in_the_document() -> None:
    given = with_pin("xz", "5.4.1")
    zlib = next(part for part in given.parts if part.node.name == "zlib")
    xz = replace(zlib, node=replace(zlib.node, name="xz", sources=["xz"]))
    both = made(replace(given, parts=[xz, *given.parts]))
    assert standard_complaints(both) == []
    assert "licenses/LICENSE.xz.txt" in json.loads(both.spdx)["hasExtractedLicensingInfos"][0]["extractedText"]


def test_the_same_materials_give_the_same_bytes_and_others_another_number() -> None:
    assert made() == made()
    other = replace(materials(), plan=replace(PLAN, archive_key="b" * 64))
    assert cyclonedx()["serialNumber"] != cyclonedx(other)["serialNumber"]
    assert json.loads(made().spdx)["documentNamespace"] != json.loads(made(other).spdx)["documentNamespace"]


def test_the_documents_are_of_the_commit_and_its_time() -> None:
    metadata = cyclonedx()["metadata"]
    assert metadata["timestamp"] == "2026-09-21T14:13:20+00:00"
    assert metadata["component"]["name"] == PLAN.archive_name.removesuffix(".tar.zst")
    assert said(metadata)["commit"] == PLAN.commit
    assert json.loads(made().spdx)["creationInfo"]["created"] == "2026-09-21T14:13:20Z"


def test_every_source_of_what_went_in_is_a_component_and_no_other() -> None:
    assert {said(one).get("source") for one in components().values()} - {None} == {pin.source for pin in PLAN.pins}
    others = {name for name, one in components().items() if "source" not in said(one)}
    assert others == {"compiler-rt@22.1.8", "vendored:libb2@0.98.1", "ensurepip:pip@26.2.1"}


def test_a_library_has_all_that_scanners_ask_for() -> None:
    pin, file = chosen("ncurses")
    found = of_source("ncurses")
    assert found["version"] == pin.version == "6.6+20260608"
    assert found["purl"] == (
        f"pkg:generic/ncurses@6.6%2B20260608?checksum=sha256:{file.sha256}&download_url={pin.urls[0]}"
    )
    assert found["cpe"] == pin.cpe
    assert found["hashes"] == [{"alg": "SHA-256", "content": file.sha256}]
    assert found["licenses"] == [{"license": {"id": "X11-distribute-modifications-variant"}}]
    assert found["externalReferences"][0]["url"] == pin.urls[0]
    assert said(found)["linkage"] == "static"
    assert said(found)["licence-text"] == "licenses/LICENSE.ncurses.txt"


def test_a_repository_is_a_reference_and_not_the_name() -> None:
    found = of_source("zlib")
    assert found["purl"].startswith("pkg:generic/zlib@1.3.1?")
    vcs = [one for one in found["externalReferences"] if one["type"] == "vcs"]
    assert vcs == [{"type": "vcs", "url": "https://github.com/madler/zlib", "comment": "tag v1.3.1"}]


def test_what_only_the_distribution_has_has_no_address_but_its_package() -> None:
    found = of_source("zlib", with_pin("zlib", "1.3.2"))
    assert "download_url" not in found["purl"]
    (source,) = (one for one in found["externalReferences"] if one["type"] == "source-distribution")
    assert source["url"].startswith("pkg:deb/debian/zlib@")
    assert "repacked by the distribution" in source["comment"]
    assert source["hashes"][0]["content"] == found["hashes"][0]["content"]


def test_cpython_says_what_was_changed_and_what_of_its_list_is_left_out() -> None:
    found = of_source("cpython-3.13")
    assert f"fips-switch (sha256 {'7' * 64})" in found["pedigree"]["notes"]
    assert said(found)["vendored"].endswith("without expat: a library of its own is linked")
    assert "linkage" not in said(found)


def test_a_release_without_a_list_of_its_own_says_that_nothing_is_known() -> None:
    found = of_source("cpython-3.13", replace(materials(), vendored=None, left_out={}))
    assert said(found)["vendored"].startswith("unknown: CPython ")


def test_the_fips_module_is_a_component_of_its_own_by_its_own_bytes() -> None:
    found = of_source("openssl-fips")
    assert (found["name"], found["version"]) == ("openssl-fips-provider", "3.5.7")
    assert found["hashes"][0]["content"] == fips().provider_sha256
    facts = said(found)
    assert (facts["cmvp-certificate"], facts["procedure"], facts["module-mac"]) == ("none", "toolchain", "AB:CD")
    assert facts["path"] == fips().module
    assert "not CMVP-validated" in found["description"]


def test_of_a_certificate_is_spoken_only_where_there_is_one() -> None:
    found = of_source("openssl-fips", replace(materials(), fips=fips(ProviderFacts("3.1.2", "policy", "4985", "2.31"))))
    assert said(found)["cmvp-certificate"] == "4985"
    assert "CMVP-validated module of certificate 4985" in found["description"]
    for one in components().values():
        assert "validated" not in json.dumps(one).replace("not CMVP-validated", ""), one["name"]


def test_the_compilers_library_has_the_files_that_are_linked() -> None:
    found = components()["compiler-rt@22.1.8"]["properties"]
    files = [one["value"] for one in found if one["name"] == "pymint:linked-file"]
    assert files == [
        f"clang_rt.crtbegin-x86_64.o sha256:{'2' * 64}",
        f"libclang_rt.builtins-x86_64.a sha256:{'3' * 64}",
    ]
    bare = replace(materials(), plan=replace(PLAN, toolchain={"clang": "1" * 64}))
    assert not [name for name in components(bare) if name.startswith("compiler-rt")]


def test_wheels_of_a_cpython_node_are_python_packages() -> None:
    given = materials()
    cpython = given.parts[-1]
    more = replace(cpython, node=replace(cpython.node, sources=["cpython-3.13", "sqlite"]))
    found = of_source(
        "sqlite", replace(given, pins={**given.pins, "sqlite": chosen("sqlite")}, parts=[*given.parts[:-1], more])
    )
    assert said(found)["linkage"] == "python package"


def test_dependencies_are_the_nodes_needs() -> None:
    found = {one["ref"]: set(one.get("dependsOn", [])) for one in cyclonedx()["dependencies"]}
    name = {source: of_source(source)["bom-ref"] for source in (pin.source for pin in PLAN.pins)}
    assert found["archive"] == {name["cpython-3.13"], name["openssl-fips"]}
    assert found[name["libedit"]] == {name["ncurses"], name["ziglang"]}
    linked = {name[source] for source in ("ziglang", "zlib", "ncurses", "libedit")}
    inside = {"compiler-rt@22.1.8", f"vendored:{LIBB2.name}@{LIBB2.version}", f"ensurepip:{PIP.name}@{PIP.version}"}
    assert found[name["cpython-3.13"]] == linked | inside


def test_spdx_says_how_a_library_is_linked() -> None:
    found = json.loads(made().spdx)["relationships"]
    kinds = {
        one["relationshipType"]
        for one in found
        if one["spdxElementId"].startswith("SPDXRef-cpython")
        and one["relatedSpdxElement"].startswith("SPDXRef-libedit")
    }
    assert kinds == {"DEPENDS_ON", "DYNAMIC_LINK"}


def test_both_documents_name_the_same() -> None:
    both = made()
    items = read_cyclonedx("a.cdx.json", both.cyclonedx.decode()).items
    assert {item.identity for item in items} == read_spdx(both.spdx.decode()).identities()
    assert read_spdx(both.spdx.decode()).dangling() == []


def test_the_checksum_of_a_file_in_the_archive_is_not_that_of_its_source() -> None:
    packages = {one["name"]: one for one in json.loads(made().spdx)["packages"]}
    module = packages["openssl-fips-provider"]
    assert module["packageFileName"] == fips().module
    assert module["downloadLocation"] == "NOASSERTION"
    assert "openssl-3.5.7.tar.gz" in module["sourceInfo"]
    assert packages["ncurses"]["downloadLocation"].startswith("https://")
    assert "packageFileName" not in packages["ncurses"]


def test_a_smaller_flavour_differs_in_its_name_number_and_places_only() -> None:
    full = made()
    found = json.loads(for_flavour(full.cyclonedx, INSTALL_ONLY, "install_only").cyclonedx)
    assert found["metadata"]["component"]["name"] == INSTALL_ONLY.removesuffix(".tar.gz")
    assert said(found["metadata"])["flavour"] == "install_only"
    places = {one["name"]: said(one) for one in found["components"]}
    assert places["zlib"]["licence-text"] == "share/licenses/LICENSE.zlib.txt"
    assert places["openssl-fips-provider"]["path"] == "share/ssl/ossl-modules/fips.so"
    assert places["libedit"]["path"] == "lib/libedit.so"
    plain = json.loads(full.cyclonedx)
    assert found["serialNumber"] != plain["serialNumber"]
    for one in (*found["components"], *plain["components"]):
        one["properties"] = [p for p in one["properties"] if p["name"] not in ("pymint:path", "pymint:licence-text")]
    assert found["components"] == plain["components"]
    assert found["dependencies"] == plain["dependencies"]


def test_the_full_archives_document_is_found_in_its_tree(tmp_path: Path) -> None:
    entries = made().entries(stem_of("3.13", "t"), "python/install/")
    write_tar(tmp_path / "a.tar", entries, epoch=0)
    extract(tmp_path / "a.tar", tmp_path)
    assert find_in(tmp_path / "python/install") == ("cpython-3.13t", made().cyclonedx)
    (tmp_path / "python/install/share/sbom/cpython-3.13t.cdx.json").unlink()
    with pytest.raises(Failure, match="no bill of materials"):
        find_in(tmp_path / "python/install")


def test_facts_of_the_sample_are_of_the_release_that_is_pinned() -> None:
    assert chosen("openssl-fips")[0].version == FACTS.provider_version
