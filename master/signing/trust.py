"""What verifiers trust, as files: `keys.json` for the profile `key`, `trusted_root.jsonl` for the profile `ca`."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import NameOID

from master.signing.bundle import b64
from master.signing.keys import hint_of
from workers.errors import Failure
from workers.reports import base

ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
Chain = tuple[x509.Certificate, ...]


@dataclass(frozen=True)
class KnownKey:
    """A public key and what it may say. keyid: the bundles' hint. spki: base64 of DER.

    notBefore, notAfter: RFC 3339; "" and None: open. builderIds: for which it may speak; None: that was not said.
    """

    keyid: str
    name: str
    spki: str
    notBefore: str
    notAfter: str | None
    builderIds: list[str] | None


@dataclass(frozen=True)
class KeyList:
    """keys.json. The newest key last."""

    schema: Literal["pymint/keys/1"]
    keys: list[KnownKey] = field(default_factory=list)


@dataclass(frozen=True)
class Trust:
    """What a verifier was given. authorities, services: chains, their own certificate first, the root last."""

    keys: tuple[KnownKey, ...] = ()
    authorities: tuple[Chain, ...] = ()
    services: tuple[Chain, ...] = ()


def with_key(known: KeyList, name: str, spki: bytes, builders: Sequence[str], now: str) -> KeyList:
    """The list once a key signs for these builders: whatever signed for one of them until now ends now."""
    keyid = hint_of(spki)
    keys = []
    for one in known.keys:
        if one.keyid == keyid:
            keys.append(replace(one, builderIds=sorted({*(one.builderIds or []), *builders})))
        elif one.notAfter is None and set(one.builderIds or []) & set(builders):
            keys.append(replace(one, notAfter=now))
        else:
            keys.append(one)
    if all(one.keyid != keyid for one in keys):
        spki_text = base64.b64encode(spki).decode()
        keys.append(KnownKey(keyid, name, spki_text, now, None, sorted(builders)))
    return replace(known, keys=keys)


def known_key(name: str, spki: bytes) -> KnownKey:
    """A key that somebody named, whatever it may say."""
    return KnownKey(hint_of(spki), name, base64.b64encode(spki).decode(), "", None, None)


def encode_keys(known: KeyList) -> bytes:
    return base.encode(known)


def decode_keys(data: bytes, origin: str) -> KeyList:
    """keys.json from its bytes. Raises Failure; also when an id is not that of its key."""
    try:
        known = msgspec.json.decode(data, type=KeyList)
        for one in known.keys:
            spki = base64.b64decode(one.spki, validate=True)
            load_der_public_key(spki)
            if hint_of(spki) != one.keyid:
                raise ValueError(f"the id {one.keyid} is not that of its key")
    except ValueError as error:
        raise Failure("verify", f"{origin} is no keys.json", found=str(error), todo="Get it anew.") from error
    return known


def trusted_root(authorities: Sequence[Chain], services: Sequence[Chain], uri: str) -> bytes:
    """trusted_root.jsonl: one line, with its end, since gh drops a line without. No transparency log is asked for."""
    document = {
        "mediaType": ROOT_TYPE,
        "tlogs": [],
        "certificateAuthorities": [_authority(chain, uri) for chain in authorities],
        "ctlogs": [],
        "timestampAuthorities": [_authority(chain, uri) for chain in services],
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _authority(chain: Chain, uri: str) -> dict[str, Any]:
    own = chain[0]
    return {
        "subject": {
            "organization": _part(own, NameOID.ORGANIZATION_NAME),
            "commonName": _part(own, NameOID.COMMON_NAME),
        },
        "uri": uri,
        "certChain": {"certificates": [{"rawBytes": b64(one.public_bytes(Encoding.DER))} for one in chain]},
        "validFor": {"start": _time(own.not_valid_before_utc), "end": _time(own.not_valid_after_utc)},
    }


def _part(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    return next((str(one.value) for one in certificate.subject.get_attributes_for_oid(oid)), "")


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def decode_root(data: bytes, origin: str) -> Trust:
    """The chains of a trusted_root.jsonl, or of a file with one trusted root. Raises Failure when it is neither."""
    authorities: list[Chain] = []
    services: list[Chain] = []
    try:
        for document in _documents(data):
            if not str(document["mediaType"]).startswith("application/vnd.dev.sigstore.trustedroot"):
                raise ValueError(f"mediaType {document['mediaType']!r}")
            for into, key in ((authorities, "certificateAuthorities"), (services, "timestampAuthorities")):
                into += [_chain(one) for one in document.get(key, [])]
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(
            "verify", f"{origin} is no trusted root", wanted=ROOT_TYPE, found=f"{type(error).__name__}: {error}",
            todo="Get trusted_root.jsonl of the farm, from another place than the archive.",
        ) from error  # fmt: skip
    return Trust(authorities=tuple(authorities), services=tuple(services))


def _documents(data: bytes) -> list[Any]:
    """One JSON document, over however many lines, or one in each line."""
    try:
        return [json.loads(data)]
    except ValueError:
        return [json.loads(line) for line in data.splitlines() if line.strip()]


def _chain(document: dict[str, Any]) -> Chain:
    raw = [one["rawBytes"] for one in document["certChain"]["certificates"]]
    chain = tuple(x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in raw)
    if not chain:
        raise ValueError("an authority without certificates")
    return chain
