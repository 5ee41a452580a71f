"""The certificates of the profile `ca`: an authority, and a leaf for each signature, as Sigstore's verifiers read them.

An authority's key may lie where nobody can take it from: what is to be signed is made here, the signature by any
`securesystemslib` signer. All keys are ECDSA P-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from asn1crypto import x509 as asn1
from asn1crypto.core import UTF8String
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from securesystemslib.signer import Signer

AUTHORITY_DAYS = 3650
LEAF_MINUTES = 30
# Clocks of two machines are not one; a leaf's time is told by its timestamp.
SKEW = timedelta(minutes=5)

# Fulcio's certificate extensions (sigstore/fulcio docs/oid-info.md); the value is a DER UTF8String.
OIDS = {
    "issuer": "1.3.6.1.4.1.57264.1.8",
    "build_signer": "1.3.6.1.4.1.57264.1.9",
    "source": "1.3.6.1.4.1.57264.1.12",
    "commit": "1.3.6.1.4.1.57264.1.13",
    "ref": "1.3.6.1.4.1.57264.1.14",
    "owner": "1.3.6.1.4.1.57264.1.16",
    "build_config": "1.3.6.1.4.1.57264.1.18",
    "invocation": "1.3.6.1.4.1.57264.1.21",
}


@dataclass(frozen=True)
class Authority:
    """Who issues: its signer and its chain, its own certificate first, the root last."""

    signer: Signer
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]


def _name(organisation: str, common_name: str) -> x509.Name:
    # gh finds the authority of a leaf by its issuer's one organisation (cli pkg/cmd/attestation/verification).
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64]),
        ]
    )


def _usage(*, signature: bool = False, certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signature, key_cert_sign=certificates, crl_sign=certificates, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _signed(builder: x509.CertificateBuilder, signer: Signer) -> x509.Certificate:
    """A certificate whose signature is the signer's.

    cryptography signs only with keys that it holds, so a key that is thrown away signs first: what is signed does not
    depend on it.
    """
    draft = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    whole = asn1.Certificate.load(draft.public_bytes(Encoding.DER))
    whole["signature_value"] = bytes.fromhex(signer.sign(draft.tbs_certificate_bytes).signature)
    return x509.load_der_x509_certificate(whole.dump())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def self_signed(
    signer: Signer, key: ec.EllipticCurvePublicKey, organisation: str, common_name: str, now: datetime
) -> x509.Certificate:
    """A root: signs its own certificate. Valid for ten years."""
    name = _name(organisation, common_name)
    builder = _builder(name, name, key, now - SKEW, now + timedelta(days=AUTHORITY_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(certificates=True), critical=True)
    return _signed(builder, signer)


def _issued(
    authority: Authority, subject: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    issuer = authority.certificate
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(subject, issuer.subject, key, start, end)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signature=True), critical=True)
    )  # fmt: skip


def timestamping(
    authority: Authority, key: ec.EllipticCurvePublicKey, organisation: str, now: datetime
) -> x509.Certificate:
    """The certificate of a timestamping service: for that alone, and critically so (RFC 3161, 2.3)."""
    end = authority.certificate.not_valid_after_utc
    builder = _issued(authority, _name(organisation, "pymint timestamping"), key, now - SKEW, end)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    return _signed(builder.add_extension(usage, critical=True), authority.signer)


def leaf(
    authority: Authority, key: ec.EllipticCurvePublicKey, builder_id: str, said: dict[str, str], now: datetime
) -> x509.Certificate:
    """The certificate of one signature: valid for half an hour, for signing code, in the name of a builder.

    builder_id: a URI, the subject alternative name. said: what it states, by the names of `OIDS`.
    """
    end = now + timedelta(minutes=LEAF_MINUTES)
    builder = _issued(authority, x509.Name([]), key, now - SKEW, end)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(builder_id)]), critical=True
    )
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    for name, value in said.items():
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(OIDS[name]), UTF8String(value).dump())
        builder = builder.add_extension(extension, critical=False)
    return _signed(builder, authority.signer)
