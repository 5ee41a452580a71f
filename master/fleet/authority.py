"""The farm's own certificate authority, for the connection between workers and master, and for nothing else.

Made on first use below `secrets/protocol/`: `authority.pem` with its key, which workers pin when they join, and
`master.pem` with its key, which the master shows. ECDSA P-256. The authority outlives the certificates, so that workers
learn it once.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from master.home import write_file
from workers.errors import Failure

AUTHORITY_DAYS = 3650
# Renewed at a start when a third of its time is left: a farm that is never restarted for two thirds of a year is told.
CERTIFICATE_DAYS = 365
_RENEW_DAYS = CERTIFICATE_DAYS // 3
# Clocks of two machines are not one.
_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class Files:
    """Where authority and certificate lie."""

    directory: Path

    @property
    def authority(self) -> Path:
        return self.directory / "authority.pem"

    @property
    def authority_key(self) -> Path:
        return self.directory / "authority.key"

    @property
    def certificate(self) -> Path:
        return self.directory / "master.pem"

    @property
    def key(self) -> Path:
        return self.directory / "master.key"


def ensure(files: Files, names: list[str], now: datetime | None = None) -> None:
    """Makes what is missing, and a new certificate when the names changed or its time runs out.

    names: host names and addresses of the master. Raises Failure when a key is readable by others or is not a key.
    """
    now = now or datetime.now(UTC)
    if not (files.authority.exists() and files.authority_key.exists()):
        _make_authority(files, now)
    for key in (files.authority_key, files.key):
        if key.exists() and key.stat().st_mode & 0o077:
            raise Failure(
                "protocol", "the key of the workers' connection can be read by others", wanted="mode 0600",
                found=oct(key.stat().st_mode & 0o777), todo=f"chmod 600 {key}\nIf others may have read it: delete "
                f"{files.directory} and invite every worker anew.",
            )  # fmt: skip
    if _objection(files, names, now) is not None:
        _issue(files, names, now)


def ends(files: Files) -> datetime:
    """When the master's certificate ends."""
    return x509.load_pem_x509_certificate(files.certificate.read_bytes()).not_valid_after_utc


def _objection(files: Files, names: list[str], now: datetime) -> str | None:
    """Why the certificate has to be made anew, or None."""
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    except (OSError, ValueError):
        return "there is none that can be read"
    if key.public_key() != certificate.public_key():
        return "it is not its key's"
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:
        return "another authority issued it"
    if now > certificate.not_valid_after_utc - timedelta(days=_RENEW_DAYS) or now < certificate.not_valid_before_utc:
        return "its time runs out"
    said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return None if set(said) == set(_alternatives(names)) else "it is for other names"


def _alternatives(names: list[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    form = serialization.PrivateFormat.PKCS8
    write_file(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()), 0o600)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    made = made.serial_number(x509.random_serial_number())
    return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _make_authority(files: Files, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"pymint workers {x509.random_serial_number():x}"[:40])])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        _builder(name, name, key.public_key())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_key(files.authority_key, key)
    write_file(files.authority, certificate.public_bytes(serialization.Encoding.PEM))


def _issue(files: Files, names: list[str], now: datetime) -> None:
    try:
        authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
        signer = serialization.load_pem_private_key(files.authority_key.read_bytes(), None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey) or signer.public_key() != authority.public_key():
            raise ValueError("the key is not the certificate's")
    except (OSError, ValueError) as error:
        raise Failure(
            "protocol", "the authority of the workers' connection can't be used", found=str(error),
            todo=f"Put {files.directory} back from a backup, or delete it and invite every worker anew.",
        ) from error  # fmt: skip
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(subject, authority.subject, key.public_key())
        .not_valid_before(now - _SKEW)
        .not_valid_after(min(now + timedelta(days=CERTIFICATE_DAYS), authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    # The key first: after a kill between the two, the next start finds that they do not fit.
    _write_key(files.key, key)
    write_file(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))
