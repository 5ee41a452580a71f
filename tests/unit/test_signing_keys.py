"""Keys: made once, for their owner alone, never repeated in an error; and what replaces a key dates the old one."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from master.home import Home
from master.settings import Settings
from master.signing import choice, keeping, keys, trust
from master.signing.choice import Signing
from master.signing.pen import pen_of
from tests.unit.signing_samples import BUILDER, NOW, published, signing
from workers.errors import Failure

LATER = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path)


def modes(home: Home) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.keys.iterdir()}


@pytest.mark.parametrize(
    ("profile", "secret"),
    [
        ("key", {"farm.pem", "dry-run.pem"}),
        ("ca", {"farm-ca.pem", "farm-tsa.pem", "dry-run-ca.pem", "dry-run-tsa.pem"}),
        ("none", set()),
    ],
)
def test_a_fresh_farm_has_the_keys_that_its_profile_needs(home: Home, profile: str, secret: set[str]) -> None:
    keeping.prepare(home, signing(profile), NOW)
    if profile == "none":
        assert not home.keys.exists()
        return
    found = modes(home)
    assert {name for name in found if name.endswith(".pem")} == secret
    assert {found[name] for name in secret} == {0o600}
    assert stat.S_IMODE(home.keys.stat().st_mode) == 0o700
    before = {path.name: path.read_bytes() for path in home.keys.iterdir()}
    keeping.prepare(home, signing(profile), LATER)
    assert {path.name: path.read_bytes() for path in home.keys.iterdir()} == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_key_that_others_may_touch_is_refused(home: Home, mode: int) -> None:
    keeping.prepare(home, signing("key"), NOW)
    (home.keys / "farm.pem").chmod(mode)
    with pytest.raises(Failure, match=r"the key farm\.pem is not its owner's alone"):
        pen_of(home, signing("key"), dry_run=False)
    pen_of(home, signing("key"), dry_run=True)


def test_a_directory_that_others_may_write_is_refused(home: Home) -> None:
    keeping.prepare(home, signing("key"), NOW)
    home.keys.chmod(0o770)
    with pytest.raises(Failure, match="not its owner's alone"):
        pen_of(home, signing("key"), dry_run=False)


def test_a_lost_key_is_told_and_not_made_anew(home: Home) -> None:
    keeping.prepare(home, signing("key"), NOW)
    (home.keys / "farm.pem").unlink()
    keeping.prepare(home, signing("key"), NOW)
    with pytest.raises(Failure, match=r"the key farm.pem can't be read"):
        pen_of(home, signing("key"), dry_run=False)


def test_a_lost_public_half_is_made_of_its_key_and_the_key_stays(home: Home) -> None:
    keeping.prepare(home, signing("key"), NOW)
    secret, public = (home.keys / "farm.pem").read_bytes(), (home.keys / "farm.pub").read_bytes()
    (home.keys / "farm.pub").unlink()
    keeping.prepare(home, signing("key"), NOW)
    assert (home.keys / "farm.pem").read_bytes() == secret
    assert (home.keys / "farm.pub").read_bytes() == public
    (home.keys / "farm.pub").unlink()
    (home.keys / "farm.pem").write_text("half a key")
    with pytest.raises(Failure, match="the key farm can't be used"):
        keeping.prepare(home, signing("key"), NOW)
    assert (home.keys / "farm.pem").read_text() == "half a key"


def test_no_error_repeats_what_a_key_file_holds(home: Home) -> None:
    keeping.prepare(home, signing("key"), NOW)
    secret = home.keys / "farm.pem"
    whole = secret.read_text()
    other = ec.generate_private_key(ec.SECP256R1())
    stranger = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for content in ("SECRET", whole.replace("PRIVATE", "PUBLIC"), whole[:100], stranger, whole[30:]):
        secret.write_text(content)
        with pytest.raises(Failure, match="the key farm can't be used") as caught:
            pen_of(home, signing("key"), dry_run=False)
        error: BaseException | None = caught.value
        assert error is not None
        assert error.__cause__ is None
        assert error.__suppress_context__
        assert not [line for line in content.splitlines() if len(line) > 5 and line in str(error)]


def test_a_key_elsewhere_is_found_by_its_uri(home: Home) -> None:
    chosen = signing("key", key="file2:elsewhere/other.pem")
    with pytest.raises(Failure, match=r"there is no public key farm\.pub"):
        keeping.prepare(home, chosen, NOW)
    other = ec.generate_private_key(ec.SECP256R1())
    (home.root / "elsewhere").mkdir(mode=0o700)
    secret = home.root / "elsewhere" / "other.pem"
    secret.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    secret.chmod(0o600)
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (home.keys / "farm.pub").write_bytes(public)
    keeping.prepare(home, chosen, NOW)
    pen = pen_of(home, chosen, dry_run=False)
    assert pen.key.spki == other.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert "farm.pem" not in modes(home)


@pytest.mark.parametrize("uri", ["hsm:2?label=x", "awskms:alias/x", "gcpkms:projects/x", "azurekms://v/k/1", "hv:x"])
def test_a_key_in_a_device_or_service_that_is_not_there_is_told(home: Home, uri: str) -> None:
    keeping.prepare(home, signing("key"), NOW)
    with pytest.raises(Failure, match="the key farm can't be used") as caught:
        pen_of(home, signing("key", key=uri), dry_run=False)
    assert uri not in str(caught.value)


def test_the_certificate_has_to_be_the_keys_own(home: Home) -> None:
    keeping.prepare(home, signing("ca"), NOW)
    (home.keys / "farm-ca.crt").write_bytes((home.keys / "dry-run-ca.crt").read_bytes())
    with pytest.raises(Failure, match=r"farm-ca\.crt is not the certificate of the key farm-ca"):
        pen_of(home, signing("ca"), dry_run=False)


def test_an_authority_of_another_curve_is_refused(home: Home) -> None:
    """What signs a leaf here is P-256 with SHA-256; another curve's signature would be in a certificate of that."""
    keeping.prepare(home, signing("ca"), NOW)
    other = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "farm.example")])
    own = x509.CertificateBuilder(name, name, other.public_key(), 1, NOW, LATER).sign(other, hashes.SHA384())
    (home.keys / "farm-ca.pem").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (home.keys / "farm-ca.pub").write_bytes(
        other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (home.keys / "farm-ca.crt").write_bytes(own.public_bytes(Encoding.PEM))
    with pytest.raises(Failure, match=r"farm-ca\.crt is not the certificate of the key farm-ca") as caught:
        pen_of(home, signing("ca"), dry_run=False)
    assert str(caught.value.wanted).startswith("an ECDSA P-256 key")


def test_an_authority_has_one_organisation_and_certifies_no_other(home: Home) -> None:
    keeping.prepare(home, signing("ca"), NOW)
    ((authority,),) = published(home).authorities
    organisations = authority.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert [one.value for one in organisations] == ["farm.example"]
    assert (home.keys / "trusted_root.jsonl").read_bytes().endswith(b"}\n")
    assert len(published(home).services) == 1


def test_another_key_dates_the_one_before_it(home: Home) -> None:
    keeping.prepare(home, signing("key"), NOW)
    keeping.prepare(home, signing("key", key_name="farm-2027"), LATER)
    old, new = published(home).keys
    assert (old.name, old.notBefore, old.notAfter) == ("farm", "2026-11-23T20:30:00Z", "2027-01-01T00:00:00Z")
    assert (new.name, new.notBefore, new.notAfter) == ("farm-2027", "2027-01-01T00:00:00Z", None)
    assert new.builderIds == old.builderIds == [BUILDER]


def test_a_key_that_ended_stays_ended(home: Home) -> None:
    """Else every start would give a retired key, which may be in wrong hands by then, more time."""
    keeping.prepare(home, signing("key"), NOW)
    for later in (LATER, datetime(2027, 6, 1, tzinfo=UTC)):
        keeping.prepare(home, signing("key", key_name="farm-2027"), later)
    assert [one.notAfter for one in published(home).keys] == ["2027-01-01T00:00:00Z", None]


def test_an_id_that_is_not_its_keys_is_refused(home: Home) -> None:
    keeping.prepare(home, signing("key"), NOW)
    data = (home.keys / "keys.json").read_bytes()
    (known,) = published(home).keys
    with pytest.raises(Failure, match=r"keys.json is no keys.json"):
        trust.decode_keys(data.replace(known.keyid.encode(), b"x" * len(known.keyid)), "keys.json")


def test_an_rsa_key_is_no_authority(home: Home) -> None:
    big = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(TypeError):
        keys.elliptic(big.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize(
    ("chosen", "key", "text"),
    [
        (Signing(key_name="dry-run-2"), "key_name", "no name for a key"),
        (Signing(key_name="../x"), "key_name", "no name for a key"),
        (Signing(key="pem:/secret/text"), "key", "this key can't be used"),
        (Signing(base="farm.example"), "base", "no address"),
        (Signing(timestamp_url="http://tsa.example/"), "timestamp_url", "only the profile ca"),
        (Signing(builders={"gone": "x/v1"}), "builders", "no worker 'gone'"),
    ],
)
def test_a_choice_that_can_not_work_is_told(chosen: Signing, key: str, text: str) -> None:
    found = choice.complaint(chosen, ["local"])
    assert found is not None
    assert (found.key, text in found.what) == (key, True)
    assert "/secret/text" not in found.found
    assert choice.complaint(Settings().signing, ["local"]) is None


@pytest.mark.parametrize(
    ("said", "dry_run", "wanted"),
    [
        ({}, False, "https://f/builders/linux-persistent/v1"),
        ({}, True, "https://f/builders/linux-persistent/v1/dry-run"),
        ({"local": "linux-ephemeral/v1"}, False, "https://f/builders/linux-ephemeral/v1"),
        ({"local": "https://g/x"}, False, "https://g/x"),
    ],
)
def test_a_worker_is_a_builder_by_its_class(said: dict[str, str], dry_run: bool, wanted: str) -> None:
    assert choice.builder_id(Signing(builders=said), "https://f", "local", "linux", dry_run=dry_run) == wanted
