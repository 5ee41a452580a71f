"""gzip on several cores: one member, the same bytes for any number of threads and any way of writing."""

from __future__ import annotations

import gzip
import io
import random
import zlib

import pytest

from workers.derive.gzipping import PIECE, Gzip


def gzipped(data: bytes, threads: int, step: int) -> bytes:
    out = io.BytesIO()
    with Gzip(out, level=6, threads=threads) as stream:
        for start in range(0, len(data), step):
            stream.write(data[start : start + step])
    return out.getvalue()


def some(size: int) -> bytes:
    words = random.Random(1)
    return b"".join(b"word%d " % words.randrange(5000) for _ in range(size // 8))[:size]


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_it_reads_back_as_one_member(size: int) -> None:
    data = some(size)
    packed = gzipped(data, 2, 100_000)
    assert gzip.decompress(packed) == data
    reader = zlib.decompressobj(31)
    assert reader.decompress(packed) + reader.flush() == data
    assert reader.eof
    assert reader.unused_data == b""


def test_no_byte_depends_on_threads_or_on_the_pieces_written() -> None:
    data = some(3 * PIECE + 17)
    assert gzipped(data, 1, 7919) == gzipped(data, 4, PIECE) == gzipped(data, 3, len(data))
