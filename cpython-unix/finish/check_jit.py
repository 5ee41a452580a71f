"""Run by a fresh CPython itself: is its JIT built in, off by itself, and on with PYTHON_JIT=1?

Started by the recipe once in each way: a JIT that was left out, or that is on for everybody, is not noticed otherwise.
Needs nothing but the standard library of CPython 3.13 and newer.
"""

from __future__ import annotations

import os
import sys


def hot(rounds: int) -> int:
    total = 0
    for number in range(rounds):
        total = (total * 3 + number) % 1_000_003
    return total


def machine_code() -> bytes:
    """What the JIT made of `hot`; empty where it made nothing."""
    from _opcode import get_executor

    for offset in range(0, len(hot.__code__.co_code), 2):
        try:
            executor = get_executor(code=hot.__code__, offset=offset)
        except (RuntimeError, ValueError):
            continue
        if executor is not None:
            return bytes(executor.get_jit_code() or b"")
    return b""


def main() -> None:
    wanted = os.environ.get("PYTHON_JIT") == "1"
    sums = {hot(100_000), hot(100_000)}
    if sums != {649776}:
        sys.exit(f"jit: wanted 649776 of a hot loop, found {sums}")
    code = machine_code()
    if wanted != bool(code):
        sys.exit(f"jit: wanted {'some' if wanted else 'no'} machine code of a hot loop, found {len(code)} bytes")
    print(f"the JIT is {'on' if wanted else 'off'}: {len(code)} bytes of machine code for a hot loop")


if __name__ == "__main__":
    main()
