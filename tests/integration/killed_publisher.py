"""Publishes in a process that ends itself with kill -9 at a chosen moment. For `test_release_killed`."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import master.release.places.directory as directory
import master.release.places.github as github
import master.release.places.s3 as s3
from master.bucket.access import Access
from master.release import checkpoints
from master.release.model import Asset, Plan
from master.release.places.base import Place
from master.release.places.github_api import Api
from master.release.places.watched import Watched
from master.release.publishing import publish
from master.release.uploading import Patience
from master.store import Store
from workers.errors import Failure
from workers.reports.base import read_report

PART = 5 * 1024 * 1024
_METHODS = ("published", "draft", "held", "put", "digest", "remove", "publish", "point")


@dataclass(frozen=True)
class Job:
    """What is published where. where: a directory, the address of a GitHub, or an S3 access."""

    kind: Literal["directory", "github", "s3"]
    where: Any
    plan: Path
    store: Path
    state: Path


@dataclass(frozen=True)
class Ended:
    """A run that published, or found it published. moments: how many it had; sent: files."""

    moments: int
    was_there: bool
    sent: int


def place_of(job: Job) -> Place:
    if job.kind == "directory":
        return directory.Directory(job.where)
    if job.kind == "github":
        address, repository, token = job.where
        return github.GitHub(Api(address, repository, token), parallel=3, pace_s=0)
    assert isinstance(job.where, Access)
    return s3.S3(job.where, parallel=3, single=400_000, part=PART)


def run(job: Job, kill_at: int | None, said: Connection) -> None:
    """Publishes; at the moment number `kill_at`, from 0, the process is gone. Tells an Ended, or why it was refused."""
    moment = _Moments(kill_at)
    place = place_of(job)
    for method in _METHODS:
        _around(place, method, moment)
    _around(checkpoints.Checkpoints, "reach", moment)
    for module in (directory, github):
        module.blocks = _watched(module.blocks, moment)  # type: ignore[attr-defined]
    for name in ("rename", "replace", "symlink_to", "unlink"):
        _around(Path, name, moment)
    _around(Watched, "read", moment, after=False)
    try:
        (done,) = publish(
            read_report(job.plan, Plan), Store(job.store), [place], job.state, lambda line: None,
            patience=Patience(sleep=lambda seconds: None),
        ).places  # fmt: skip
    except Failure as failure:
        said.send(str(failure))
        return
    said.send(Ended(moment.count, done.was_there, done.sent_files))


class _Moments:
    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.count = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count += 1


def _around(owner: object, name: str, moment: Callable[[], None], *, after: bool = True) -> None:
    real = getattr(owner, name)

    @functools.wraps(real)
    def counted(*arguments: Any, **named: Any) -> Any:
        moment()
        answer = real(*arguments, **named)
        if after:
            moment()
        return answer

    setattr(owner, name, counted)


def _watched(real: Callable[[Path, Asset], Iterator[bytes]], moment: Callable[[], None]) -> Any:
    def counted(path: Path, asset: Asset) -> Iterator[bytes]:
        for block in real(path, asset):
            half = len(block) // 2
            yield block[:half]
            moment()
            yield block[half:]

    return counted
