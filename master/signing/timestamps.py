"""RFC 3161 timestamps over a signature: issued with a key of this farm, or asked of somebody else's service."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime

import httpx
from asn1crypto import algos, cms, tsp
from asn1crypto import x509 as asn1
from asn1crypto.core import ParsableOctetString
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerifierBuilder, decode_timestamp_response
from rfc3161_client.errors import VerificationError

from master.signing.certificates import Authority
from workers.errors import Failure

ANY_POLICY = "2.5.29.32.0"
SHA256 = algos.DigestAlgorithm({"algorithm": "sha256"})


def issue(service: Authority, signature: bytes, now: datetime) -> bytes:
    """A TimeStampResp (DER) that says that the signature was there at `now`. service: a timestamping key and chain."""
    certificate = service.certificate.public_bytes(Encoding.DER)
    info = tsp.TSTInfo(
        {
            "version": "v1",
            "policy": ANY_POLICY,
            "message_imprint": {"hash_algorithm": SHA256, "hashed_message": hashlib.sha256(signature).digest()},
            "serial_number": secrets.randbits(63),
            "gen_time": now.astimezone(UTC).replace(microsecond=0),
        }
    ).dump()
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [hashlib.sha256(info).digest()]},
            {
                "type": "signing_certificate_v2",
                "values": [{"certs": [{"cert_hash": hashlib.sha256(certificate).digest()}]}],
            },
        ]
    )
    own = asn1.Certificate.load(certificate)
    signer = {
        "version": "v1",
        "sid": cms.IssuerAndSerialNumber({"issuer": own.issuer, "serial_number": own.serial_number}),
        "digest_algorithm": SHA256,
        "signed_attrs": attributes,
        "signature_algorithm": {"algorithm": "sha256_ecdsa"},
        "signature": bytes.fromhex(service.signer.sign(attributes.dump()).signature),
    }
    token = {
        "content_type": "signed_data",
        "content": cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [SHA256],
                "encap_content_info": {"content_type": "tst_info", "content": ParsableOctetString(info)},
                "certificates": [own],
                "signer_infos": [signer],
            }
        ),
    }
    return bytes(tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump())


def ask(url: str, signature: bytes) -> bytes:
    """A TimeStampResp of the service at `url`. Raises Failure when it does not answer, or says something else."""
    request = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256).build()
    try:
        answer = httpx.post(
            url, content=request.as_bytes(), headers={"content-type": "application/timestamp-query"}, timeout=30
        )
        answer.raise_for_status()
        response = decode_timestamp_response(answer.content)
    except (httpx.HTTPError, ValueError) as error:
        raise Failure(
            "signing", "the timestamping service gave no timestamp", found=f"{url}: {error}",
            todo="See [signing] timestamp_url in settings.toml. Nothing was signed; build again when it answers.",
        ) from error  # fmt: skip
    if response.status != 0 or response.tst_info.nonce != request.nonce:
        raise Failure(
            "signing", "the timestamping service answered something else", wanted="a granted timestamp with our nonce",
            found=f"{url}: status {response.status}", todo="Nothing was signed.",
        )  # fmt: skip
    return answer.content


def time_of(response: bytes, signature: bytes, chain: tuple[x509.Certificate, ...]) -> datetime | None:
    """When the signature was there, by a service that is trusted; None when this is no timestamp of it and of theirs.

    chain: the service's, its own certificate first, the root last.
    """
    verifier = VerifierBuilder(tsa_certificate=chain[0], intermediates=list(chain[1:-1]), roots=[chain[-1]]).build()
    try:
        parsed = decode_timestamp_response(response)
        verifier.verify_message(parsed, signature)
    except (ValueError, VerificationError, x509.InvalidVersion):
        return None
    return parsed.tst_info.gen_time
