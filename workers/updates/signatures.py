"""What vouches for a tarball: upstream's Sigstore bundle or OpenPGP signature, checked against what the rules pin."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import json
import lzma
import re
import shutil
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from workers.updates.in_force import out_of_force
from workers.updates.rules import KEYS, Pgp, Sigstore

# good: checked. missing: upstream should have one and has not. unchecked: it could not be checked here. none: upstream
# does not sign. bad: refused, whatever else speaks for the file.
State = Literal["good", "bad", "missing", "unchecked", "none"]
_CHUNK = 1 << 20
_STATUS = "[GNUPG:] "
# Headers and the checksum at the end may be there or not.
_BEGIN, _END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
_KEY_BLOCK = _BEGIN + r"\n(?:[^\n:]+: [^\n]*\n)*\n(.*?)(?:\n=[^\n]{4})?\n" + _END


@dataclass(frozen=True)
class Verdict:
    """kind: of the witness. said: a sentence for people, with who signed or why not."""

    kind: Literal["sigstore", "pgp", "distribution", "digest", "none"]
    state: State
    said: str


def sigstore(file: Path, bundle: bytes, rule: Sigstore, root: Path | None = None) -> Verdict:
    """Checks a Sigstore bundle without any network. root: a trusted root of one's own instead of the library's."""
    try:
        from sigstore.errors import Error, VerificationError
        from sigstore.hashes import Hashed
        from sigstore.models import Bundle, ClientTrustConfig, InvalidBundle, TrustedRoot
        from sigstore.verify import Verifier, policy
        from sigstore_models.common.v1 import HashAlgorithm
    except ImportError as error:
        return Verdict("sigstore", "unchecked", f"the library `sigstore` is not installed here ({error.name})")
    trusted: Any
    try:
        trusted = TrustedRoot.from_file(str(root)) if root else ClientTrustConfig.production(offline=True).trusted_root
    except (Error, OSError, ValueError) as error:
        return Verdict("sigstore", "unchecked", f"the trusted root can't be read ({_line(error)})")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    refused = f"Sigstore refuses it for {rule.identity} by {rule.issuer}"
    try:
        read = Bundle.from_json(bundle)
        Verifier(trusted_root=trusted).verify_artifact(
            Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest),
            read,
            policy.Identity(identity=rule.identity, issuer=rule.issuer),
        )
        log_key = base64.b64encode(read.log_entry._inner.log_id.key_id).decode()
        ended = out_of_force(json.loads(trusted._inner.to_json()), read.signing_certificate, log_key)
    except (InvalidBundle, VerificationError, ValueError) as error:
        return Verdict("sigstore", "bad", f"{refused}: {_line(error)}")
    if ended:
        return Verdict("sigstore", "bad", f"{refused}: {ended}")
    return Verdict("sigstore", "good", f"Sigstore: signed by {rule.identity}, as {rule.issuer} vouches")


def pgp(file: Path, signature: bytes, rule: Pgp, keys: Path = KEYS) -> Verdict:
    """Checks a detached signature with gpgv against the pinned keys, and the fingerprint of the one that signed.

    A key whose copy has expired may still vouch: its fingerprint is pinned, and the verdict says so. A revoked one not.
    """
    if shutil.which("gpgv") is None:
        return Verdict("pgp", "unchecked", "this machine has no gpgv (Debian's package gpgv)")
    try:
        ring = dearmored((keys / rule.keys).read_text())
    except (OSError, ValueError) as error:
        return Verdict("pgp", "unchecked", f"no key to check it with: {_line(error)}")
    with tempfile.TemporaryDirectory(prefix="pymint-gpgv.") as directory:
        place = Path(directory)
        (place / "ring.gpg").write_bytes(ring)
        (place / "signature").write_bytes(signature)
        signed = file
        if rule.uncompressed:
            signed = place / "signed"
            try:
                _uncompress(file, signed)
            except (gzip.BadGzipFile, EOFError, lzma.LZMAError, zlib.error) as error:
                return Verdict("pgp", "bad", f"what is signed can't be unpacked ({_line(error)})")
        done = subprocess.run(
            ["gpgv", "--homedir", directory, "--status-fd", "1", "--keyring", str(place / "ring.gpg"),
             str(place / "signature"), str(signed)],
            capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return judged(done.stdout, rule.fingerprints)


def judged(status: str, fingerprints: tuple[str, ...]) -> Verdict:
    """What gpgv's status lines say. A signature counts by the key's own fingerprint or its primary key's."""
    lines = [line.removeprefix(_STATUS).split() for line in status.splitlines() if line.startswith(_STATUS)]
    words = {line[0]: line[1:] for line in lines if line}
    signers = [{line[1], line[-1]} for line in lines if line[:1] == ["VALIDSIG"]]
    if {"BADSIG", "REVKEYSIG", "EXPSIG"} & set(words) or ("ERRSIG" in words and "NO_PUBKEY" not in words):
        why = "it is not over these bytes"
        if "BADSIG" not in words:
            why = "the key is revoked" if "REVKEYSIG" in words else "it has expired" if "EXPSIG" in words else why
        return Verdict("pgp", "bad", f"the OpenPGP signature is bad: {why}")
    if not signers and "NO_PUBKEY" not in words:
        return Verdict("pgp", "bad", "what lies beside it is no OpenPGP signature, or not a whole one")
    if not signers:
        key = (words["NO_PUBKEY"] or ["unknown"])[0]
        return Verdict("pgp", "bad", f"signed by the key {key}, which is none of the pinned ones")
    for names in signers:
        known = [one for one in fingerprints if one in names]
        if not known:
            return Verdict("pgp", "bad", f"signed by {'/'.join(sorted(names))}, which updates.toml does not name")
    expired = "; this copy of the key has expired since" if "EXPKEYSIG" in words else ""
    return Verdict("pgp", "good", f"OpenPGP: signed by {' '.join(sorted(signers[0] & set(fingerprints)))}{expired}")


def dearmored(text: str) -> bytes:
    """The packets of all armoured key blocks of a text (RFC 9580, 6.2). Raises ValueError for a text without any."""
    blocks = re.findall(_KEY_BLOCK, text, re.DOTALL)
    if not blocks:
        raise ValueError("the file has no OpenPGP public key block")
    return b"".join(base64.b64decode("".join(block.split()), validate=True) for block in blocks)


def _uncompress(file: Path, into: Path) -> None:
    with file.open("rb") as stream:
        magic = stream.read(6)
    openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
    opened = next((opener for mark, opener in openers.items() if magic.startswith(mark)), Path.open)
    with cast(IO[bytes], opened(file, "rb")) as source, into.open("wb") as target:
        shutil.copyfileobj(source, target, _CHUNK)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
