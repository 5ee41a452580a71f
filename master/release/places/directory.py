"""A directory on this machine, for a web server or a mirror.

    <tag>/                       a published release, whole from its first moment on
    .drafts/<tag>.<identity>/    one that is being put together
    latest                       a link to the newest
    latest-release.json, ...     the newest one's indexes

Files are copied, not linked to the store: whoever serves the directory may change owners and modes there without
touching what the farm trusts. Only a rehearsal, which nobody serves, is linked: it costs no disk.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from master.bucket.trouble import Trouble
from master.home import write_file
from master.release.model import PLAN_NAME, Asset
from master.release.places.base import (
    LATEST,
    Delivery,
    Held,
    blocks,
    digest_of,
    half_done,
    newer,
    pointers,
    taken_by_another,
)
from workers.errors import Failure

DRAFTS = ".drafts"
LINK = "latest"
_PART = ".part-"
_FILE_MODE, _DIRECTORY_MODE = 0o644, 0o755


class Directory:
    """Releases below `root`. rehearsal: files are links, and another plan's release of the same tag gives way."""

    def __init__(self, root: Path, *, parallel: int = 2, rehearsal: bool = False) -> None:
        self.name = "rehearsal" if rehearsal else "directory"
        self.root = root
        self.rehearsal = rehearsal
        self.parallel = parallel
        self.pace_s = 0.0

    def address(self, tag: str) -> str:
        return str(self.root / tag)

    def published(self, tag: str) -> str | None:
        place = self.root / tag
        try:
            return hashlib.sha256((place / PLAN_NAME).read_bytes()).hexdigest()
        except FileNotFoundError:
            if place.exists():
                raise Failure(
                    "publish", f"{place} is no release of ours", wanted=f"a {PLAN_NAME} in it", found="none",
                    todo="Move it away, or release under another tag.",
                ) from None  # fmt: skip
            return None
        except OSError as error:
            raise self._failure(error) from error

    def draft(self, delivery: Delivery) -> None:
        with self._words():
            draft = self._draft(delivery)
            for other in self._drafts(delivery.tag):
                if other == draft:
                    continue
                if not self.rehearsal:
                    raise half_done(self.name, delivery.tag, other.name.partition(".")[2], delivery.identity)
                shutil.rmtree(other)
            draft.mkdir(parents=True, exist_ok=True)
            draft.chmod(_DIRECTORY_MODE)
            for part in draft.glob(f"{_PART}*"):
                part.unlink()

    def held(self, delivery: Delivery) -> dict[str, Held]:
        with self._words():
            found = [path for path in self._draft(delivery).iterdir() if not path.name.startswith(_PART)]
            return {path.name: Held(path.name, path.stat().st_size) for path in found}

    def put(self, delivery: Delivery, asset: Asset) -> None:
        with self._words():
            draft, source = self._draft(delivery), delivery.source(asset)
            part = draft / f"{_PART}{asset.name}"
            part.unlink(missing_ok=True)
            if self.rehearsal and _linked(source, part):
                for _ in blocks(part, asset):
                    pass
            else:
                with part.open("xb") as stream:
                    for block in blocks(source, asset):
                        stream.write(block)
                    stream.flush()
                    os.fchmod(stream.fileno(), _FILE_MODE)
                    os.fsync(stream.fileno())
            part.rename(draft / asset.name)

    def digest(self, delivery: Delivery, asset: Asset, held: Held) -> str:
        with self._words():
            return digest_of(self._draft(delivery) / held.name)

    def remove(self, delivery: Delivery, held: Held) -> None:
        with self._words():
            (self._draft(delivery) / held.name).unlink(missing_ok=True)

    def publish(self, delivery: Delivery) -> None:
        with self._words():
            draft, place = self._draft(delivery), self.root / delivery.tag
            if not draft.exists() and self.published(delivery.tag) == delivery.identity:
                return
            if self.rehearsal and place.exists():
                # Its name as a draft first, so that a process that dies here leaves no half of a release behind.
                old = self.root / DRAFTS / f"{delivery.tag}.old"
                place.rename(old)
                shutil.rmtree(old)
            _settle(draft)
            try:
                draft.rename(place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                found = self.published(delivery.tag) or "nothing"
                raise taken_by_another(self.name, delivery.tag, found, delivery.identity) from error
            _settle(self.root)

    def point(self, delivery: Delivery) -> list[str]:
        with self._words(), self._alone():
            link = self.root / LINK
            now = str(link.readlink()) if link.is_symlink() else None
            if now is not None and now != delivery.tag and not newer(delivery.tag, now):
                return []
            assets = pointers(delivery.plan)
            for half in (path for one in assets for path in self.root.glob(f".{one.name}.*")):
                half.unlink()  # of a process that was killed while it wrote
            for asset in assets:
                if asset.name != LATEST:
                    write_file(self.root / asset.name, delivery.text(asset), _FILE_MODE)
            fresh = self.root / f".{LINK}-new"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(delivery.tag)
            fresh.replace(link)
            for asset in assets:
                if asset.name == LATEST:
                    write_file(self.root / asset.name, delivery.text(asset), _FILE_MODE)
            _settle(self.root)
            return [LINK, *(asset.name for asset in assets)]

    def discard(self, tag: str) -> bool:
        with self._words():
            found = self._drafts(tag)
            for draft in found:
                shutil.rmtree(draft)
            return bool(found)

    def _draft(self, delivery: Delivery) -> Path:
        return self.root / DRAFTS / f"{delivery.tag}.{delivery.identity}"

    def _drafts(self, tag: str) -> list[Path]:
        return sorted((self.root / DRAFTS).glob(f"{tag}.*"))

    def _failure(self, error: OSError) -> Failure:
        return Failure(
            "publish", f"{self.name}: {self.root} can't be used", found=f"{error.filename or ''} {error.strerror}",
            todo="Mend that and start the release again: what is there already is kept.",
        )  # fmt: skip

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two releases that end at once move the pointers one after the other."""
        with (self.root / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.EINTR, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE):
                raise Trouble(f"{self.name}: {error.strerror}") from error
            raise self._failure(error) from error


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        return False
    return True


def _settle(directory: Path) -> None:
    """Brings a directory's names to the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
