"""A file that is checked while it is sent."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from master.release.model import Asset
from master.release.places.base import rotten


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
