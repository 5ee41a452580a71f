"""What a pinned source is called by those who look vulnerabilities and licences up."""

from __future__ import annotations

from collections.abc import Sequence

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL

from workers.sources.pins import Pin, PinnedFile


def sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def url_of(pin: Pin, file: PinnedFile) -> str | None:
    """Upstream's own address of these very bytes; None where upstream has none of its own."""
    return pin.urls[0] if pin.urls and not file.repacked else None


def purl_of(pin: Pin, file: PinnedFile) -> PackageURL:
    """A package of an index by its own name; all else as `generic`, with where it is from and its digest.

    Not pkg:github, which says no more than the repository: scanners look a CPE up for `generic` packages alone (grype
    #3594).
    """
    named = PackageURL.from_string(pin.purl) if pin.purl else PackageURL("generic", name=pin.source)
    if named.type not in ("generic", "github"):
        return named
    qualifiers = {"checksum": f"sha256:{file.sha256}"}
    url = url_of(pin, file)
    if url is not None:
        qualifiers["download_url"] = url
    return PackageURL("generic", name=named.name, version=pin.version, qualifiers=qualifiers)


def references_of(pin: Pin, file: PinnedFile) -> list[ExternalReference]:
    """Where the source is from: upstream's file, the distribution's source package, the repository."""
    found = []
    named = PackageURL.from_string(pin.purl) if pin.purl else None
    url = url_of(pin, file)
    if url is not None:
        found.append(_reference(ExternalReferenceType.SOURCE_DISTRIBUTION, url, file.sha256))
    elif pin.distro is not None and (named is None or named.type != "deb"):
        package = PackageURL("deb", "debian", pin.distro.package, pin.distro.version, {"arch": "source"})
        how = "repacked by the distribution" if file.repacked else "as the distribution has it"
        reference = _reference(ExternalReferenceType.SOURCE_DISTRIBUTION, package.to_string(), file.sha256)
        reference.comment = f"{pin.distro.file}, {how}"
        found.append(reference)
    if named is not None and named.type == "github":
        repository = ExternalReference(
            type=ExternalReferenceType.VCS,
            url=XsUri(f"https://github.com/{named.namespace}/{named.name}"),
            comment=f"tag {named.version}",
        )
        found.append(repository)
    return found


def _reference(kind: ExternalReferenceType, url: str, digest: str) -> ExternalReference:
    return ExternalReference(type=kind, url=XsUri(url), hashes=[sha256(digest)])


def licences_of(ids: Sequence[str]) -> list[License]:
    """SPDX expressions, all of which hold, as the one licence that a component may have."""
    if not ids:
        return []
    if len(ids) == 1 and is_supported_id(ids[0]):
        return [DisjunctiveLicense(id=ids[0])]
    return [LicenseExpression(" AND ".join(f"({one})" if " OR " in one else one for one in ids))]
