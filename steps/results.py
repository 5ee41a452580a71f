"""How a step can end: Buildbot's numbers, with a type."""

from __future__ import annotations

from buildbot.process import results

SUCCESS: int = results.SUCCESS
FAILURE: int = results.FAILURE
SKIPPED: int = results.SKIPPED
CANCELLED: int = results.CANCELLED
RETRY: int = results.RETRY
