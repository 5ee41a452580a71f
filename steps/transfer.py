"""Files from a worker: small ones into memory, large ones to a path on the master. Always with a limit."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.remotetransfer import FileWriter
from buildbot.worker.protocols.base import FileWriterImpl

from workers.errors import Failure
from workers.progress import size

# 100 MB over loopback take 2 s with 256 KiB and 14 s with Buildbot's 16 KiB (reference: buildbot.md, 0).
BLOCK = 512 * 1024


class Memory(FileWriterImpl):
    """Keeps what a worker sends, up to `limit` bytes: it was asked to send no more, and need not do as it was asked."""

    def __init__(self, limit: int) -> None:
        self.blocks: list[bytes] = []
        self.left = limit
        self.too_much = False

    def remote_write(self, data: bytes | str) -> None:
        block = data.encode() if isinstance(data, str) else data
        self.too_much = self.too_much or len(block) > self.left
        if kept := block[: self.left]:
            self.blocks.append(kept)
            self.left -= len(kept)

    def remote_close(self) -> None:
        pass


def _upload(step: Any, source: str, writer: FileWriterImpl, limit: int) -> RemoteCommand:
    arguments = {
        "workdir": step.workdir,
        "workersrc": source,
        "writer": writer,
        "maxsize": limit,
        "blocksize": BLOCK,
        "keepstamp": False,
    }
    return RemoteCommand("uploadFile", arguments)


async def read_file(step: Any, path: str, limit: int, *, cut: bool = False) -> bytes | None:
    """The bytes of a worker's file, relative to the step's workdir; None when it is missing or larger than `limit`.

    With `cut` a larger one is returned by its first `limit` bytes.
    """
    memory = Memory(limit)
    command = _upload(step, path, memory, limit)
    await step.runCommand(command)
    data = b"".join(memory.blocks)
    if (command.rc == 0 and not memory.too_much) or (cut and data):
        return data
    return None


class Landing(FileWriter):
    """Writes what a worker sends to a file. Errors are kept in `problem` and not sent to the worker: it would not end.

    (A worker of Buildbot 4.3 on Python 3 fails to print the master's error, and then never says that it is done.)
    """

    problem: OSError | None = None

    def remote_write(self, data: bytes | str) -> None:
        if self.problem is None:
            try:
                super().remote_write(data)
            except OSError as error:
                self.problem = error

    def remote_close(self) -> None:
        if self.problem is None:
            try:
                super().remote_close()
            except OSError as error:  # what was buffered did not fit
                self.problem = error

    def discard(self) -> None:
        """Leaves no part of the file."""
        with contextlib.suppress(OSError):
            self.cancel()
        self.purge()


async def fetch_file(step: Any, path: str, destination: Path, limit: int) -> None:
    """Copies a worker's file to the master, whole or not at all.

    Raises Failure when it is missing or larger than `limit`, or when the master can't write it: a full disk.
    """
    try:
        writer = Landing(str(destination), limit, 0o600)
    except OSError as error:
        raise _unwritten(step, destination, error) from error
    command = _upload(step, path, writer, limit)
    try:
        await step.runCommand(command)
    except BaseException:
        writer.discard()
        raise
    if writer.problem is not None or command.rc != 0:
        writer.discard()
    if writer.problem is not None:
        raise _unwritten(step, destination, writer.problem)
    if command.rc != 0 or not destination.exists():
        raise Failure(
            step.name, f"{Path(path).name} did not arrive whole", wanted=f"at most {size(limit)}",
            found="no such file on the worker, or a larger one",
            todo="If it is larger, raise [store] max_archive_mb in settings.toml.",
        )  # fmt: skip


def _unwritten(step: Any, destination: Path, error: OSError) -> Failure:
    return Failure(
        step.name,
        f"the master could not write {destination.name}",
        found=str(error),
        todo=f"Make room where {destination.parent.parent} lies, then build again.",
    )
