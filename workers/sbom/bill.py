"""The bill of materials of a full archive, as a CycloneDX document: what is in it, from which bytes, on which terms.

Everything stands in the plan, the pins and the tree; nothing is guessed. What can't be known is said to be unknown.
Properties are called `pymint:…`; docs/archives.md explains them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cyclonedx.model import ExternalReference, ExternalReferenceType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import License
from cyclonedx.model.tool import ToolRepository
from packageurl import PackageURL

from workers.nodes import PROVIDER
from workers.package.beside import FipsDocument
from workers.package.metadata import llvm_release
from workers.package.tree import licence_name
from workers.reports.build import Plan, PlannedNode
from workers.sbom.identity import licences_of, purl_of, references_of, sha256
from workers.sbom.vendored import LIST, Bundled, Vendored
from workers.sources.pins import Pin, PinnedFile

ROOT = "archive"
SOURCE = "pymint:source"
OBJECT = "pymint:object-sha256"
LINKAGE = "pymint:linkage"
LICENCE_TEXT = "pymint:licence-text"
PATH = "pymint:path"
PROCEDURE = "pymint:procedure"
MAC = "pymint:module-mac"
CERTIFICATE = "pymint:cmvp-certificate"
VENDORED = "pymint:vendored"
LINKED_FILE = "pymint:linked-file"
COMMIT = "pymint:commit"
FLAVOUR = "pymint:flavour"
NO_CERTIFICATE = "none"
# Of headers, tables and start files: there is no library of it.
COMPILED_IN = "compiled in"

# Makes serial numbers of keys: any fixed one will do.
_NAMESPACE = uuid.UUID("6f1c6a53-6a0e-4c35-9f43-2a1b3c6c1d50")
# What the compiler's own library adds to each program and library: start files, and functions that code calls.
_RUNTIME = re.compile(r"^(?:lib)?clang_rt\.(?:builtins|crtbegin|crtend|osx)\b")
_SYSROOT = "sysroot"
_RUNTIME_LICENCE = "Apache-2.0 WITH LLVM-exception"


@dataclass(frozen=True)
class Part:
    """A node of which something is in the archive. digest: of its object.

    linkage: `static`, `shared`, `module` (loaded by its path), `compiled in`; "" for CPython, which all else is for.
    paths: of its shared libraries in the archive, below `python/`.
    """

    node: PlannedNode
    digest: str
    linkage: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Materials:
    """What a bill is made from. pins: of each source the pin and the file that was taken. parts: CPython's the last.

    vendored: of CPython's own list what the archive has, None when the release has no list; left_out: the rest by name,
    with the reason. fips, mac: of the module that is packed.
    """

    plan: Plan
    pins: Mapping[str, tuple[Pin, PinnedFile]]
    parts: Sequence[Part]
    vendored: Sequence[Vendored] | None
    left_out: Mapping[str, str]
    bundled: Sequence[Bundled]
    fips: FipsDocument
    mac: str


def bill(materials: Materials) -> Bom:
    """The document of the full archive. The same materials give the same document."""
    plan = materials.plan
    components = [_of_source(materials, part, source) for part in materials.parts for source in part.node.sources]
    vendored = [_of_vendored(one) for one in materials.vendored or ()]
    wheels = [_of_wheel(one) for one in materials.bundled]
    runtime = _compiler_runtime(plan.toolchain)
    everything = [*components, *vendored, *wheels, *runtime]
    cpython = materials.parts[-1].node
    inside = [str(one.bom_ref.value) for one in (*vendored, *wheels, *runtime)]
    return Bom(
        serial_number=serial_number(plan.archive_key, "full"),
        metadata=BomMetaData(
            timestamp=datetime.fromtimestamp(plan.epoch, tz=UTC),
            tools=ToolRepository(
                components=[Component(name="pymint", type=ComponentType.APPLICATION, version=plan.commit)]
            ),
            component=Component(
                name=plan.archive_name.removesuffix(".tar.zst"),
                version=plan.python_version,
                type=ComponentType.APPLICATION,
                bom_ref=ROOT,
            ),
            properties=_properties(
                {
                    "pymint:archive-key": plan.archive_key,
                    COMMIT: plan.commit,
                    FLAVOUR: "full",
                    "pymint:target": plan.cell.target,
                    "pymint:variant": plan.cell.variant,
                }
            ),
        ),
        components=everything,
        dependencies=_dependencies(materials, {cpython.name: inside}),
    )


def serial_number(archive_key: str, flavour: str) -> uuid.UUID:
    """The key says what went in and which programs made a document of it, so it is the document's identity too."""
    return uuid.uuid5(_NAMESPACE, f"{archive_key} {flavour}")


def reference_of(pin: Pin) -> str:
    return f"{pin.source}@{pin.version}"


def _properties(values: Mapping[str, str | Sequence[str]]) -> list[Property]:
    pairs = [(name, [value] if isinstance(value, str) else value) for name, value in values.items()]
    return [Property(name=name, value=one) for name, several in pairs for one in several if one]


def _of_source(materials: Materials, part: Part, source: str) -> Component:
    pin, file = materials.pins[source]
    node = part.node
    own = source == node.sources[0]
    is_cpython = own and node is materials.parts[-1].node
    said: dict[str, str | Sequence[str]] = {
        SOURCE: source,
        "pymint:node": node.name,
        OBJECT: part.digest,
        LINKAGE: part.linkage if own else "python package" if node.stage == "cpython" else COMPILED_IN,
        LICENCE_TEXT: licence_name(source),
        PATH: part.paths if own else (),
    }
    description, digest, pedigree = None, file.sha256, None
    if node.name == PROVIDER:
        fips = materials.fips
        said |= {
            PATH: fips.module,
            MAC: materials.mac,
            PROCEDURE: fips.provider.procedure,
            CERTIFICATE: fips.provider.certificate or NO_CERTIFICATE,
            "pymint:glibc-floor": fips.provider.glibc_floor,
        }
        description, digest = fips.statement, fips.provider_sha256
    elif node.name == _SYSROOT:
        description = "The start files of each program and library, made from the source of glibc that is in it."
    elif is_cpython:
        said[VENDORED] = _vendored_in_words(materials, pin)
        pedigree = _pedigree(node)
    return Component(
        name="openssl-fips-provider" if node.name == PROVIDER else "cpython" if is_cpython else source,
        version=pin.version,
        type=ComponentType.APPLICATION if is_cpython else ComponentType.LIBRARY,
        bom_ref=reference_of(pin),
        description=description,
        hashes=[sha256(digest)],
        licenses=licences_of(pin.licences),
        purl=purl_of(pin, file),
        cpe=pin.cpe,
        external_references=references_of(pin, file),
        properties=_properties(said),
        pedigree=pedigree,
    )


def _pedigree(node: PlannedNode) -> Pedigree | None:
    edits = node.inputs.get("edits")
    if not isinstance(edits, dict) or not edits:
        return None
    listed = ", ".join(f"{name} (sha256 {digest})" for name, digest in sorted(edits.items()))
    return Pedigree(notes=f"Changed before it was built, by the edits in cpython-unix/edits of pymint: {listed}.")


def _vendored_in_words(materials: Materials, pin: Pin) -> str:
    if materials.vendored is None:
        return f"unknown: CPython {pin.version} brings no {LIST}; what its source carries of others is not listed here"
    left = "; ".join(f"{name}: {why}" for name, why in sorted(materials.left_out.items()))
    return f"as in {LIST} of {pin.version}" + (f", without {left}" if left else "")


def _of_vendored(one: Vendored) -> Component:
    references = []
    if one.url is not None:
        kind = ExternalReferenceType.SOURCE_DISTRIBUTION
        references.append(ExternalReference(type=kind, url=XsUri(one.url)))
    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"vendored:{one.name}@{one.version}",
        hashes=[sha256(one.sha256)] if one.sha256 else [],
        purl=PackageURL.from_string(one.purl) if one.purl else _generic(one),
        cpe=one.cpe,
        external_references=references,
        properties=_properties({LINKAGE: "vendored"}),
    )


def _generic(one: Vendored) -> PackageURL:
    qualifiers = {"download_url": one.url or "", "checksum": f"sha256:{one.sha256}" if one.sha256 else ""}
    return PackageURL("generic", name=one.name, version=one.version, qualifiers=qualifiers)


def _of_wheel(one: Bundled) -> Component:
    licences: list[License] = licences_of([one.licence] if one.licence else [])
    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"ensurepip:{one.name}@{one.version}",
        hashes=[sha256(one.sha256)],
        licenses=licences,
        purl=PackageURL("pypi", name=one.name.lower().replace("_", "-"), version=one.version),
        properties=_properties({LINKAGE: "python package", PATH: one.path}),
    )


def _compiler_runtime(toolchain: Mapping[str, str]) -> list[Component]:
    """compiler-rt, which no node makes. Without a CPE: LLVM's would bring the faults of the whole compiler."""
    files = [f"{name} sha256:{digest}" for name, digest in sorted(toolchain.items()) if _RUNTIME.match(name)]
    if not files:
        return []
    release = llvm_release(toolchain.get("version", ""))
    return [
        Component(
            name="compiler-rt",
            version=release,
            type=ComponentType.LIBRARY,
            bom_ref=f"compiler-rt@{release}",
            description=f"Of {toolchain.get('version', 'an unknown release')}: start files, and the functions that "
            "compiled code calls.",
            licenses=licences_of([_RUNTIME_LICENCE]),
            purl=PackageURL("generic", name="compiler-rt", version=release),
            properties=_properties({LINKAGE: "static", LINKED_FILE: files}),
        )
    ]


def _dependencies(materials: Materials, inside: Mapping[str, Sequence[str]]) -> list[Dependency]:
    """What is built from what: the archive from CPython and the FIPS module, these from what their nodes needed.

    A node without a source has no component, and nothing that depends on it says so.
    """
    sources = {
        part.node.name: [reference_of(materials.pins[source][0]) for source in part.node.sources]
        for part in materials.parts
    }
    found: dict[str, set[str]] = {ROOT: set()}
    for part in materials.parts:
        own, *further = sources[part.node.name] or [""]
        if not own:
            continue
        needed = {first for need in part.node.needs for first in sources.get(need, [])[:1]}
        found[own] = needed | set(further) | set(inside.get(part.node.name, ()))
        found |= {one: set() for one in further}
    for name in (PROVIDER, materials.parts[-1].node.name):
        found[ROOT].update(sources.get(name, [])[:1])
    found |= {one: set() for several in inside.values() for one in several}
    return [
        Dependency(ref=BomRef(name), dependencies=[Dependency(ref=BomRef(need)) for need in sorted(needs)])
        for name, needs in sorted(found.items())
    ]
