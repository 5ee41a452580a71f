"""`[secrets]` of settings.toml: where a secret is that another setting calls "secret:NAME" instead of naming a file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from master.complaint import Complaint

# What stands before a name where another setting would have a file.
NAMED = "secret:"
# A path in each of the kinds, and with "#" a field of Vault's. Nothing in it leads out of where secrets are.
NAME = re.compile(r"\A(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9_.@-]*(/[A-Za-z0-9_@-][A-Za-z0-9_.@-]*)*(#[A-Za-z0-9_.-]+)?\Z")


@dataclass(frozen=True)
class Secrets:
    """kind: a folder of files, the store of `pass`, or Vault's key/value store, version 2.

    directory: of the files, or the store of `pass`; left out, `secrets` of MINT_HOME, or the user's own store.
    gpg_home: where gpg keeps its keys. gpg_passphrase_file: of the key, where no agent has it. vault_url: https, or on
    loopback. vault_mount: of the store. vault_ca_file: whose certificate Vault has, the system's authorities unless
    given. Vault is asked with a token, or as an AppRole: vault_role_id and vault_secret_id_file. All files are their
    owner's alone, and all paths relative to MINT_HOME.
    """

    kind: Literal["files", "pass", "vault"] = "files"
    directory: str | None = None
    gpg_home: str | None = None
    gpg_passphrase_file: str | None = None
    vault_url: str | None = None
    vault_mount: str = "secret"
    vault_namespace: str | None = None
    vault_ca_file: str | None = None
    vault_token_file: str | None = None
    vault_role_id: str | None = None
    vault_secret_id_file: str | None = None


def complaint(chosen: Secrets) -> Complaint | None:
    """What types can't say of `[secrets]`, or None."""
    for name, value in vars(chosen).items():
        kind = {"gpg": "pass", "vault": "vault"}.get(name.partition("_")[0])
        if kind is not None and kind != chosen.kind and value not in (None, Secrets.vault_mount):
            return Complaint(name, f'this says something of kind = "{kind}"', f'kind = "{kind}"', f'"{chosen.kind}"')
    if chosen.kind == "vault":
        return _of_vault(chosen)
    if chosen.gpg_passphrase_file is not None and re.search(r"\s", chosen.gpg_passphrase_file):
        wanted = "a path without white space: `pass` takes it apart there"
        return Complaint("gpg_passphrase_file", "this path can't be handed to gpg", wanted, chosen.gpg_passphrase_file)
    return None


def _of_vault(chosen: Secrets) -> Complaint | None:
    if chosen.directory is not None:
        return Complaint("directory", "Vault's secrets lie in no directory", "vault_mount", chosen.directory)
    parts = urlsplit(chosen.vault_url or "")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path.strip("/"):
        # Never the address itself: somebody may have put a password into it.
        return Complaint(
            "vault_url", "this is no address of a Vault", "https://HOST:PORT", f"{parts.scheme or 'no'}://"
        )
    if parts.scheme == "http" and not loopback(parts.hostname):
        return Complaint(
            "vault_url", "secrets would be sent in the clear", "https://, or http:// on loopback", "http://"
        )
    if chosen.vault_ca_file is not None and parts.scheme == "http":
        return Complaint("vault_ca_file", "without TLS there is no certificate", "https://", "http://")
    role = chosen.vault_role_id, chosen.vault_secret_id_file
    if (chosen.vault_token_file is None) == (role == (None, None)):
        found = "neither" if chosen.vault_token_file is None else "both"
        return Complaint("vault_token_file", "Vault answers whom it knows, by one way",
                         "vault_token_file, or vault_role_id and vault_secret_id_file", found)  # fmt: skip
    if None in role and role != (None, None):
        return Complaint(
            "vault_role_id", "an AppRole has both", "vault_role_id and vault_secret_id_file", "one of them"
        )
    return None


def loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def name_complaints(named: Mapping[tuple[str, str], str], kind: str) -> list[tuple[str, Complaint]]:
    """Of what settings name, by section and key: the names that are none."""
    found = []
    for (section, key), value in named.items():
        name = value.removeprefix(NAMED)
        if value.startswith(NAMED) and not NAME.match(name):
            wanted = "secret:NAME; letters, digits and -_.@, parts divided by /"
            found.append((section, Complaint(key, "this is no name of a secret", wanted, repr(value))))
        elif value.startswith(NAMED) and "#" in name and kind != "vault":
            found.append((section, Complaint(key, "only Vault's secrets have fields", "a name without #", repr(value))))
    return found
