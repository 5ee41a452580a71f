"""Files as they are sent: checked on the way, and in pieces."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from master.release.model import Asset
from master.release.places.base import rotten

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Watched(io.FileIO):
    """A file that raises Failure instead of giving its end away when it is not the asset's, read from its beginning."""

    def __init__(self, path: Path, asset: Asset) -> None:
        try:
            super().__init__(path)
        except OSError as error:
            raise rotten(asset, path, error.strerror or str(error)) from error
        self._path, self._asset = path, asset
        self._hasher, self._read = hashlib.sha256(), 0

    def seek(self, position: int, whence: int = 0, /) -> int:
        where = super().seek(position, whence)
        if where == 0:
            self._hasher, self._read = hashlib.sha256(), 0
        return where

    def read(self, size: int | None = -1, /) -> bytes:
        where = self.tell()
        block = super().read(-1 if size is None else size) or b""
        if where == self._read:
            self._hasher.update(block)
            self._read += len(block)
            ended = self._read >= self._asset.size or not block
            if ended and (self._hasher.hexdigest(), self._read) != (self._asset.sha256, self._asset.size):
                raise rotten(self._asset, self._path, f"sha256 {self._hasher.hexdigest()}")
        return block


class Piece(io.RawIOBase):
    """`size` bytes of a file from `begin` on, as a file of their own that begins at 0."""

    def __init__(self, path: Path, begin: int, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._begin, self._size, self._at = begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = 0, /) -> int:
        self._at = max(0, position + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._file.seek(self._begin + self._at)
        count = self._file.readinto(memoryview(buffer)[: max(0, self._size - self._at)]) or 0
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
