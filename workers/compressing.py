"""Compresses a tar with zstd so that the same tar gives the same bytes, and reads back what was written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import zstandard

from workers.errors import Failure
from workers.tarball import Hashing, reading

_CHUNK = 1 << 20
# An archive has most of the interpreter twice, tens of megabytes apart; a window of 128 MiB and long-distance matching
# see that. Level 22 has this window, too, but took 1.4 times the CPU of level 19 (244 s and 174 s for 337 MB of CPython
# 3.13); level 19 took as long with it as without (0.54 s and 0.52 s a megabyte).
# Readers need nothing special: 2^27 is the largest window that `zstd` takes without being asked.
_WINDOW_LOG = 27


@dataclass(frozen=True)
class Compressed:
    """A tar as it was compressed: digest and size in bytes of the file, and of the tar that was read on the way."""

    sha256: str
    size: int
    tar_sha256: str
    tar_size: int


def compress(tar: Path, out: Path, *, level: int, threads: int, progress: Callable[[int], None]) -> Compressed:
    """Compresses with zstd, by way of a temporary name, and reads the result back.

    threads: at least 1. zstd then cuts its input into jobs of a size that depends on the level only, so the bytes are
    the same for 1, 2 or 20 threads; only with 0 (no jobs at all) they would differ.
    progress is told how many bytes of the tar have been read. Raises Failure when what reads back is not the tar.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    total = tar.stat().st_size
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=total,
        threads=threads,
        window_log=min(_WINDOW_LOG, max(20, total.bit_length())),
        enable_ldm=True,
        write_checksum=True,
        write_content_size=True,
    )
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with tar.open("rb") as source, temporary.open("wb") as target:
            before, after = Hashing(source), Hashing(target)
            with zstandard.ZstdCompressor(compression_params=parameters).stream_writer(
                cast("Any", after), size=total, closefd=False
            ) as compressor:
                while chunk := before.read(_CHUNK):
                    compressor.write(chunk)
                    progress(before.size)
            target.flush()
            os.fsync(target.fileno())
        with reading(temporary) as back:
            back.finish()
        if back.sha256 != before.hash.hexdigest():
            raise Failure(
                "archive",
                f"{out.name} does not read back as what was compressed",
                wanted=f"sha256 {before.hash.hexdigest()} of the tar",
                found=f"sha256 {back.sha256}",
                todo="Nothing was kept. Check this machine's memory and disk, then build again.",
            )
        temporary.rename(out)
    finally:
        temporary.unlink(missing_ok=True)
    return Compressed(after.hash.hexdigest(), after.size, before.hash.hexdigest(), before.size)
