"""Keys in AWS KMS and in Vault, by their URIs: over HTTP, against fakes of both services on loopback.

moto is a fake of AWS, made by others, which signs for real, but (5.2, as it says itself) takes a digest for a message
and hashes it again: here it is taught what AWS documents. Vault's is `fake_vault`, after its documentation. Neither
tells how the real services differ from what they document.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from master import instance
from master.home import Home
from master.settings import Settings
from master.signing import keeping, services, statement
from master.signing.bundle import Bundle
from master.signing.pen import pen_of
from master.signing.verify import Wanted, verify
from tests.unit import fake_vault
from tests.unit.fake_vault import FakeVault
from tests.unit.signing_samples import COMMIT, CONTENT, NAME, NAMES, NOW, evidence, published, sha, signing
from workers.errors import Failure

SECRET = "kmsS3cret/with+slashes0123456789abcdefgh"
ALIAS = "alias/farm"


@dataclass(frozen=True)
class Service:
    """One of the two. uri: of the farm's key; other: of one that is there too; gone: of one that is not.

    address: the variable that leads to it. secret: what opens it, in the environment; wrong: sets another one.
    """

    uri: str
    other: str
    gone: str
    public: ec.EllipticCurvePublicKey
    address: str
    secret: str
    wrong: Callable[[], None]


@pytest.fixture(scope="module")
def kms() -> Iterator[Any]:
    """AWS KMS, with two keys for signing, ECDSA on P-256."""
    import boto3
    from moto.kms.utils import ECDSAPrivateKey
    from moto.server import ThreadedMotoServer

    def of_digest(key: Any, message: bytes, signing_algorithm: str) -> bytes:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html, MessageType DIGEST, as clients ask."""
        assert signing_algorithm == "ECDSA_SHA_256"
        return bytes(key.private_key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256()))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ECDSAPrivateKey, "sign", of_digest)
        yield from _moto(ThreadedMotoServer, boto3)


def _moto(kind: Any, boto3: Any) -> Iterator[Any]:
    server = kind(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.session.Session().client(
        "kms", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", aws_access_key_id="x",
        aws_secret_access_key="y",
    )  # fmt: skip
    keys = [
        client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"] for _ in range(2)
    ]
    client.create_alias(AliasName=ALIAS, TargetKeyId=keys[0])
    try:
        yield f"http://{host}:{port}", keys, client
    finally:
        server.stop()


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with fake_vault.running() as server:
        server.keys["farm"] = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
        yield server


@pytest.fixture(params=["awskms", "hv"])
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Service:
    if request.param == "awskms":
        address, keys, client = request.getfixturevalue("kms")
        for name, value in (
            ("AWS_ENDPOINT_URL_KMS", address), ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "AKIAFARM"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        public = load_der_public_key(client.get_public_key(KeyId=keys[0])["PublicKey"])
        assert isinstance(public, ec.EllipticCurvePublicKey)
        monkeypatch.setattr(services, "ATTEMPTS", 1)
        return Service(
            f"awskms:{ALIAS}", f"awskms:{keys[1]}", "awskms:alias/gone", public, "AWS_ENDPOINT_URL_KMS", SECRET,
            lambda: None,
        )  # fmt: skip
    server: FakeVault = request.getfixturevalue("vault")
    monkeypatch.setenv("VAULT_ADDR", server.url)
    monkeypatch.setenv("VAULT_TOKEN", fake_vault.TOKEN)
    public = server.keys["farm"][0].public_key()
    return Service(
        "hv:farm/1", "hv:farm/2", "hv:gone/1", public, "VAULT_ADDR", fake_vault.TOKEN,
        lambda: monkeypatch.setenv("VAULT_TOKEN", "hvs.WRONGtoken"),
    )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, service: Service) -> Home:
    """A farm that has the public half of its key only."""
    home = Home(tmp_path, tmp_path)
    home.keys.mkdir(mode=0o700)
    text = service.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (home.keys / "farm.pub").write_bytes(text)
    keeping.prepare(home, signing("key", key=service.uri), NOW)
    return home


def sign(home: Home, settings: Settings) -> Bundle:
    payload = statement.payload(statement.of_build(evidence(), NAMES))
    return pen_of(home, settings, dry_run=False).sign(payload, NAMES, COMMIT, NOW).bundle


def refused(home: Home, uri: str) -> Failure:
    with pytest.raises(Failure) as caught:
        sign(home, signing("key", key=uri))
    return caught.value


def test_what_a_service_signs_verifies_and_no_secret_file_is_made(home: Home, service: Service) -> None:
    bundle = sign(home, signing("key", key=service.uri))
    verify(NAME, sha(CONTENT), bundle, published(home), Wanted(commit=COMMIT))
    assert not (home.keys / "farm.pem").exists()


def test_another_key_than_the_published_one_is_refused(home: Home, service: Service) -> None:
    failure = refused(home, service.other)
    assert failure.what == "what signs as farm is another key than farm.pub"
    assert "[signing] key" in failure.todo


def test_a_key_that_the_service_does_not_have_is_told(home: Home, service: Service) -> None:
    failure = refused(home, service.gone)
    assert failure.what == "the key farm could not sign"
    assert failure.found in ("NotFoundException: NotFoundException", "InvalidRequest")


def test_a_service_that_is_away_is_told(home: Home, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))  # bound and not listening: whoever comes is refused
        monkeypatch.setenv(service.address, f"http://127.0.0.1:{one.getsockname()[1]}")
        failure = refused(home, service.uri)
    assert failure.what == "the key farm could not sign"
    assert failure.found in ("EndpointConnectionError", "ConnectionError")
    assert "Is the service or device that holds the key there" in failure.todo


def test_a_service_that_never_answers_is_given_up(
    home: Home, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    if service.uri.startswith("hv:"):
        pytest.skip("hvac's own limit is 30 s and can't be set from here: longer than this test may take")
    monkeypatch.setattr(services, "READ_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as one:  # takes connections, and never reads
        monkeypatch.setenv(service.address, f"http://127.0.0.1:{one.getsockname()[1]}")
        assert refused(home, service.uri).found == "ReadTimeoutError"


def test_what_opens_the_service_is_in_no_error_and_no_log(
    home: Home, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("botocore", "urllib3", "securesystemslib", "hvac"):
        caplog.set_level(logging.INFO, logger=name)  # as the signer runs them; DEBUG of a client tells headers
    service.wrong()
    failures = [refused(home, service.gone)]
    monkeypatch.setenv(service.address, "http://127.0.0.1:9")
    failures.append(refused(home, service.uri))
    for failure in failures:
        assert failure.__suppress_context__
        assert failure.__cause__ is None
        assert service.secret not in str(failure)
        assert "WRONGtoken" not in str(failure)
    assert service.secret not in caplog.text
    assert "WRONGtoken" not in caplog.text


def test_the_worker_gets_nothing_that_opens_the_service(home: Home, service: Service) -> None:
    assert service.secret in instance.master_process(home).environment.values()
    assert service.secret not in instance.worker_process(home).environment.values()


def test_a_token_that_is_not_accepted_and_a_sealed_vault_are_told_apart(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", vault.url)
    home = Home(tmp_path, tmp_path)
    home.keys.mkdir(mode=0o700)
    text = vault.keys["farm"][0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (home.keys / "farm.pub").write_bytes(text)
    monkeypatch.setenv("VAULT_TOKEN", "hvs.WRONGtoken")
    assert refused(home, "hv:farm/1").found == "Forbidden"
    monkeypatch.setenv("VAULT_TOKEN", fake_vault.TOKEN)
    vault.sealed = True
    assert refused(home, "hv:farm/1").found == "VaultDown"
    assert vault.asked == ["/v1/transit/sign/farm"] * 2


@pytest.mark.parametrize(("module", "uri"), [
    ("google.cloud.kms", "gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"),
    ("azure.keyvault.keys", "azurekms://farm.vault.azure.net/keys/farm/1"),
])  # fmt: skip
def test_a_cloud_whose_client_is_not_installed_is_told_with_where_the_line_for_it_is(
    tmp_path: Path, module: str, uri: str
) -> None:
    import importlib.util

    try:
        there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        there = False
    if there:
        pytest.skip(f"{module} is installed here")
    home = Home(tmp_path, tmp_path)
    keeping.prepare(home, signing("key"), NOW)
    failure = refused(home, uri)
    assert (failure.what, failure.found) == ("the key farm can't be used", "UnsupportedLibraryError")
    assert "is not installed" in failure.todo
