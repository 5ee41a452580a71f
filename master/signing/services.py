"""Keys that a service or a device holds: clients that give up in time, and signatures that are looked at.

A service may sign with another key than the one whose public half the farm tells everybody, after it was rotated or
when its URI names the wrong one. That is said here, and not found by whoever verifies.
"""

from __future__ import annotations

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import Key as PublicKey
from securesystemslib.signer import SecretsHandler, Signature, Signer

from workers.errors import Failure

# AWS's client would wait a minute for a connection, five times. Vault's gives up after half a minute by itself.
CONNECT_S, READ_S, ATTEMPTS = 5.0, 20.0, 3


def give_up_in_time(uri: str) -> None:
    """Sets the limits of the client that a key's URI needs, for this process."""
    if not uri.startswith("awskms:"):
        return
    import boto3  # half a second, for those who have such a key
    import botocore.session
    from botocore.config import Config

    session = botocore.session.get_session()
    session.set_default_client_config(
        Config(connect_timeout=CONNECT_S, read_timeout=READ_S, retries={"total_max_attempts": ATTEMPTS})
    )
    boto3.setup_default_session(botocore_session=session)


def why(error: Exception) -> str:
    """What can be told of an error of any client: its kind, and AWS's own code. Its text might quote what is secret."""
    response = getattr(error, "response", None)
    said = response.get("Error") if isinstance(response, dict) else None
    code = said.get("Code") if isinstance(said, dict) else None
    known = isinstance(code, str) and code.isascii() and code.isidentifier()
    return f"{type(error).__name__}: {code}" if known else type(error).__name__


def advice(scheme: str, error: Exception) -> str:
    """What to do about a key that can't even be looked for."""
    if isinstance(error, UnsupportedLibraryError):
        return f"What keys of the scheme {scheme!r} need is not installed: docs/provenance.md has the line for it."
    return f"It is looked for by a URI of the scheme {scheme!r}: docs/provenance.md."


class Checked(Signer):
    """Signs as another does, and looks at the signature with the public key that verifiers have."""

    def __init__(self, name: str, signer: Signer) -> None:
        self._name = name
        self._signer = signer

    @property
    def public_key(self) -> PublicKey:
        return self._signer.public_key

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: PublicKey, secrets_handler: SecretsHandler | None = None
    ) -> Checked:
        return cls(priv_key_uri.partition(":")[0], Signer.from_priv_key_uri(priv_key_uri, public_key, secrets_handler))

    def sign(self, payload: bytes) -> Signature:
        """Raises Failure when the signature is another key's, and whatever the client of the service raises."""
        made = self._signer.sign(payload)
        try:
            self.public_key.verify_signature(made, payload)
        except Exception as error:
            raise Failure(
                "signing", f"what signs as {self._name} is another key than {self._name}.pub",
                wanted=f"a signature that {self._name}.pub verifies", found=type(error).__name__,
                todo="Nothing was signed. Does [signing] key name the key, and its version, whose public half that is?",
            ) from None  # fmt: skip
        return made
