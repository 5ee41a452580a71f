"""What signs: the configured key, in the profile `key` or `ca`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from securesystemslib.signer import CryptoSigner, Signer

from master import settings as farm_settings
from master.home import Home
from master.secrets.places import secrets_of
from master.settings import Settings
from master.signing import certificates, choice, keys, services, timestamps
from master.signing.bundle import Bundle
from master.signing.certificates import Authority
from master.signing.keys import SigningKey
from master.signing.statement import PAYLOAD_TYPE, Names
from master.signing.trust import Chain, Trust, known_key
from workers.errors import Failure


@dataclass(frozen=True)
class Signature:
    """A signed statement: its bundle, and who vouches for it."""

    bundle: Bundle
    key: str


@dataclass(frozen=True)
class Service:
    """Somebody else's timestamping service, and its chain."""

    url: str
    chain: Chain


@dataclass(frozen=True)
class Pen:
    """Whatever signs for a farm: a key, or with `authority` a certificate of it for a key that is forgotten at once."""

    key: SigningKey
    authority: Authority | None = None
    service: Authority | Service | None = None
    issuer: str = ""

    @property
    def trust(self) -> Trust:
        """What a verifier has to trust, and no more, to accept what this signs."""
        if self.authority is None or self.service is None:
            return Trust(keys=(known_key(self.key.name, self.key.spki),))
        return Trust(authorities=(self.authority.chain,), services=(self.service.chain,))

    def sign(self, payload: bytes, names: Names, commit: str, now: datetime) -> Signature:
        """Raises Failure when the key or the timestamping service does not do its part."""
        try:
            return self._sign(payload, names, commit, now)
        except Failure:
            raise
        except Exception as error:
            # A key in a service or a device raises whatever it likes, and its text might tell what nobody may know.
            raise Failure(
                "signing", f"the key {self.key.name} could not sign", found=services.why(error),
                todo="Nothing was signed. Is the service or device that holds the key there, and may this user use it?",
            ) from None  # fmt: skip

    def _sign(self, payload: bytes, names: Names, commit: str, now: datetime) -> Signature:
        if self.authority is None or self.service is None:
            made = Bundle(payload, PAYLOAD_TYPE, _sign(self.key.signer, payload), hint=self.key.hint)
            return Signature(made, self.key.hint)
        own = CryptoSigner.generate_ecdsa()
        public = keys.elliptic(keys.spki_of(own.public_key))
        said = {
            "issuer": self.issuer,
            "build_signer": f"{names.source}/master/signing",
            "source": names.source,
            "commit": commit,
            "owner": names.source.rpartition("/")[0],
            "build_config": f"{names.source}/master/master.cfg",
        }
        certificate = certificates.leaf(self.authority, public, names.builder, said, now)
        signature = _sign(own, payload)
        if isinstance(self.service, Service):
            time = timestamps.ask(self.service.url, signature)
        else:
            time = timestamps.issue(self.service, signature, now)
        bundle = Bundle(payload, PAYLOAD_TYPE, signature, certificate=certificate, timestamps=(time,))
        return Signature(bundle, self.key.hint)


def _sign(signer: Signer, payload: bytes) -> bytes:
    return bytes.fromhex(Bundle(payload, PAYLOAD_TYPE, b"").envelope.sign(signer).signature)


def pen_of(home: Home, settings: Settings, *, dry_run: bool) -> Pen:
    """The configured key. Raises Failure when it can't be used or is not its owner's alone."""
    chosen = settings.signing
    name, service_name = choice.key_names(chosen, dry_run=dry_run)
    uri = None if dry_run else absolute(home, chosen.key)
    pin_file = (
        secrets_of(home.root, settings.secrets).place(chosen.pin_file)
        if chosen.pin_file is not None and not dry_run
        else None
    )
    key = keys.load(home.keys, name, uri, pin_file)
    if chosen.profile != "ca":
        return Pen(key)
    if chosen.timestamp_url is not None and not dry_run:
        service: Authority | Service = Service(chosen.timestamp_url, keys.read_chain(home.keys, service_name))
    else:
        service = keys.authority(home.keys, service_name, None)
    issuer = choice.base_of(chosen, farm_settings.page_url(settings))
    return Pen(key, keys.authority(home.keys, name, uri, pin_file), service, issuer)


def absolute(home: Home, uri: str | None) -> str | None:
    """A file's URI with its whole path; relative ones begin in MINT_HOME."""
    if uri is None or not uri.startswith(keys.FILE):
        return uri
    return f"{keys.FILE}{home.root / uri.removeprefix(keys.FILE)}"
