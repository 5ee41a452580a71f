"""Handshakes in memory, and the random numbers of OpenSSL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workers.fips.probes.core import Outcome, Wrong, probe

if TYPE_CHECKING:
    import ssl

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


def contexts(
    certificate: str = "test-fixture-p256.pem", version: str | None = None, ciphers: str | None = None
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    import ssl

    pem = FIXTURES / certificate
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for context in (server, client):
        if version is not None:
            context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
        if ciphers is not None:
            context.set_ciphers(ciphers)
    server.load_cert_chain(pem)
    return server, client


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> Outcome:
    """A handshake in memory; the protocol, cipher and a message through it."""
    import ssl

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="fixture.test"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    for _ in range(20):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            break
    else:
        raise ssl.SSLError("no handshake in 20 rounds")
    ends[0].write(b"hello")
    if ends[1].read(5) != b"hello":
        raise Wrong("the message did not arrive")
    cipher = ends[0].cipher()
    return "works", f"{ends[0].version()}, {cipher[0] if cipher else 'no cipher'}"


@probe("tls.1.3")
def tls13() -> Outcome:
    return shake_hands(*contexts(version="TLSv1_3"))


@probe("tls.1.2")
def tls12() -> Outcome:
    return shake_hands(*contexts(version="TLSv1_2"))


@probe("tls.1.3-rsa")
def tls13_rsa() -> Outcome:
    return shake_hands(*contexts("test-fixture-rsa2048.pem", version="TLSv1_3"))


@probe("tls.1.2-rsa")
def tls12_rsa() -> Outcome:
    return shake_hands(*contexts("test-fixture-rsa2048.pem", version="TLSv1_2"))


@probe("tls.encrypted-key")
def tls_encrypted_key() -> Outcome:
    """A key file under a password: PKCS #8, PBES2, PBKDF2 with SHA-256 and AES-256."""
    server, client = contexts()
    server.load_cert_chain(
        FIXTURES / "test-fixture-p256.pem", FIXTURES / "test-fixture-p256-encrypted.pem", "a password of the fixture"
    )
    return shake_hands(server, client)


@probe("tls.verified")
def tls_verified() -> Outcome:
    import ssl

    server, client = contexts()
    client.verify_mode = ssl.CERT_REQUIRED
    client.load_verify_locations(FIXTURES / "test-fixture-p256.pem")
    return shake_hands(server, client)


@probe("tls.aes-gcm-by-default")
def tls_aes_gcm() -> Outcome:
    import ssl

    names = [cipher["name"] for cipher in ssl.create_default_context().get_ciphers()]
    found = [name for name in names if "AES" in name and "GCM" in name]
    if not found:
        raise ValueError("none among " + ", ".join(names))
    return "works", f"{len(names)} ciphers, {len(found)} of them AES-GCM"


@probe("tls.chacha-by-default")
def tls_chacha_default() -> Outcome:
    import ssl

    names = [cipher["name"] for cipher in ssl.create_default_context().get_ciphers()]
    found = [name for name in names if "CHACHA" in name]
    if not found:
        raise ValueError(f"none among {len(names)} ciphers")
    return "works", ", ".join(found)


@probe("tls.chacha")
def tls_chacha() -> Outcome:
    return shake_hands(*contexts(version="TLSv1_2", ciphers="ECDHE-ECDSA-CHACHA20-POLY1305"))


@probe("tls.x25519")
def tls_x25519() -> Outcome:
    import ssl

    server, client = contexts(version="TLSv1_3")
    try:
        server.set_ecdh_curve("X25519")
    except ssl.SSLError as error:
        # Seen with 3.11, whose set_ecdh_curve takes only what OpenSSL calls an EC curve.
        if "UNKNOWN_GROUP" in str(error):
            return "unknown", "this Python's ssl can't choose X25519"
        raise
    return shake_hands(server, client)


@probe("tls.rsa-1024")
def tls_rsa_1024() -> Outcome:
    # At the default security level OpenSSL refuses the certificate with or without FIPS.
    return shake_hands(*contexts("test-fixture-rsa1024.pem", ciphers="DEFAULT:@SECLEVEL=0"))


@probe("tls.without-extended-master-secret")
def tls_without_ems() -> Outcome:
    server, client = contexts(version="TLSv1_2")
    server.options |= 1  # SSL_OP_NO_EXTENDED_MASTER_SECRET, which Python's ssl has no name for
    return shake_hands(server, client)


@probe("random.of-openssl")
def random_of_openssl() -> Outcome:
    import ssl

    if ssl.RAND_bytes(32) == ssl.RAND_bytes(32):
        raise Wrong("the same bytes twice")
    return "works"
