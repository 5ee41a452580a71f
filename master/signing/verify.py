"""Is this archive what its bundle says, by somebody who is trusted: offline, step by step, and the first no is told.

The same code for a user (`./mint verify`) and for whatever is to be published.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)
from securesystemslib.exceptions import VerificationError as SignatureError
from securesystemslib.signer import Key, SSlibKey

from master.signing import timestamps
from master.signing.bundle import KEYID, Bundle
from master.signing.statement import BUILD_TYPES, EXTERNAL, PAYLOAD_TYPE, PROVENANCE, STATEMENT
from master.signing.trust import Chain, KnownKey, Trust
from workers.errors import Failure

DRY_RUN = "/dry-run"
REFUSED = "Do not use it. Get archive and bundle anew, and if that does not help, ask those who built it."


@dataclass(frozen=True)
class Wanted:
    """What has to be so; None: whatever is said. predicate: None for any type."""

    builder: str | None = None
    commit: str | None = None
    source: str | None = None
    target: str | None = None
    version: str | None = None
    variant: str | None = None
    predicate: str | None = PROVENANCE


@dataclass(frozen=True)
class Verified:
    """What is now known. signed_by: a key's name, or the authority's. at: when, where a service said so."""

    subject: str
    sha256: str
    builder: str
    signed_by: str
    at: datetime | None
    statement: Mapping[str, Any]

    @property
    def parameters(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.statement.get("predicate", {}).get("buildDefinition", {}).get(
            "externalParameters", {}
        )  # fmt: skip
        return found


def _refuse(what: str, wanted: str | None = None, found: str | None = None, todo: str = REFUSED) -> Failure:
    return Failure("verify", what, wanted=wanted, found=found, todo=todo)


def verify(name: str, sha256: str, bundle: Bundle, trust: Trust, wanted: Wanted) -> Verified:
    """Judges an archive of this digest by its bundle. Raises Failure that names the first thing that is not so."""
    at: datetime | None = None
    if bundle.certificate is not None:
        at = _time(bundle, trust)
        signed_by, allowed = _certified(bundle, bundle.certificate, trust, at)
    else:
        signed_by, allowed = _keyed(bundle, trust)
    statement = _statement(bundle)
    subject = _subject(statement, name, sha256)
    predicate_type = statement.get("predicateType")
    if wanted.predicate is not None and predicate_type != wanted.predicate:
        raise _refuse(f"{name}: the bundle attests something else", wanted.predicate, str(predicate_type))
    speakers = {_builder(statement)} if predicate_type == PROVENANCE else allowed or set()
    told = " or ".join(sorted(speakers)) or "nobody"
    if allowed is not None and not speakers <= allowed:
        raise _refuse(f"{name}: who signed may not speak for the builder", " or ".join(sorted(allowed)), told)
    if wanted.builder is not None and wanted.builder not in speakers:
        raise _refuse(f"{name}: it was built by another builder", wanted.builder, told)
    if predicate_type == PROVENANCE:
        _parameters(name, statement, wanted)
    if speakers and all(one.endswith(DRY_RUN) for one in speakers) and wanted.builder is None:
        raise _refuse(
            f"{name}: it was signed in a dry run", "a build that counts", told,
            todo="Rehearsals are never published. To look at one all the same, name that builder.",
        )  # fmt: skip
    return Verified(subject, sha256, told, signed_by, at, statement)


def _keyed(bundle: Bundle, trust: Trust) -> tuple[str, set[str] | None]:
    """Whose key it is, and for which builders it may speak; None: that was not said."""
    known = next((key for key in trust.keys if key.keyid == bundle.hint), None)
    if known is None:
        names = ", ".join(key.keyid for key in trust.keys)
        raise _refuse(
            "the bundle is signed with a key that is not trusted here", names or "a certificate", str(bundle.hint),
            todo="Name the farm's key with --key or --keys, got from another place than the archive."
            if names or not trust.authorities
            else "This bundle has no certificate: it needs --key or --keys.",
        )  # fmt: skip
    key = load_der_public_key(base64.b64decode(known.spki))
    _signature(bundle, SSlibKey.from_crypto(key, keyid=KEYID))
    _in_its_time(known, _statement(bundle))
    return known.name, None if known.builderIds is None else set(known.builderIds)


def _in_its_time(known: KnownKey, statement: Mapping[str, Any]) -> None:
    """The signer's own word for when it was. A stolen key lies about it: such a key is to be taken out of the list."""
    said = statement.get("predicate", {}).get("runDetails", {}).get("metadata", {}).get("finishedOn")
    if said is None or not known.notBefore:
        return
    if said < known.notBefore or (known.notAfter is not None and said > known.notAfter):
        raise _refuse(
            f"the key {known.name} was not in use when this was built",
            f"from {known.notBefore} to {known.notAfter or 'now'}", str(said),
        )  # fmt: skip


def _signature(bundle: Bundle, key: Key) -> None:
    try:
        bundle.envelope.verify([key], 1)
    except (SignatureError, ValueError) as error:
        raise _refuse("the bundle's signature is not of what it holds", "a valid signature", "another") from error


def _time(bundle: Bundle, trust: Trust) -> datetime:
    for response in bundle.timestamps:
        for service in trust.services:
            at = timestamps.time_of(response, bundle.signature, service)
            if at is not None:
                return at
    raise _refuse(
        "no trusted service says when the bundle was signed",
        f"a timestamp of one of {len(trust.services)} services of the trusted root",
        f"{len(bundle.timestamps)} timestamps, none of them of this signature by a trusted service",
        todo="A certificate is valid for half an hour, so the time matters. "
        "Is the trusted root that of this farm? " + REFUSED,
    )


def _certified(
    bundle: Bundle, certificate: x509.Certificate, trust: Trust, at: datetime
) -> tuple[str, set[str] | None]:
    """Which authority vouches for the certificate at that time, and for which builder."""
    issuer = next((chain for chain in trust.authorities if _issued(certificate, chain, at)), None)
    if issuer is None:
        raise _refuse(
            "the bundle's certificate is of no trusted authority, or was not valid then",
            f"one of {len(trust.authorities)} authorities of the trusted root, valid at {at:%Y-%m-%dT%H:%M:%SZ}",
            f"issued by {_issuer(certificate)}",
        )
    _signature(bundle, SSlibKey.from_crypto(certificate.public_key(), keyid=KEYID))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return issuer[0].subject.rfc4514_string(), set(names.get_values_for_type(x509.UniformResourceIdentifier))


def _issuer(certificate: x509.Certificate) -> str:
    try:
        return certificate.issuer.rfc4514_string()
    except ValueError:
        return "nobody whose name can be read"


def _issued(certificate: x509.Certificate, chain: Chain, at: datetime) -> bool:
    def signs_code(policy: object, leaf: x509.Certificate, usage: x509.ExtendedKeyUsage) -> None:
        if ExtendedKeyUsageOID.CODE_SIGNING not in usage:
            raise ValueError("not for signing code")

    leafs = (
        ExtensionPolicy.permit_all()
        .require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
        .require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, signs_code)
    )
    issuers = ExtensionPolicy.webpki_defaults_ca()
    builder = PolicyBuilder().store(Store([chain[-1]])).time(at.astimezone(UTC).replace(tzinfo=None))
    try:
        verifier = builder.extension_policies(ca_policy=issuers, ee_policy=leafs).build_client_verifier()
        verifier.verify(certificate, list(chain[:-1]))
    except (VerificationError, ValueError):
        return False
    return True


def _statement(bundle: Bundle) -> Mapping[str, Any]:
    if bundle.payload_type != PAYLOAD_TYPE:
        raise _refuse("the bundle holds something else than a statement", PAYLOAD_TYPE, bundle.payload_type)
    try:
        statement = json.loads(bundle.payload)
        kind = statement["_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise _refuse("the bundle's statement can't be read", STATEMENT, type(error).__name__) from error
    if kind != STATEMENT:
        raise _refuse("the bundle's statement is of another kind", STATEMENT, str(kind))
    checked: Mapping[str, Any] = statement
    return checked


def _subject(statement: Mapping[str, Any], name: str, sha256: str) -> str:
    subjects = statement.get("subject") or []
    for one in subjects:
        if one.get("digest", {}).get("sha256") == sha256:
            return str(one.get("name", ""))
    attested = ", ".join(f"{one.get('name')}: {one.get('digest', {}).get('sha256')}" for one in subjects)
    raise _refuse(f"{name} is not what the bundle attests", f"sha256 {attested or 'of nothing'}", f"sha256 {sha256}")


def _builder(statement: Mapping[str, Any]) -> str:
    predicate = statement.get("predicate") or {}
    return str(((predicate.get("runDetails") or {}).get("builder") or {}).get("id", ""))


def _parameters(name: str, statement: Mapping[str, Any], wanted: Wanted) -> None:
    definition = statement.get("predicate", {}).get("buildDefinition", {})
    kind = str(definition.get("buildType"))
    if not kind.endswith(tuple(f"/{one}" for one in BUILD_TYPES.values())):
        raise _refuse(f"{name}: it is of a build type that is not known here", ", ".join(BUILD_TYPES.values()), kind)
    said = definition.get("externalParameters", {})
    if set(said) != EXTERNAL:
        raise _refuse(
            f"{name}: the build had other parameters than are known here", ", ".join(sorted(EXTERNAL)),
            ", ".join(sorted(said)), todo="A newer pymint may know them. " + REFUSED,
        )  # fmt: skip
    for key in ("commit", "source", "target", "version", "variant"):
        value = getattr(wanted, key)
        if value is not None and said.get(key) != value:
            raise _refuse(f"{name}: it was built of another {key}", value, str(said.get(key)))
