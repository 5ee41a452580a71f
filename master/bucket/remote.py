"""A bucket, as a store needs it: create-only writes, reads that hash, and patience with a service that is away."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from master.bucket.access import Bucket
from master.bucket.client import client_of, status_of, words
from master.bucket.trouble import Trouble
from workers.errors import Failure

BLOCK = 1024 * 1024
CONNECTIONS = 8
# Somebody waits for a page, or for a thread that others need, too.
SHORTLY_S = 10.0
# After nobody answered, who has no patience is told so at once: pages share few threads.
REST_S = 3.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 20.0
# Younger than this nothing is dropped that no record names yet, so what is stored again has to be made young again.
YOUNG_S = 1800.0
PROBE = ".create-only"
_TIMES = 8
T = TypeVar("T")


class Away(Failure):
    """The service does not answer now, and may answer in a moment. Nothing that was stored is lost."""


@dataclass(frozen=True)
class Held:
    """An object as the bucket lists it. size: bytes; modified: seconds since 1970, UTC, when it was written last."""

    key: str
    size: int
    etag: str
    modified: float


class Remote:
    """Safe for several threads. Keys are those below the store's prefix. Each method raises Away or Failure."""

    def __init__(
        self, bucket: Bucket, *, patience_s: float = SHORTLY_S, pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.access = bucket.access
        self.patience_s = patience_s
        self._below = f"{bucket.access.prefix.strip('/')}/"
        self._pause, self._clock = pause, clock
        self._client: Any = None
        self._proven = False
        self._left_alone = float("-inf")

    @property
    def name(self) -> str:
        """For people: the service and the bucket."""
        return f"{self.access.endpoint or 'S3'}, bucket {self.access.bucket}"

    @property
    def client(self) -> Any:
        if self._client is None:
            self._client = client_of(self.access, CONNECTIONS)
        return self._client

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.access.bucket, "Key": self._below + key}

    def _patiently(self, action: Callable[[], T]) -> T:
        """What the action returns. 412 is an answer, and raised as it came: Trouble."""
        began, pause = self._clock(), FIRST_PAUSE_S
        if self.patience_s <= SHORTLY_S and began < self._left_alone:
            raise self._away("it did not answer a moment ago")
        while True:
            try:
                with words(missing=True, telling=self.access.telling):
                    return action()
            except Trouble as trouble:
                if status_of(trouble.__cause__) == 412:
                    raise
                wait = max(pause, trouble.wait_s or 0)
                if self._clock() - began + wait > self.patience_s:
                    self._left_alone = self._clock() + REST_S
                    raise self._away(f"{trouble.what}, for {self._clock() - began:.0f} s") from trouble
                self._pause(wait)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    def _away(self, found: str) -> Away:
        return Away(
            "store", f"the bucket {self.access.bucket} does not answer", wanted=f"an answer of {self.name}",
            found=found, todo="Nothing that was stored is lost. When it answers again, do this again: a build by its "
            "Rebuild button.\n./mint checkconfig tries the bucket.",
        )  # fmt: skip

    def try_out(self) -> None:
        """Whether the service answers, may be written to, and refuses a write whose condition does not hold."""
        if self._proven:
            return
        for _ in range(2):
            try:
                self._patiently(lambda: self.client.put_object(**self._at(PROBE), Body=b"pymint\n", IfNoneMatch="*"))
            except Trouble:
                self._proven = True
                return
        raise Failure(
            "store", f"the service of the bucket {self.access.bucket} writes over what is there, whatever the "
            "condition", wanted="412 for If-None-Match: * on an object that exists", found="200",
            todo="Several masters would write over each other's records. Take another service, or a directory.",
        )  # fmt: skip

    def ask(self) -> None:
        """Whether the service answers."""
        self._head(PROBE)

    def create(self, key: str, content: bytes) -> bytes | None:
        """Writes an object where none is. None when these bytes are there now; else what is there instead."""
        self.try_out()
        try:
            self._patiently(
                lambda: self.client.put_object(
                    **self._at(key), Body=content, ContentType="application/json", IfNoneMatch="*",
                    ChecksumSHA256=base64.b64encode(hashlib.sha256(content).digest()).decode(),
                )
            )  # fmt: skip
        except Trouble:
            there = self.read(key)
            if there is None:
                return self.create(key, content)  # somebody dropped it just now
            return None if there == content else there
        return None

    def keep(self, key: str, path: Path, digest: str, length: int) -> None:
        """A file under its digest: written where nothing is, and written again where what is there is old or not it.

        Old, since what nobody refers to yet is dropped after a while. Written again on the condition that it is what
        was looked at, and with the same bytes, so that two who do it at once harm nothing.
        """
        self.try_out()
        checksum = base64.b64encode(bytes.fromhex(digest)).decode()
        for _ in range(_TIMES):
            head = self._head(key)
            if head is None:
                condition = {"IfNoneMatch": "*"}
            elif head.get("ChecksumSHA256") == checksum and time.time() - head["LastModified"].timestamp() < YOUNG_S:
                return
            else:
                condition = {"IfMatch": head["ETag"]}
            try:
                self._patiently(lambda: self._send(key, path, checksum, length, condition))  # noqa: B023
            except (Trouble, KeyError):
                continue  # others write the same object, or it was just dropped: it is looked at again
            return
        raise Away(
            "store", f"{key} changes faster than it can be written", wanted="an object that stays as it is",
            found=f"{_TIMES} broken conditions", todo="Look at who else writes to that bucket.",
        )  # fmt: skip

    def _send(self, key: str, path: Path, checksum: str, length: int, condition: dict[str, str]) -> None:
        with path.open("rb") as body:
            self.client.put_object(
                **self._at(key), Body=body, ContentLength=length, ChecksumSHA256=checksum, **condition
            )

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            found = self._patiently(lambda: self.client.head_object(**self._at(key), ChecksumMode="ENABLED"))
        except KeyError:
            return None
        return dict(found)

    def written_at(self, key: str) -> float | None:
        """When an object was written last, in whole seconds since 1970, UTC. None where none is."""
        head = self._head(key)
        return None if head is None else float(head["LastModified"].timestamp())

    def read(self, key: str) -> bytes | None:
        """A small object, None where none is."""
        try:
            return self._patiently(lambda: bytes(self.client.get_object(**self._at(key))["Body"].read()))
        except KeyError:
            return None

    def fetch(self, key: str, target: IO[bytes]) -> str | None:
        """Writes an object into an empty file: its sha256, as it was read. None where none is."""

        def once() -> str:
            target.seek(0)
            target.truncate()
            hasher = hashlib.sha256()
            for block in self.client.get_object(**self._at(key))["Body"].iter_chunks(BLOCK):
                hasher.update(block)
                target.write(block)
            return hasher.hexdigest()

        try:
            return self._patiently(once)
        except KeyError:
            return None

    def listed(self, below: str) -> Iterator[Held]:
        """Everything below a key, as it is when the listing comes to it."""
        more: dict[str, str] = {}
        while True:
            page = self._patiently(
                lambda: self.client.list_objects_v2(
                    Bucket=self.access.bucket, Prefix=f"{self._below}{below}/", **more  # noqa: B023
                )
            )  # fmt: skip
            for one in page.get("Contents", []):
                key = one["Key"].removeprefix(self._below)
                yield Held(key, one["Size"], one["ETag"].strip('"'), one["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        self._patiently(lambda: self.client.delete_object(**self._at(key)))


def problem_of(ask: Callable[[], None]) -> str:
    """What is wrong with a bucket, in a sentence; "" when it answers, and is as it has to be."""
    try:
        ask()
    except Failure as failure:
        return f"{failure.what}{f': {failure.found}' if failure.found else ''}"
    return ""
