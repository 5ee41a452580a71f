"""All probes, in the order of the report."""

from __future__ import annotations

from workers.fips.probes import hashes, hello, modes, processes, tls
from workers.fips.probes.core import answer_all

__all__ = ["answer_all", "hashes", "hello", "modes", "processes", "tls"]
