"""`[health]` and `[metrics]` of settings.toml: when a master that runs is not well, and where its figures are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from master.complaint import Complaint


@dataclass(frozen=True)
class Health:
    """disk_gb: with less free than that, where archives or uploads are kept, the farm is not well (10^9 bytes)."""

    disk_gb: float = 5.0


@dataclass(frozen=True)
class Metrics:
    """port: of loopback, where `/metrics` is then, and only there; without it the page has it."""

    port: int | None = None


def metrics_complaint(chosen: Metrics, taken: Sequence[int]) -> Complaint | None:
    """What types can't say of `[metrics]`, or None. taken: the farm's other ports."""
    if chosen.port is not None and (not 0 < chosen.port < 65536 or chosen.port in taken):
        return Complaint("port", "this port can't be used", "1 to 65535, none of the farm's others", str(chosen.port))
    return None


def complaint(chosen: Health) -> Complaint | None:
    """What types can't say of `[health]`, or None."""
    if not 0 <= chosen.disk_gb < 1_000_000:
        return Complaint("disk_gb", "this is no amount of disk", "0 or more", repr(chosen.disk_gb))
    return None
