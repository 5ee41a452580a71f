"""Rules for the bill of materials: it is there, can be read, and names what is in the archive and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from workers.derive.layout import LICENSES, SBOM, SHARED_LICENSES
from workers.nodes import PROVIDER
from workers.package.beside import BuildDocument
from workers.package.tree import licence_name
from workers.reports.build import ChosenPin
from workers.reports.checks import Finding
from workers.sbom.bill import CERTIFICATE, COMMIT, LICENCE_TEXT, MAC, NO_CERTIFICATE, OBJECT, PATH, PROCEDURE, SOURCE
from workers.sbom.documents import CYCLONEDX, SPDX
from workers.sbom.reading import Item, Read, Spdx, read_cyclonedx, read_spdx
from workers.validate.contents import Contents
from workers.validate.rule import Case, rule
from workers.validate.rules.fips import facts

_NODE = "pymint:node"


def wanted(case: Case) -> Iterator[Contents]:
    if case.policy.sbom and case.contents.runs:
        yield case.contents


def paths(case: Case, ending: str) -> list[str]:
    """Of the documents of a kind."""
    folder = case.path(SBOM)
    return sorted(path for path in case.contents.texts if path.startswith(folder) and path.endswith(ending))


def texts(case: Case) -> Iterator[str]:
    """The paths of both documents."""
    if case.policy.sbom:
        yield from paths(case, CYCLONEDX)
        yield from paths(case, SPDX)


def bills(case: Case) -> Iterator[Read]:
    """The CycloneDX documents; one that can't be read is the finding of one rule, not of all."""
    for path in paths(case, CYCLONEDX) if case.policy.sbom else ():
        try:
            yield read_cyclonedx(path, case.contents.texts[path])
        except (KeyError, TypeError, AttributeError, ValueError):
            continue


def built(case: Case) -> Iterator[tuple[Read, BuildDocument]]:
    """The documents with BUILD.json: the archive's own, else that of the full archive which it was made from."""
    build = _build_document(case)
    if build is not None:
        yield from ((bill, build) for bill in bills(case))


def _build_document(case: Case) -> BuildDocument | None:
    if case.family is not None:
        return case.family.build
    try:
        return msgspec.json.decode(case.contents.texts.get("BUILD.json", ""), type=BuildDocument)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


@rule("sbom.present", of=wanted, why="Scanners see nothing in a static interpreter: what is linked has to be said.")
def present(contents: Contents, case: Case) -> Iterator[Finding]:
    found = paths(case, CYCLONEDX)
    if len(found) != 1:
        yield Finding(case.path(SBOM), f"{len(found)} CycloneDX documents", f"one {SBOM}*{CYCLONEDX}")
    for path in found:
        other = path.removesuffix(CYCLONEDX) + SPDX
        if other not in contents.texts:
            yield Finding(other, "not there", "the same bill in SPDX")


@rule("sbom.format", of=texts, why="A document that breaks its own schema is refused, or read wrongly, by scanners.")
def is_of_format(path: str, case: Case) -> Iterator[Finding]:
    text = case.contents.texts[path]
    if path.endswith(CYCLONEDX):
        try:
            error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        except ValueError as problem:  # no JSON at all
            yield Finding(path, str(problem), "CycloneDX 1.6")
            return
        if error is not None:
            place = "/".join(map(str, error.data.absolute_path))
            yield Finding(path, f"{place}: {error.data.message[:300]}", "CycloneDX 1.6, by its strict schema")
        return
    try:
        document = read_spdx(text)
    except (msgspec.ValidationError, msgspec.DecodeError) as problem:
        yield Finding(path, str(problem), "SPDX 2.3")
        return
    for name in document.dangling():
        yield Finding(path, f"speaks of {name}, which it does not have", "relationships between its own packages")


@rule("sbom.same", of=bills, why="Whoever reads one of the two documents must not learn less than from the other.")
def same(bill: Read, case: Case) -> Iterator[Finding]:
    path = bill.path.removesuffix(CYCLONEDX) + SPDX
    other = _spdx(case.contents.texts.get(path, ""))
    if other is None:
        return
    if other.name != bill.subject:
        yield Finding(path, f"is of {other.name}", f"{bill.subject}, as {bill.path} says")
    ours, theirs = {item.identity for item in bill.items}, other.identities()
    for name, version, *_ in sorted(ours - theirs, key=str):
        yield Finding(path, f"does not have {name} {version}, or says something else of it", f"as {bill.path} has it")
    for name, version, *_ in sorted(theirs - ours, key=str):
        yield Finding(bill.path, f"does not have {name} {version}, or says something else of it", f"as {path} has it")


def _spdx(text: str) -> Spdx | None:
    try:
        return read_spdx(text)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


@rule("sbom.complete", of=bills, why="A library that is linked and not named is never looked up when it has a hole.")
def complete(bill: Read, case: Case) -> Iterator[Finding]:
    folder = LICENSES.removeprefix("python/") if case.contents.flavour == "full" else SHARED_LICENSES
    named = {path for item in bill.items for path in item.properties.get(LICENCE_TEXT, ())}
    for path in sorted(case.contents.paths):
        if path.startswith(folder) and path not in named:
            yield Finding(bill.path, f"nothing whose licence is {path}", "a component for each licence text")
    for item in bill.items:
        if not item.version or not item.purl:
            yield Finding(bill.path, f"{item.reference} without {'purl' if item.version else 'version'}", "both")
        for path in (*item.properties.get(LICENCE_TEXT, ()), *item.properties.get(PATH, ())):
            if path not in case.contents.paths:
                yield Finding(bill.path, f"{item.reference} has {path}, which is not there", "a member of the archive")


@rule("sbom.build", of=built, why="What is said to be in the archive has to be what the build put there.")
def as_built(pair: tuple[Read, BuildDocument], case: Case) -> Iterator[Finding]:
    bill, build = pair
    if bill.said(COMMIT) != build.commit:
        yield Finding(bill.path, f"of the commit {bill.said(COMMIT)}", f"{build.commit}, as in BUILD.json")
    if datetime.fromisoformat(bill.time) != datetime.fromtimestamp(build.epoch, tz=UTC):
        yield Finding(bill.path, f"of the time {bill.time}", f"{build.epoch} seconds since 1970, as in BUILD.json")
    items = {item.said(SOURCE): item for item in bill.items if item.said(SOURCE)}
    nodes = {text: node for node in build.nodes if node.digest for text in node.licences}
    pins = {pin.source: pin for pin in build.pins if licence_name(pin.source) in nodes}
    for source in sorted(items.keys() - pins.keys()):
        yield Finding(bill.path, f"has {source}", "only what BUILD.json says went in")
    for source, pin in sorted(pins.items()):
        item = items.get(source)
        if item is None:
            yield Finding(
                bill.path, f"does not have {source} {pin.version}", "a component for each source in BUILD.json"
            )
        else:
            yield from _differences(bill, item, pin, nodes[licence_name(source)].digest or "")


def _differences(bill: Read, item: Item, pin: ChosenPin, digest: str) -> Iterator[Finding]:
    if item.version != pin.version:
        yield Finding(bill.path, f"{item.reference}: release {item.version}", f"{pin.version}, as in BUILD.json")
    if pin.sha256 not in item.digests:
        yield Finding(bill.path, f"{item.reference} without its source's sha256", pin.sha256)
    if item.said(OBJECT) != digest:
        yield Finding(bill.path, f"{item.reference}: {OBJECT} {item.said(OBJECT)}", f"{digest}, as in BUILD.json")


@rule(
    "sbom.fips", of=bills, why="The FIPS module is another release than the libraries beside it, and no more than said."
)
def fips(bill: Read, case: Case) -> Iterator[Finding]:
    document = facts(case)
    items = [item for item in bill.items if item.said(_NODE) == PROVIDER]
    if document is None:
        return
    if len(items) != 1:
        yield Finding(bill.path, f"{len(items)} FIPS modules", "a component of its own for the one that is there")
    for item in items:
        said = {
            "version": (item.version, document.provider.provider_version),
            "sha256": (", ".join(item.sha256), document.provider_sha256),
            PATH: (item.said(PATH), document.module),
            PROCEDURE: (item.said(PROCEDURE), document.provider.procedure),
            CERTIFICATE: (item.said(CERTIFICATE), document.provider.certificate or NO_CERTIFICATE),
            MAC: (item.said(MAC), case.contents.macs.get(document.module, "")),
        }
        for name, (found, right) in said.items():
            if found != right:
                yield Finding(bill.path, f"{item.reference}: {name} {found}", f"{right}, as of the module itself")
