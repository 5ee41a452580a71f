"""A key that never leaves its device: a real PKCS #11 library (SoftHSM) behind `[signing] key = "hsm:..."`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from master import instance
from master.home import Home
from master.settings import Settings
from master.signing import keeping, statement
from master.signing.pen import pen_of
from master.signing.verify import Wanted, verify
from tests.unit.signing_samples import COMMIT, CONTENT, NAME, NAMES, NOW, evidence, published, sha, signing
from workers.errors import Failure

LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "271828"

pytestmark = pytest.mark.skipif(
    shutil.which("softhsm2-util") is None or not LIBRARY.exists(), reason="SoftHSM is not installed (softhsm2)"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A farm whose key `farm` is number 2 of a token called mint; keys/ has its public half only."""
    import pkcs11
    from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

    home = Home(tmp_path, tmp_path)
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    monkeypatch.setenv("PYKCS11LIB", str(LIBRARY))
    said = ["softhsm2-util", "--init-token", "--free", "--label", "mint", "--so-pin", "314159", "--pin", PIN]
    subprocess.run(said, check=True, capture_output=True)
    library = pkcs11.lib(str(LIBRARY))
    library.reinitialize()  # another test's tokens were read at its start
    with library.get_token(token_label="mint").open(rw=True, user_pin=PIN) as session:
        curve = session.create_domain_parameters(
            pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")},
            local=True,
        )
        public, _ = curve.generate_keypair(store=True, label="farm", id=b"\x02")
        key = load_der_public_key(encode_ec_public_key(public))
    home.keys.mkdir(mode=0o700)
    (home.keys / "farm.pub").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    pin = tmp_path / "keys" / "pin"
    pin.write_text(f"{PIN}\n")
    pin.chmod(0o600)
    return home


def device(pin_file: str = "keys/pin") -> Settings:
    return signing("key", key="hsm:2?label=mint", pin_file=pin_file)


def test_what_a_device_signs_verifies_with_its_public_key_and_no_secret_file_is_made(home: Home) -> None:
    keeping.prepare(home, device(), NOW)
    payload = statement.payload(statement.of_build(evidence(), NAMES))
    bundle = pen_of(home, device(), dry_run=False).sign(payload, NAMES, COMMIT, NOW).bundle
    verify(NAME, sha(CONTENT), bundle, published(home), Wanted(commit=COMMIT))
    assert not (home.keys / "farm.pem").exists()


def test_a_wrong_pin_is_told_and_not_repeated(home: Home) -> None:
    keeping.prepare(home, device(), NOW)
    (home.keys / "pin").write_text("161803\n")
    payload = statement.payload(statement.of_build(evidence(), NAMES))
    with pytest.raises(Failure, match="the key farm could not sign") as caught:
        pen_of(home, device(), dry_run=False).sign(payload, NAMES, COMMIT, NOW)
    assert "161803" not in str(caught.value)
    assert caught.value.found == "PinIncorrect"


def test_a_pin_that_others_may_read_is_refused(home: Home) -> None:
    keeping.prepare(home, device(), NOW)
    (home.keys / "pin").chmod(0o640)
    with pytest.raises(Failure, match="the key pin is not its owner's alone"):
        pen_of(home, device(), dry_run=False)


def test_the_worker_gets_nothing_that_opens_the_device(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "secret")
    assert {"PYKCS11LIB", "VAULT_TOKEN"} <= set(instance.master_process(home).environment)
    assert not {"PYKCS11LIB", "VAULT_TOKEN"} & set(instance.worker_process(home).environment)
