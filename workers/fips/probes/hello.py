"""What a server chooses: ClientHellos of our own, which offer one thing alone, and ServerHellos read byte by byte.

So what Python's ssl has no name for (a group, a cipher of TLS 1.3) is asked about in every version of it.
"""

from __future__ import annotations

import contextlib
import json
import struct

from workers.fips.probes.core import Outcome, Wrong, probe
from workers.fips.probes.tls import contexts

# RFC 8446, 4.2.7 and B.4; draft-ietf-tls-ecdhe-mlkem for the last one.
P256, X25519, X25519MLKEM768 = 0x0017, 0x001D, 0x11EC
AES_128_GCM, CHACHA20 = 0x1301, 0x1303

# The base points of both curves: public keys as good as any. FIPS 186-4, D.1.2.3; RFC 7748, 4.1.
_KEYS = {
    P256: bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    ),
    X25519: b"\x09" + bytes(31),
}


def _sized(form: str, data: bytes) -> bytes:
    """`data` behind its length, in the struct format `form`."""
    return struct.pack(form, len(data)) + data


def client_hello(group: int, cipher: int) -> bytes:
    """A TLS 1.3 ClientHello, RFC 8446, 4.1.2, that offers one group and one cipher."""
    share = struct.pack(">H", group) + _sized(">H", _KEYS[group])
    extensions = {
        43: _sized(">B", b"\x03\x04"),  # supported_versions: TLS 1.3
        10: _sized(">H", struct.pack(">H", group)),  # supported_groups
        13: _sized(">H", b"\x04\x03\x08\x04"),  # signature_algorithms: ECDSA P-256, RSA-PSS, both with SHA-256
        51: _sized(">H", share),  # key_share
    }
    body = b"\x03\x03" + bytes(range(32)) + _sized(">B", bytes(32)) + _sized(">H", struct.pack(">H", cipher))
    body += _sized(">B", b"\0")
    body += _sized(">H", b"".join(struct.pack(">H", kind) + _sized(">H", data) for kind, data in extensions.items()))
    return b"\x16\x03\x01" + _sized(">H", b"\x01" + struct.pack(">I", len(body))[1:] + body)


def choice_of(server_hello: bytes) -> tuple[int, int | None]:
    """The cipher and the group of a ServerHello, RFC 8446, 4.1.3, at the beginning of what a server sent."""
    if server_hello[:1] != b"\x16" or server_hello[5:6] != b"\x02":
        raise Wrong(f"no ServerHello but {server_hello[:8].hex()}")
    at = 5 + 4 + 2 + 32
    at += 1 + server_hello[at]
    (cipher,) = struct.unpack_from(">H", server_hello, at)
    at += 2 + 1
    (length,) = struct.unpack_from(">H", server_hello, at)
    at, end = at + 2, at + 2 + length
    while at < end:
        kind, size = struct.unpack_from(">HH", server_hello, at)
        if kind == 51:
            return cipher, struct.unpack_from(">H", server_hello, at + 4)[0]
        at += 4 + size
    return cipher, None


def _offer(group: int, cipher: int) -> Outcome:
    """What a server with a P-256 key answers to one offer; an SSLError where it has nothing to answer."""
    import ssl

    server, _ = contexts()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = server.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(client_hello(group, cipher))
    with contextlib.suppress(ssl.SSLWantReadError):
        end.do_handshake()
    found = choice_of(outgoing.read())
    if found != (cipher, group):
        raise Wrong(f"cipher {found[0]:#06x}, group {found[1]}")
    return "works", f"cipher {cipher:#06x}, group {group:#06x}"


@probe("tls.offer-p256")
def offer_p256() -> Outcome:
    """The offer that both modes take: so it is not the offers' form that is refused."""
    return _offer(P256, AES_128_GCM)


@probe("tls.offer-x25519")
def offer_x25519() -> Outcome:
    return _offer(X25519, AES_128_GCM)


@probe("tls.offer-chacha")
def offer_chacha() -> Outcome:
    return _offer(P256, CHACHA20)


@probe("tls.x25519mlkem768")
def x25519mlkem768() -> Outcome:
    """The group that two ends without any setting agree on."""
    import ssl

    server, client = contexts(version="TLSv1_3")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    first = client.wrap_bio(to_client, to_server, server_hostname="fixture.test")
    second = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (first, second):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    flight = to_client.read()
    _, group = choice_of(flight)
    if group != X25519MLKEM768:
        older = _older_than_mlkem()
        if older:
            return "unknown", older
        raise Wrong(f"group {group:#06x}" if group is not None else "no group")
    to_client.write(flight)
    first.do_handshake()
    second.do_handshake()
    return "works", f"{first.version()}, group {group:#06x}"


def _older_than_mlkem() -> str | None:
    """Which part of this Python's OpenSSL is from before 3.5, which brought ML-KEM; None when neither is."""
    import _hashlib
    import ssl

    if ssl.OPENSSL_VERSION_INFO[:2] < (3, 5):
        return f"{ssl.OPENSSL_VERSION} has no ML-KEM"
    facts = getattr(_hashlib, "fips_provider", None)
    if facts is not None and tuple(int(part) for part in facts[1].split(".")[:2]) < (3, 5):
        return f"a provider of release {json.dumps(facts[1])} has no ML-KEM"
    return None
