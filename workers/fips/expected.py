"""What the probes have to find, with FIPS off and on. Data; the same probes run in both modes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["positive", "negative", "neutral"]

# The outcomes of a probe that can't say anything on this machine.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Expected:
    """off, on: the outcome that is right in each mode.

    setting: the check of fipsmodule.cnf that makes the difference. Older providers have no such check, and then the
    probe is left out with FIPS on.
    """

    id: str
    kind: Kind
    off: str
    on: str
    setting: str | None = None


def _works(kind: Kind, *names: str) -> list[Expected]:
    return [Expected(name, kind, "works", "works") for name in names]


def _refused(*names: str) -> list[Expected]:
    return [Expected(name, "negative", "works", "refused") for name in names]


EXPECTED: tuple[Expected, ...] = (
    Expected("mode.get_fips_mode", "positive", "0", "1"),
    Expected("mode.provider", "positive", "none", "named"),
    Expected("mode.module-in-memory", "positive", "absent", "mapped"),
    Expected("mode.libcrypto", "positive", "works", "works"),
    *_works("positive", "hash.sha1", "hash.sha224", "hash.sha256", "hash.sha384", "hash.sha512"),
    *_works("positive", "hash.sha3_256", "hash.sha3_512", "hash.shake_256", "hash.by-name"),
    *_works("positive", "hash.file-digest", "mac.hmac-sha256", "mac.hmac-by-callable", "kdf.pbkdf2"),
    *_works("positive", "random.of-openssl"),
    *_works("positive", "tls.1.3", "tls.1.2", "tls.1.3-rsa", "tls.1.2-rsa", "tls.encrypted-key", "tls.verified"),
    *_works("positive", "tls.aes-gcm-by-default", "tls.offer-p256", "tls.x25519mlkem768"),
    *_works("positive", "process.listener"),
    *_works("positive", "process.manager-fork", "process.manager-spawn", "process.manager-forkserver"),
    *_refused("md5.constructor", "md5.by-name", "md5.of-openssl", "md5.file-digest"),
    *_refused("md5.hmac-by-name", "md5.hmac-by-callable", "md5.hmac-digest"),
    *_refused("md5.in-threads", "md5.in-racing-threads", "md5.in-subinterpreter", "md5.in-child-process"),
    *_refused("md5.in-process-fork", "md5.in-process-spawn", "md5.in-process-forkserver"),
    *_refused("hash.ripemd160", "kdf.scrypt"),
    *_refused("tls.chacha-by-default", "tls.chacha", "tls.offer-chacha", "tls.x25519", "tls.offer-x25519"),
    *_refused("process.md5-peer"),
    Expected("process.wrong-key", "negative", "refused", "refused"),
    Expected("mac.one-byte-key", "negative", "works", "refused", setting="hmac-key-check"),
    Expected("tls.rsa-1024", "negative", "works", "refused", setting="security-checks"),
    Expected("tls.without-extended-master-secret", "negative", "works", "refused", setting="tls1-prf-ems-check"),
    *(
        Expected(f"builtin.{name}", "negative", "absent", "absent")
        for name in ("md5", "sha1", "sha256", "sha512", "sha2", "sha3", "hmac")
    ),
    *_works("neutral", "md5.not-for-security", "md5.by-name-not-for-security"),
    *_works("neutral", "hash.uuid1-and-4", "hash.uuid3", "hash.uuid5", "child.system-openssl"),
)
