"""What pyperformance has no benchmark for and users of these archives notice: hashes, codecs, start-up.

Run as `python rows.py NAME`, with the stand-in `pyperf` on PYTHONPATH. BENCH_DATA: the file that the codecs work on.
BENCH_FIPS=1: the commands are started in FIPS mode; this process is not, whatever it imports.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pyperf  # type: ignore[import-not-found,unused-ignore]

IMPORTS = "import json, http.client, asyncio, logging, email.message"
# 10 MB at xz's default of 6 would take five seconds a sample; 1 runs the same code for a fraction of that.
LZMA_PRESET = 1

COMMANDS = {
    "startup": "pass",
    "startup_imports": IMPORTS,
    "import_hashlib": "import hashlib",
}


def _hash(block: bytes) -> None:
    """A new object each time, as programs do: at 64 B that is the cost, at 16 KiB the compression function is."""
    hashlib.sha256(block).digest()


def _round_trip(pack: Callable[[bytes], bytes], unpack: Callable[[bytes], bytes], data: bytes) -> None:
    if len(unpack(pack(data))) != len(data):
        raise ValueError("the codec did not give back what went in")


def _codec(name: str) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    if name == "zstd_10mb":
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # not at the top: 3.14 brought it

        return zstd.compress, zstd.decompress
    known: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
        "zlib_10mb": (zlib.compress, zlib.decompress),
        "bz2_10mb": (bz2.compress, bz2.decompress),
        "lzma_10mb": (lambda block: lzma.compress(block, preset=LZMA_PRESET), lzma.decompress),
    }
    return known[name]


def main() -> None:
    name = sys.argv.pop(1)
    runner = pyperf.Runner()
    if os.environ.get("BENCH_FIPS"):
        os.environ["PYTHON_FIPS"] = "1"
    if name in COMMANDS:
        runner.bench_command(name, [sys.executable, "-I", "-c", COMMANDS[name]])
    elif name == "sha256_64":
        runner.bench_func(name, _hash, bytes(64))
    elif name == "sha256_16k":
        runner.bench_func(name, _hash, bytes(16384))
    else:
        data = Path(os.environ["BENCH_DATA"]).read_bytes()
        runner.bench_func(name, _round_trip, *_codec(name), data)


if __name__ == "__main__":
    main()
