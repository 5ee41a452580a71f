"""Hashes of passwords: those of `[login.users]`, and the bcrypt ones of Apache's `htpasswd -B`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from pathlib import Path

import bcrypt

from workers.errors import Failure

# RFC 7914 and current guidance for interactive logins: 32 MiB, about 100 ms.
_SCRYPT: dict[str, int] = {"n": 2**15, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}
_BCRYPT = re.compile(r"\A\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}\Z")
_OURS = re.compile(r"\Ascrypt:[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+\Z")
# bcrypt reads no further, and refuses what is longer rather than cut it.
_BCRYPT_LIMIT = 72


def hash_of(password: str, salt: bytes | None = None) -> str:
    """`scrypt:<salt>:<hash>`, both base64."""
    salt = os.urandom(16) if salt is None else salt
    digest = hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)
    return ":".join(["scrypt", base64.b64encode(salt).decode(), base64.b64encode(digest).decode()])


def matches(password: str, wanted: str) -> bool:
    """Whether a password is the one that was hashed. False for what is no hash."""
    try:
        if _BCRYPT.match(wanted):
            word = password.encode()
            return len(word) <= _BCRYPT_LIMIT and bcrypt.checkpw(word, wanted.encode())
        kind, salt, _ = wanted.split(":")
        found = hash_of(password, base64.b64decode(salt, validate=True))
    except ValueError:
        return False
    return kind == "scrypt" and hmac.compare_digest(found, wanted)


# Held against the password of a name that does not exist, so that it takes as long as a wrong one.
NOBODYS = hash_of("", b"0" * 16)


def is_hash(text: str) -> bool:
    return bool(_OURS.match(text) or _BCRYPT.match(text))


def read_htpasswd(path: Path) -> dict[str, str]:
    """Names and hashes of a file with a `NAME:HASH` a line. Raises Failure for what can't be read or is too weak."""
    try:
        if path.stat().st_mode & 0o007:
            raise _wrong(path, "the file can be read by everyone", "a file for its owner only", f"chmod 640 {path}")
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, "the file can't be read", "a file with a NAME:HASH a line", found=str(error)) from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, said = line.strip().partition(":")
        if not name or not is_hash(said):
            # The hash itself is told to nobody.
            what = f"line {number}: the hash of {name!r} is of no kind that is taken"
            raise _wrong(
                path, what, "bcrypt or scrypt", f"htpasswd -B {path} {name}, or python -m master.access {name}"
            )
        if name in found:
            raise _wrong(path, f"line {number}: {name!r} is there twice", "each name once", "Take one of them out.")
        found[name] = said
    return found


def _wrong(path: Path, what: str, wanted: str, todo: str = "Mend or make it.", found: str | None = None) -> Failure:
    return Failure("access", f"{path}: {what}", wanted=wanted, found=found, todo=todo)


class PasswordFile:
    """An htpasswd file, read again when it was changed: who is taken out can't log in any more, without a restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users = read_htpasswd(path)
        self._seen = self._state()

    def _state(self) -> tuple[int, int, int]:
        facts = self.path.stat()
        return facts.st_ino, facts.st_mtime_ns, facts.st_size

    def users(self) -> dict[str, str]:
        """Raises Failure when the file is gone or was spoiled: then nobody gets in, rather than who was taken out."""
        try:
            state = self._state()
        except OSError as error:
            raise _wrong(self.path, "the file is gone", "a file with a NAME:HASH a line", found=str(error)) from error
        if state != self._seen:
            self._users, self._seen = read_htpasswd(self.path), state
        return self._users
