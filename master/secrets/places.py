"""Where each secret of the settings is: a file, as ever, or a name that `[secrets]` knows where to look up."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from master.access.secret_file import read_secret_file
from master.secrets.choice import NAMED, Secrets
from master.secrets.sources import Pass, Silent, Source, Vault

# A changed secret is in use after so long, without a restart; a request to GitHub does not wait for gpg each time.
FRESH_S = 60.0


@dataclass(frozen=True)
class Kept:
    """A secret that is in no file. A value, so that a reconfiguration can compare it, without the secret itself."""

    source: Source
    name: str

    def __str__(self) -> str:
        return f"{NAMED}{self.name}"

    def read(self) -> str:
        """The secret, a line. Raises Failure, in whose text it never is."""
        return self.text().splitlines()[0].strip() if isinstance(self.source, Pass) else self.text()

    def text(self) -> str:
        """All of it, for what has several lines. Raises Failure.

        A source that does not answer is no reason to stop while this process knows what it said before.
        """
        with _LOCK:
            known = _KNOWN.get(self)
        if known is not None and time.monotonic() - known[1] < FRESH_S:
            return known[0]
        try:
            found = self.source.fetch(self.name)
        except Silent:
            if known is None:
                raise
            return known[0]
        with _LOCK:
            _KNOWN[self] = found, time.monotonic()
        return found


Place = Path | Kept


def read(place: Place) -> str:
    """The secret at a place. Raises Failure, in whose text it never is."""
    return read_secret_file(place) if isinstance(place, Path) else place.read()


# In this process's memory: what was read, and when.
_KNOWN: dict[Kept, tuple[str, float]] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Keeping:
    """Where a farm's secrets are. root: MINT_HOME. source: of what is named; files: the folder of the kind "files"."""

    root: Path
    source: Source | None = None
    files: Path = Path("secrets")

    def place(self, said: str) -> Place:
        """Of a value in the settings: a path, or "secret:NAME"."""
        if not said.startswith(NAMED):
            return self.root / said
        name = said.removeprefix(NAMED)
        return self.root / self.files / name if self.source is None else Kept(self.source, name)


def secrets_of(root: Path, chosen: Secrets) -> Keeping:
    """root: MINT_HOME, to which all paths are relative."""
    if chosen.kind == "files":
        return Keeping(root, None, Path(chosen.directory or "secrets"))
    if chosen.kind == "pass":
        store = root / chosen.directory if chosen.directory is not None else Path.home() / ".password-store"
        return Keeping(root, Pass(store, _path(root, chosen.gpg_home), _path(root, chosen.gpg_passphrase_file)))
    return Keeping(root, Vault(
        (chosen.vault_url or "").rstrip("/"), chosen.vault_mount.strip("/"), chosen.vault_namespace,
        _path(root, chosen.vault_ca_file), _path(root, chosen.vault_token_file), chosen.vault_role_id,
        _path(root, chosen.vault_secret_id_file),
    ))  # fmt: skip


def _path(root: Path, said: str | None) -> Path | None:
    return None if said is None else root / said
