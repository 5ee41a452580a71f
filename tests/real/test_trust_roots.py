"""The system's certificates are found where each system keeps them, FIPS mode off and on; the environment wins."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.real.roots import Root
from workers.model import ROOT

pytestmark = [pytest.mark.real, pytest.mark.ci]

FIXTURE = (ROOT / "workers" / "fips" / "fixtures" / "test-fixture-p256.pem").read_text()
CERTIFICATE = FIXTURE[FIXTURE.index("-----BEGIN CERTIFICATE") :]
HASH = "89c86252.0"  # openssl x509 -hash
BUNDLE = "# a bundle\n" + CERTIFICATE

# The files of a system's certificates; a value that begins with > is a link.
SYSTEMS = {
    "Debian, Ubuntu": {
        "etc/ssl/certs/fixture.pem": CERTIFICATE,
        f"etc/ssl/certs/{HASH}": ">fixture.pem",
        "etc/ssl/certs/ca-certificates.crt": BUNDLE,
    },
    "RHEL 7, RHEL 8": {
        "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": BUNDLE,
        "etc/pki/tls/certs/ca-bundle.crt": ">/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "etc/pki/tls/cert.pem": ">certs/ca-bundle.crt",
        "etc/ssl/certs": ">../pki/tls/certs",
    },
    "RHEL 9": {
        "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": BUNDLE,
        "etc/pki/tls/certs/ca-bundle.crt": ">/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "etc/pki/tls/cert.pem": ">/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "etc/ssl/certs": ">../pki/tls/certs",
        "etc/ssl/cert.pem": ">/etc/pki/tls/cert.pem",
    },
    # From Fedora 43 on no /etc/pki/tls/cert.pem, and the directory holds hashed names.
    "Fedora": {
        "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": BUNDLE,
        "etc/pki/ca-trust/extracted/pem/directory-hash/fixture.pem": CERTIFICATE,
        f"etc/pki/ca-trust/extracted/pem/directory-hash/{HASH}": ">fixture.pem",
        "etc/ssl/certs": ">/etc/pki/ca-trust/extracted/pem/directory-hash",
    },
    "Fedora without links": {"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": BUNDLE},
    "SUSE": {
        "var/lib/ca-certificates/ca-bundle.pem": BUNDLE,
        "etc/ssl/ca-bundle.pem": ">/var/lib/ca-certificates/ca-bundle.pem",
    },
    "a slim container with nothing but a bundle": {"etc/ssl/certs/ca-certificates.crt": BUNDLE},
    "Arch, Alpine": {"etc/ssl/cert.pem": BUNDLE},
    "macOS": {"private/etc/ssl/cert.pem": BUNDLE, "etc/ssl": ">../private/etc/ssl"},
}

# A client that is told nothing of certificates, and a server that has the fixture's.
ASK = """
import json, ssl, sys
client = ssl.create_default_context()
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain("/fixture.pem")
to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
ends = [
    client.wrap_bio(to_client, to_server, server_hostname="fixture.test"),
    server.wrap_bio(to_server, to_client, server_side=True),
]
said = "no handshake"
try:
    for _ in range(8):
        for end in ends:
            try:
                end.do_handshake()
                said = "verified" if end is ends[0] else said
            except ssl.SSLWantReadError:
                pass
except ssl.SSLCertVerificationError as error:
    said = error.verify_message
paths = ssl.get_default_verify_paths()
fips = ssl._ssl.fips_provider is not None
json.dump({"said": said, "file": paths.cafile, "directory": paths.capath, "fips": fips}, sys.stdout)
"""


@pytest.fixture
def root(bare_root: Root) -> Root:
    """A system without certificates."""
    for name in ("etc", "var", "private"):
        shutil.rmtree(bare_root.path / name, ignore_errors=True)
    bare_root.put("fixture.pem", FIXTURE)
    return bare_root


def laid_out(root: Root, system: str) -> Root:
    for name, content in SYSTEMS[system].items():
        if content.startswith(">"):
            root.link(name, content[1:])
        else:
            root.put(name, content)
    return root


def asked(root: Root, **environment: str) -> dict[str, Any]:
    ran = root.run("-I", "-c", ASK, **environment)
    assert ran.code == 0, ran.err
    return dict(json.loads(ran.out))


@pytest.mark.parametrize("fips", ["", "1"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_certificate_of_the_system_is_trusted(root: Root, system: str, fips: str) -> None:
    said = asked(laid_out(root, system), PYTHON_FIPS=fips)
    assert (said["said"], said["fips"]) == ("verified", fips == "1")
    assert said["file"] or said["directory"]


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("system", ["Debian, Ubuntu", "RHEL 7, RHEL 8"])
def test_the_environment_wins_where_it_leads_nowhere(root: Root, system: str, variable: str) -> None:
    """Of OpenSSL's own two places the other one still counts; on Red Hat's systems neither has anything."""
    said = asked(laid_out(root, system), **{variable: "/nothing"})
    both = asked(root, SSL_CERT_FILE="/nothing", SSL_CERT_DIR="/nothing")
    assert both["said"] != "verified"
    assert (said["said"] == "verified") == ((system, variable) == ("Debian, Ubuntu", "SSL_CERT_FILE"))


@pytest.mark.parametrize("fips", ["", "1"])
def test_the_environment_wins_where_the_system_has_nothing(root: Root, fips: str) -> None:
    root.put("etc/own.pem", CERTIFICATE)
    assert asked(root, PYTHON_FIPS=fips)["said"] != "verified"
    assert asked(root, PYTHON_FIPS=fips, SSL_CERT_FILE="/etc/own.pem")["said"] == "verified"
    root.put(f"etc/own/{HASH}", CERTIFICATE)
    assert asked(root, PYTHON_FIPS=fips, SSL_CERT_DIR="/etc/own")["said"] == "verified"


def test_without_certificates_nothing_is_trusted_and_no_file_is_named(root: Root) -> None:
    assert asked(root) == {
        "said": "self-signed certificate",
        "file": None,
        "directory": None,
        "fips": False,
    }
