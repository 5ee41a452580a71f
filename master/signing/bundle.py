"""A Sigstore bundle v0.3 as JSON: a DSSE envelope and what to verify it with, in the profile `key` or `ca`."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signature

from workers.errors import Failure

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SUFFIX = ".sigstore.json"
# Inside of the envelope only: bundles name the key by hint or certificate, and securesystemslib wants some name.
KEYID = "signer"


@dataclass(frozen=True)
class Bundle:
    """payload: the signed bytes, of `payload_type`. Either `hint`, of a public key, or `certificate` is there.

    timestamps: TimeStampResps (DER) over the signature.
    """

    payload: bytes
    payload_type: str
    signature: bytes
    hint: str | None = None
    certificate: x509.Certificate | None = None
    timestamps: tuple[bytes, ...] = ()

    @property
    def envelope(self) -> Envelope:
        return Envelope(self.payload, self.payload_type, {KEYID: Signature(KEYID, self.signature.hex())})


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def encode(bundle: Bundle) -> bytes:
    """The file's content: one line."""
    if bundle.certificate is not None:
        material: dict[str, Any] = {"certificate": {"rawBytes": b64(bundle.certificate.public_bytes(Encoding.DER))}}
    else:
        material = {"publicKey": {"hint": bundle.hint}}
    if bundle.timestamps:
        times = [{"signedTimestamp": b64(one)} for one in bundle.timestamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": times}
    document = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": b64(bundle.payload),
            "payloadType": bundle.payload_type,
            "signatures": [{"sig": b64(bundle.signature)}],
        },
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def decode(data: bytes, origin: str) -> Bundle:
    """A bundle from its bytes; `origin` names it in the error. Raises Failure when it is none."""
    try:
        document = json.loads(data)
        if document["mediaType"] != MEDIA_TYPE:
            raise ValueError(f"mediaType {document['mediaType']!r}")
        material, envelope = document["verificationMaterial"], document["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        raw = material.get("certificate", {}).get("rawBytes")
        times = material.get("timestampVerificationData", {}).get("rfc3161Timestamps", [])
        bundle = Bundle(
            payload=_bytes(envelope["payload"]),
            payload_type=str(envelope["payloadType"]),
            signature=_bytes(signature["sig"]),
            hint=material.get("publicKey", {}).get("hint"),
            certificate=x509.load_der_x509_certificate(_bytes(raw)) if raw is not None else None,
            timestamps=tuple(_bytes(one["signedTimestamp"]) for one in times),
        )
        if (bundle.hint is None) == (bundle.certificate is None):
            raise ValueError("neither a public key's hint nor a certificate, or both")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, x509.InvalidVersion) as error:
        raise Failure(
            "verify", f"{origin} is not a bundle that can be read", wanted=f"one signature, as {MEDIA_TYPE}",
            found=f"{type(error).__name__}: {error}", todo="Get it again from where the archive came from.",
        ) from error  # fmt: skip
    return bundle


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
