"""What a CPython is trained on: kernels of ordinary Python, and a few of CPython's own tests for the rarer paths.

CPython's default (`-m test --pgo`) is unit tests only, which run errors and the garbage collector far more than
programs do: a third of its time is one function of the collector (python/cpython#130701). Here kernels carry most of
the counts.

Two runs count the same. So nothing here asks for the time, starts a thread or a process, opens a socket, or takes
entropy from the system; a test that would is skipped. The result goes to standard output without a time in it.
"""

from __future__ import annotations

import importlib.util
import os
import random
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

KERNELS = ("objects", "control", "memory", "text", "library")
ROUNDS = 16
TESTS = (
    "test_array",
    "test_base64",
    "test_binascii",
    "test_bisect",
    "test_bytes",
    "test_cmath",
    "test_codecs",
    "test_collections",
    "test_complex",
    "test_dataclasses",
    "test_float",
    "test_fstring",
    "test_generators",
    "test_heapq",
    "test_int",
    "test_json",
    "test_long",
    "test_math",
    "test_memoryview",
    "test_operator",
    "test_ordered_dict",
    "test_patma",
    "test_pyexpat",
    "test_re",
    "test_set",
    "test_str",  # up to 3.11:
    "test_unicode",
    "test_struct",
)


def kernels() -> list[tuple[str, Callable[[], object]]]:
    """The functions of the kernel files whose names start with `run_`, in the order of the files."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    found = []
    for name in KERNELS:
        module = importlib.import_module(f"kernels_{name}")
        found += [(f"{name}: {key[4:]}", value) for key, value in vars(module).items() if key.startswith("run_")]
    return found


def tests() -> list[str]:
    """The tests of TESTS that this version has."""
    return [f"test.{name}" for name in TESTS if importlib.util.find_spec(f"test.{name}") is not None]


def stop_the_clock() -> None:
    """Answers every question for the time with the same second: logging formats it, and unittest measures with it.

    Before anything is imported that keeps a clock of its own, as `threading` does.
    """
    second = 1_700_000_000
    for name in ("time", "monotonic", "perf_counter", "process_time"):
        setattr(time, name, lambda: float(second))
        setattr(time, f"{name}_ns", lambda: second * 10**9)


def skip_what_differs() -> None:
    """Makes what could differ from run to run skip the test that asks for it."""
    import socket
    import subprocess
    import threading

    def skip(*args: Any, **kwargs: Any) -> Any:
        raise unittest.SkipTest("differs from run to run")

    subprocess.Popen.__init__ = skip  # type: ignore[method-assign]
    threading.Thread.start = skip  # type: ignore[method-assign]
    socket.socket.__init__ = skip  # type: ignore[method-assign]
    os.fork = os.urandom = skip
    time.sleep = lambda seconds: None


class Tally(unittest.TestResult):
    """Counts; unlike a text result it formats no times."""

    def line(self) -> str:
        bad = [str(test) for test, _ in self.failures + self.errors]
        counts = f"{self.testsRun} tests, {len(self.skipped)} skipped, {len(bad)} failed"
        return "\n    ".join([counts, *bad])


def load(name: str) -> unittest.TestSuite:
    """A test module's tests; none where the module says, when imported, that it can't be tested here."""
    try:
        return unittest.defaultTestLoader.loadTestsFromName(name)
    except unittest.SkipTest as reason:
        print(f"{name}: left out: {reason}")
        return unittest.TestSuite()


def run_test(name: str) -> str:
    random.seed(1)
    tally = Tally()
    load(name).run(tally)
    return tally.line()


def main() -> None:
    stop_the_clock()
    import_only = "--import-only" in sys.argv
    selected = kernels()
    from test import support

    support.verbose = 0
    support.use_resources = []
    support.PGO = True
    for name in tests():
        load(name)
    if import_only:
        for _, kernel in selected:
            kernel()
        return
    for name, kernel in selected:
        for _ in range(ROUNDS):
            random.seed(1)
            kernel()
        print(f"kernel {name}", flush=True)
    skip_what_differs()
    for name in tests():
        print(f"{name}: {run_test(name)}", flush=True)


if __name__ == "__main__":
    main()
