"""gzip on all cores: one member, whose bytes depend on the input and the level only, not on how many cores there were.

The input is cut into pieces of one size; each is deflated on its own, with the 32 KiB before it as its dictionary, and
ends at a byte's edge, so that the pieces stand one after the other in one stream. Not a gzip member a piece: uv, which
reads the first member only, would take such a file for cut off. zlib-ng's own threads give other bytes for other counts
of threads; since 2.2 its output for one call is the same on every processor (zlib-ng #1681).
"""

from __future__ import annotations

import struct
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import IO

from zlib_ng import zlib_ng

# 4 threads and more keep busy with twice as many pieces in flight; 1 MiB loses nothing against deflating in one piece.
PIECE = 1 << 20
_WINDOW = 1 << 15
# magic, deflate, no flags, no time, "slowest", unknown system: nothing of the machine that wrote it
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


def _deflated(piece: bytes, before: bytes, level: int, last: bool) -> bytes:
    """One piece as raw deflate. `before`: the window that a reader has when it gets here."""
    arguments = (level, zlib_ng.DEFLATED, -15, 9, zlib_ng.Z_DEFAULT_STRATEGY)
    worker = zlib_ng.compressobj(*arguments, before) if before else zlib_ng.compressobj(*arguments)
    data = worker.compress(piece) + worker.flush(zlib_ng.Z_FINISH if last else zlib_ng.Z_SYNC_FLUSH)
    return bytes(data)


class Gzip:
    """A stream that takes bytes of any size and writes one gzip member. Holds a few pieces for each thread."""

    def __init__(self, stream: IO[bytes], *, level: int, threads: int) -> None:
        self._stream = stream
        self._level = level
        self._pool = ThreadPoolExecutor(max_workers=threads)
        self._limit = 2 * threads
        self._flying: deque[Future[bytes]] = deque()
        self._buffer = bytearray()
        self._before = b""
        self._crc = 0
        self._size = 0
        stream.write(_HEADER)

    def write(self, data: bytes) -> int:
        self._crc = zlib_ng.crc32(data, self._crc)
        self._size += len(data)
        self._buffer += data
        # One piece stays behind: the last one is deflated differently, and only `close` knows which that is.
        while len(self._buffer) > PIECE:
            self._send(bytes(self._buffer[:PIECE]), last=False)
            del self._buffer[:PIECE]
        return len(data)

    def _send(self, piece: bytes, *, last: bool) -> None:
        self._flying.append(self._pool.submit(_deflated, piece, self._before, self._level, last))
        self._before = piece[-_WINDOW:]
        while len(self._flying) > self._limit:
            self._stream.write(self._flying.popleft().result())

    def close(self) -> None:
        """Writes what is left and the end of the member; the stream below stays open."""
        self._send(bytes(self._buffer), last=True)
        while self._flying:
            self._stream.write(self._flying.popleft().result())
        self._stream.write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))
        self._pool.shutdown()

    def __enter__(self) -> Gzip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._pool.shutdown(cancel_futures=True)
