"""Where secrets come from when they lie in no file: `pass`, and Vault.

Not by Buildbot's providers of these kinds: they answer inside of a running master only, and most of the farm's secrets
are wanted where none runs (while settings are read, by the signer, a release, a backup, the commands). Buildbot's own
for `pass` also puts the passphrase of the key into gpg's command line, where every user of the machine can read it.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from master.access.secret_file import read_secret_file
from workers.errors import Failure

TIMEOUT_S = 20
# A token of an AppRole is used for this part of the time that Vault gives it.
LEASE_PART = 0.8


class Silent(Failure):
    """The source does not answer now: what it said before still holds."""


@dataclass(frozen=True)
class Pass:
    """The store of `pass`, whose entries are files that gpg decrypts. Its value is an entry's first line."""

    store: Path
    gpg_home: Path | None = None
    passphrase_file: Path | None = None

    def __str__(self) -> str:
        return f"the store of pass in {self.store}"

    def fetch(self, name: str) -> str:
        """An entry's text. Raises Failure, which repeats nothing of it."""
        if not (self.store / f"{name}.gpg").is_file():
            # `pass` itself answers with a list of what is there when the name is that of a folder.
            raise missing(name, self, f"pass insert {name}")
        options = ["--batch", "--no-tty"]
        if self.passphrase_file is not None:
            read_secret_file(self.passphrase_file)
            options += ["--pinentry-mode", "loopback", "--passphrase-file", str(self.passphrase_file)]
        environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "USER") if key in os.environ},
            "LC_ALL": "C", "PASSWORD_STORE_DIR": str(self.store), "PASSWORD_STORE_GPG_OPTS": " ".join(options),
        }  # fmt: skip
        if self.gpg_home is not None:
            environment["GNUPGHOME"] = str(self.gpg_home)
        try:
            done = subprocess.run(
                ["pass", "show", name], env=environment, capture_output=True, check=False, timeout=TIMEOUT_S,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except FileNotFoundError:
            raise Failure(
                "secrets", f"the secret {name!r} can't be read: `pass` is not installed", wanted="pass, and gpg",
                todo='apt-get install pass, or set another [secrets] kind.',
            ) from None  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Silent(
                "secrets", f"the secret {name!r} can't be read: gpg did not answer", wanted="an answer",
                found=f"none in {TIMEOUT_S} s",
                todo="It may wait for a passphrase. Set [secrets] gpg_passphrase_file, or have gpg's agent know it.",
            ) from None  # fmt: skip
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise Failure(
                "secrets", f"the secret {name!r} can't be decrypted", found=said[-1][:200],
                todo="gpg needs the key, and its passphrase from an agent or by [secrets] gpg_passphrase_file.",
            )  # fmt: skip
        return _text(name, done.stdout, self)


@dataclass(frozen=True)
class Vault:
    """Vault's key/value store, version 2. token_file, or role_id and secret_id_file, say who asks."""

    url: str
    mount: str
    namespace: str | None = None
    ca_file: Path | None = None
    token_file: Path | None = None
    role_id: str | None = None
    secret_id_file: Path | None = None

    def __str__(self) -> str:
        return f"Vault at {self.url}, {self.mount}/"

    def fetch(self, name: str) -> str:
        """A field of a secret, `value` unless NAME#FIELD says which. Raises Failure, which repeats nothing of it."""
        try:
            import hvac.exceptions
            import requests
        except ImportError:
            raise Failure(
                "secrets", "Vault can't be asked without its client", wanted="the Python package hvac",
                todo=".venv/bin/pip install 'hvac>=2.4,<3'",
            ) from None  # fmt: skip
        path, _, field = name.partition("#")
        try:
            with _TURN:
                said = self._read(path)
        except hvac.exceptions.InvalidPath:
            raise missing(name, self, f"vault kv put -mount={self.mount} {path} {field or 'value'}=-") from None
        except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized, hvac.exceptions.InvalidRequest) as error:
            raise Failure(
                "secrets", f"Vault does not give the secret {name!r}", found=type(error).__name__,
                wanted=f"a policy with read on {self.mount}/data/{path}, and a token or an AppRole that has it",
                todo="Look at [secrets] vault_token_file, or vault_role_id and vault_secret_id_file: what they hold\n"
                "may have expired.",
            ) from None  # fmt: skip
        except (hvac.exceptions.VaultError, requests.RequestException) as error:
            # Not the error's text: it may quote an answer.
            raise Silent(
                "secrets", f"Vault can't be asked for the secret {name!r}", wanted=f"an answer from {self.url}",
                found=type(error).__name__,
                todo="Is it up and unsealed, and is its certificate what vault_ca_file says?",
            ) from None  # fmt: skip
        value = said.get(field or "value")
        if not isinstance(value, str):
            raise Failure(
                "secrets", f"Vault's secret {path!r} has no such field", wanted=f"{field or 'value'!r}, a text",
                found=", ".join(sorted(said)) or "no field", todo="Name another: secret:NAME#FIELD.",
            )  # fmt: skip
        return _text(name, value.encode(), self)

    def _read(self, path: str) -> dict[str, Any]:
        import hvac.exceptions

        try:
            return self._ask(path)
        except hvac.exceptions.Forbidden:
            # The token of a role that was signed in before may have been taken back.
            if _SIGNED_IN.pop(self, None) is None:
                raise
            return self._ask(path)

    def _ask(self, path: str) -> dict[str, Any]:
        answer = self._client().secrets.kv.v2.read_secret_version(
            path=path, mount_point=self.mount, raise_on_deleted_version=True
        )
        found = answer.get("data", {}).get("data") if isinstance(answer, dict) else None
        return found if isinstance(found, dict) else {}

    def _client(self) -> Any:
        import hvac

        token = read_secret_file(self.token_file) if self.token_file is not None else ""
        known, until = _SIGNED_IN.get(self, ("", 0.0))
        # No redirect is followed: the token would go along. An empty token keeps VAULT_TOKEN and ~/.vault-token out.
        client = hvac.Client(
            url=self.url, token=token or known, namespace=self.namespace, timeout=TIMEOUT_S, allow_redirects=False,
            verify=str(self.ca_file) if self.ca_file is not None else True,
        )  # fmt: skip
        if not token and (not known or time.monotonic() > until):
            assert self.secret_id_file is not None  # noqa: S101  (the settings are refused otherwise)
            client.token = ""
            secret = read_secret_file(self.secret_id_file)
            given = client.auth.approle.login(role_id=self.role_id, secret_id=secret)["auth"]
            _SIGNED_IN[self] = given["client_token"], time.monotonic() + LEASE_PART * float(given["lease_duration"])
        return client


# Of AppRoles: their tokens, in this process's memory only, and until when they are used.
_SIGNED_IN: dict[Vault, tuple[str, float]] = {}
_TURN = threading.Lock()

Source = Pass | Vault


def missing(name: str, source: Source, how: str) -> Failure:
    return Failure("secrets", f"there is no secret {name!r}", wanted=f"it in {source}", found="nothing there",
                   todo=f"Put it there ({how}), or correct its name in settings.toml.")  # fmt: skip


def _text(name: str, content: bytes, source: Source) -> str:
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise Failure("secrets", f"the secret {name!r} is empty or no text", wanted=f"a text in {source}",
                      todo="Write it anew.")  # fmt: skip
    return text
