"""What the probes share. They run inside the archive's own interpreter: standard library only, 3.10 to 3.14.

A probe tries something and says what came of it; it knows nothing of what should come. The same probes run with FIPS
off and on, and workers/fips/expected.py says what is right in which mode: so a probe that can't tell the difference is
found out by the run in the other mode. What needs hashlib or ssl is imported inside the probes: FIPS mode begins there.
"""

from __future__ import annotations

import json
from collections.abc import Callable

Outcome = str | tuple[str, str]
PROBES: list[tuple[str, Callable[[], Outcome]]] = []


class Wrong(Exception):
    """The operation worked, and its result is not the right one."""


def probe(name: str) -> Callable[[Callable[[], Outcome]], Callable[[], Outcome]]:
    """Registers a probe. What it returns is the outcome, or the outcome and what was found; an error: refused."""

    def register(function: Callable[[], Outcome]) -> Callable[[], Outcome]:
        PROBES.append((name, function))
        return function

    return register


def same(found: str, wanted: str) -> Outcome:
    """The outcome "works" where the operation gave the right result. Raises Wrong where it gave another."""
    if found != wanted:
        raise Wrong(f"{found} instead of {wanted}")
    return "works", found


def _attempt(function: Callable[[], Outcome]) -> tuple[str, str]:
    try:
        result = function()
    except Wrong as error:
        return "wrong", str(error)
    except Exception as error:
        return "refused", f"{type(error).__name__}: {error}"
    return result if isinstance(result, tuple) else (result, result)


def answer_all() -> None:
    """Runs every registered probe and writes a line of JSON for each: {"id", "outcome", "found"}."""
    for name, function in PROBES:
        outcome, found = _attempt(function)
        print(json.dumps({"id": name, "outcome": outcome, "found": found}), flush=True)
