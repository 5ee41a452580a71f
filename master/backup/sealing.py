"""Secrets in a backup: encrypted with a passphrase, so that whoever gets the backup gets no keys."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from master.secrets.places import Place
from workers.errors import Failure

NONCE = 12
# RFC 7914's parameters for files: 128 MiB, half a second.
_SCRYPT: dict[str, int] = {"n": 2**17, "r": 8, "p": 1, "maxmem": 256 * 1024 * 1024}


def passphrase_of(path: Place) -> bytes:
    """The passphrase at a place, without the end of its line. Raises Failure when others may read it or guess it."""
    content = _in_file(path) if isinstance(path, Path) else path.read().encode()
    if len(content) < 12:
        raise Failure(
            "backup", f"the passphrase in {path} is too short", wanted="at least 12 characters",
            found=str(len(content)), todo="Take a longer one, such as `openssl rand -base64 32` prints.",
        )  # fmt: skip
    return content


def _in_file(path: Path) -> bytes:
    try:
        mode, content = path.stat().st_mode, path.read_bytes().strip()
    except OSError as error:
        what = f"the passphrase {path} can't be read"
        raise Failure("backup", what, found=str(error), todo="Name another.") from error
    if mode & 0o077:
        raise Failure(
            "backup", f"the passphrase {path} can be read by others", wanted="mode 0600", found=oct(mode & 0o777),
            todo=f"chmod 600 {path}",
        )  # fmt: skip
    return content


@dataclass(frozen=True)
class Seal:
    """AES-256-GCM with a key made of a passphrase. A file's name is bound to its bytes."""

    key: bytes
    salt: bytes

    @classmethod
    def of(cls, passphrase: bytes, salt: bytes | None = None) -> Seal:
        chosen = os.urandom(16) if salt is None else salt
        return cls(hashlib.scrypt(passphrase, salt=chosen, dklen=32, **_SCRYPT), chosen)

    def close(self, name: str, content: bytes) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + AESGCM(self.key).encrypt(nonce, content, name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        """Raises Failure for another passphrase, and for bytes that are not those of that name."""
        try:
            return AESGCM(self.key).decrypt(sealed[:NONCE], sealed[NONCE:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise Failure(
                "backup", f"{name} can't be decrypted", wanted="the passphrase that the backup was made with",
                found="another, or changed bytes", todo="Nothing was written for it. Name the right passphrase file.",
            ) from error  # fmt: skip
