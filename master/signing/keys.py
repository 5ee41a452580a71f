"""The directory of keys: made on first use, for its owner alone. `NAME.pem` is secret; `NAME.pub`, `NAME.crt` are not.

No error in here repeats what a key file holds.
"""

from __future__ import annotations

import base64
import hashlib
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.signer import ECDSA_SHA2_NISTP256, CryptoSigner, SecretsHandler, Signer, SSlibKey

from master.home import write_file
from master.secrets.places import Place
from master.signing import certificates, services
from master.signing.certificates import Authority
from workers.errors import Failure

FILE = "file2:"


@dataclass(frozen=True)
class SigningKey:
    """A key by its name. hint: base64 of the sha256 of its SubjectPublicKeyInfo, as cosign names keys."""

    name: str
    signer: Signer
    spki: bytes

    @property
    def hint(self) -> str:
        return hint_of(self.spki)


def hint_of(spki: bytes) -> str:
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def spki_of(key: SSlibKey) -> bytes:
    """SubjectPublicKeyInfo, DER."""
    return load_pem_public_key(key.keyval["public"].encode()).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )


def read_public(data: bytes, origin: str) -> SSlibKey:
    """A public key from its PEM. Raises Failure when it is none."""
    try:
        return SSlibKey.from_crypto(load_pem_public_key(data))
    except ValueError as error:
        raise Failure(
            "signing", f"{origin} is no public key", wanted="PEM, BEGIN PUBLIC KEY", todo="Name another file."
        ) from error


def read_chain(directory: Path, name: str) -> tuple[x509.Certificate, ...]:
    """The certificates of `NAME.crt`, in their order. Raises Failure when there are none."""
    path = directory / f"{name}.crt"
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise Failure(
            "signing", f"{path.name} can't be read", wanted="a chain as PEM, its own certificate first, the root last",
            found=error.strerror if isinstance(error, OSError) else "no certificate", todo=f"Put it into {directory}.",
        ) from error  # fmt: skip


def check_private(path: Path) -> None:
    """Raises Failure when anybody but its owner may read or change a file, or its directory lets others in to write."""
    try:
        mode, above = path.stat().st_mode, path.parent.stat().st_mode
    except OSError as error:
        raise Failure(
            "signing", f"the key {path.name} can't be read", found=error.strerror or "no such file",
            todo=f"Bring {path} back from its backup. A key of another name is made anew: see docs/provenance.md.",
        ) from error  # fmt: skip
    if mode & 0o077 or above & 0o022:
        raise Failure(
            "signing", f"the key {path.name} is not its owner's alone", wanted="mode 0600, in a directory of mode 0700",
            found=f"{stat.filemode(mode)} in {stat.filemode(above)}",
            todo=f"chmod 600 {path}; chmod 700 {path.parent}. Others may have read it: consider another key.",
        )  # fmt: skip


def make(directory: Path, name: str) -> None:
    """A new ECDSA P-256 key, unless there is one of that name."""
    secret, public = directory / f"{name}.pem", directory / f"{name}.pub"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if public.exists():
        return
    if secret.exists():  # the public half was lost, or a start was killed before it wrote it
        signer = _signer_of(secret)
    else:
        signer = CryptoSigner.generate_ecdsa()
        write_file(secret, signer.private_bytes, 0o600)
    write_file(public, signer.public_key.keyval["public"].encode(), 0o644)


def _signer_of(path: Path) -> CryptoSigner:
    """What a key file signs with. Raises Failure, which says nothing of what it holds."""
    check_private(path)
    try:
        return CryptoSigner(load_pem_private_key(path.read_bytes(), None))
    except Exception as error:
        raise Failure(
            "signing", f"the key {path.stem} can't be used", wanted=f"a private key as PEM in {path}",
            found=type(error).__name__, todo="It is not written over. Bring it back from its backup, or move it away:\n"
            "then a new key is made, and what the old one signed is verified by its public half only.",
        ) from None  # fmt: skip


def load(directory: Path, name: str, uri: str | None, pin_file: Place | None = None) -> SigningKey:
    """A key to sign with: `NAME.pem` of the directory, or what the URI names, whose public key is `NAME.pub`.

    pin_file: where the PIN of a device is; read each time that it signs. Raises Failure, which says nothing of what the
    key file holds.
    """
    public = directory / f"{name}.pub"
    try:
        key = read_public(public.read_bytes(), public.name)
    except OSError as error:
        raise Failure(
            "signing", f"there is no public key {public.name}", found=error.strerror,
            todo=f"A key that lies elsewhere needs its public key as PEM in {public}. Others are made by ./mint up.",
        ) from error  # fmt: skip
    chosen = uri or f"{FILE}{directory / f'{name}.pem'}"
    if chosen.startswith(FILE):
        check_private(Path(chosen.removeprefix(FILE)))
    if isinstance(pin_file, Path):
        check_private(pin_file)
    services.give_up_in_time(chosen)
    try:
        signer = Signer.from_priv_key_uri(chosen, key, _pin_of(pin_file) if pin_file is not None else None)
    except Exception as error:
        # Whatever the many kinds of keys raise; its text might quote the key.
        raise Failure(
            "signing", f"the key {name} can't be used", wanted=f"the private key of {public.name} ({key.scheme})",
            found=type(error).__name__, todo=services.advice(chosen.partition(":")[0], error),
        ) from None  # fmt: skip
    return SigningKey(name, services.Checked(name, signer), spki_of(key))


def _pin_of(place: Place) -> SecretsHandler:
    def read(_: str) -> str:
        return place.read_text().strip() if isinstance(place, Path) else place.read()

    return read


def authority(directory: Path, name: str, uri: str | None, pin_file: Place | None = None) -> Authority:
    """A key with its chain, `NAME.crt`. Raises Failure; also when chain and key do not belong together."""
    key = load(directory, name, uri, pin_file)
    chain = read_chain(directory, name)
    own = chain[0].public_key()
    found = own.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if found != key.spki or key.signer.public_key.scheme != ECDSA_SHA2_NISTP256:
        raise Failure(
            "signing", f"{name}.crt is not the certificate of the key {name}",
            wanted=f"an ECDSA P-256 key, {key.hint}", found=hint_of(found), todo="Put its own certificate first.",
        )  # fmt: skip
    return Authority(key.signer, chain)


def make_authority(directory: Path, name: str, organisation: str, now: datetime) -> None:
    """A new key with a certificate that it signed itself, unless there is one of that name."""
    if (directory / f"{name}.crt").exists():
        return
    make(directory, name)
    key = load(directory, name, None)
    root = certificates.self_signed(key.signer, elliptic(key.spki), organisation, f"pymint {name}", now)
    _write_chain(directory, name, root)


def make_service(directory: Path, name: str, organisation: str, now: datetime) -> None:
    """A new timestamping key, issued by a root whose own key is forgotten at once, unless there is one of that name."""
    if (directory / f"{name}.crt").exists():
        return
    make(directory, name)
    signer = CryptoSigner.generate_ecdsa()
    root = certificates.self_signed(signer, elliptic(spki_of(signer.public_key)), organisation, f"pymint {name}", now)
    key = elliptic(load(directory, name, None).spki)
    own = certificates.timestamping(Authority(signer, (root,)), key, organisation, now)
    _write_chain(directory, name, own, root)


def elliptic(spki: bytes) -> ec.EllipticCurvePublicKey:
    """An elliptic curve's public key from its SubjectPublicKeyInfo."""
    key = load_der_public_key(spki)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("not an elliptic curve key")
    return key


def _write_chain(directory: Path, name: str, *chain: x509.Certificate) -> None:
    write_file(directory / f"{name}.crt", b"".join(one.public_bytes(Encoding.PEM) for one in chain))
