"""`[health]` of settings.toml: when a master that runs is not well."""

from __future__ import annotations

from dataclasses import dataclass

from master.complaint import Complaint


@dataclass(frozen=True)
class Health:
    """disk_gb: with less free than that, where archives or uploads are kept, the farm is not well (10^9 bytes)."""

    disk_gb: float = 5.0


def complaint(chosen: Health) -> Complaint | None:
    """What types can't say of `[health]`, or None."""
    if not 0 <= chosen.disk_gb < 1_000_000:
        return Complaint("disk_gb", "this is no amount of disk", "0 or more", repr(chosen.disk_gb))
    return None
