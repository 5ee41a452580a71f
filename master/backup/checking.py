"""Is a backup what it says: every byte read again."""

from __future__ import annotations

from master.backup.model import Backups, Manifest
from master.store import digest_of


def problems(backups: Backups, manifest: Manifest) -> list[str]:
    """What is missing or damaged, a line each; nothing when the backup is whole."""
    found = []
    for digest, length in {(one.sha256, one.size): None for one in manifest.files}:
        path = backups.path_of(digest)
        try:
            said = digest_of(path)
        except OSError as error:
            found.append(f"{path}: {error.strerror}")
            continue
        if said != (digest, length):
            found.append(f"{path}: sha256 {said[0]}, {said[1]} bytes instead of {length}")
    return found
