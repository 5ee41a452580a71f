"""multiprocessing: every way to start a process, and the authentication between them."""

from __future__ import annotations

import functools
import multiprocessing
import threading
from typing import TYPE_CHECKING, Any

from workers.fips.probes.core import Outcome, Wrong, probe, same

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from multiprocessing.connection import Connection

MD5_OF_ABC = "900150983cd24fb0d6963f7d28e17f72"
METHODS = ("fork", "spawn", "forkserver")
_KEY = b"an authentication key"
_PATIENCE_S = 60.0


def tell_md5(shared: MutableMapping[str, str]) -> None:
    """Runs in a child process: leaves what MD5 is there."""
    import hashlib

    try:
        shared["md5"] = hashlib.md5(b"abc").hexdigest()
    except ValueError:
        shared["md5"] = "refused"


@functools.lru_cache(None)
def md5_of_child(method: str) -> str:
    """MD5 of b"abc", or "refused", of a child process; told through a manager's process, which authenticates."""
    context: Any = multiprocessing.get_context(method)
    with context.Manager() as manager:
        shared = manager.dict()
        child = context.Process(target=tell_md5, args=(shared,))
        child.start()
        child.join(_PATIENCE_S)
        if child.exitcode != 0:
            child.kill()
            raise Wrong(f"the child process ended with {child.exitcode}")
        return str(shared["md5"])


def through_manager(method: str) -> Outcome:
    """Works when a manager's dictionary brings the child's answer, whatever it is."""
    return "works", f"MD5 in the child: {md5_of_child(method)}"


def md5_in_child(method: str) -> Outcome:
    found = md5_of_child(method)
    if found == "refused":
        raise ValueError("refused in the child")
    return same(found, MD5_OF_ABC)


for _method in METHODS:
    probe(f"process.manager-{_method}")(functools.partial(through_manager, _method))
    probe(f"md5.in-process-{_method}")(functools.partial(md5_in_child, _method))


def _call(key: bytes) -> Outcome:
    """A message from a client with `key` to a listener with its own, both ends authenticated."""
    from multiprocessing.connection import Client, Listener

    with Listener(authkey=_KEY) as listener:

        def call() -> None:
            try:
                with Client(listener.address, authkey=key) as connection:
                    connection.send("hello")
            except (OSError, EOFError, ValueError, multiprocessing.AuthenticationError):
                pass  # the listener's end says what came of it

        caller = threading.Thread(target=call)
        caller.start()
        try:
            with listener.accept() as connection:
                return same(connection.recv(), "hello")
        finally:
            caller.join()


@probe("process.listener")
def listener() -> Outcome:
    return _call(_KEY)


@probe("process.wrong-key")
def wrong_key() -> Outcome:
    return _call(_KEY[::-1])


def _hmac_md5(key: bytes, message: bytes) -> bytes:
    """RFC 2104, step by step, so that the peer knows MD5 in both modes."""
    from hashlib import md5

    padded = key.ljust(64, b"\0")
    inner = md5(bytes(byte ^ 0x36 for byte in padded) + message, usedforsecurity=False).digest()
    return md5(bytes(byte ^ 0x5C for byte in padded) + inner, usedforsecurity=False).digest()


def _older_peer(connection: Connection) -> None:
    """Answers a challenge as Python before 3.12 does: by HMAC-MD5, whatever the challenge says."""
    with connection:
        try:
            message = connection.recv_bytes(256)[len(b"#CHALLENGE#") :]
            connection.send_bytes(_hmac_md5(_KEY, message))
            connection.recv_bytes(256)
        except (OSError, EOFError):
            pass  # the other end says what came of it


@probe("process.md5-peer")
def md5_peer() -> Outcome:
    from multiprocessing.connection import deliver_challenge

    ours, theirs = multiprocessing.Pipe()
    peer = threading.Thread(target=_older_peer, args=(theirs,))
    peer.start()
    try:
        with ours:
            deliver_challenge(ours, _KEY)
    finally:
        peer.join()
    return "works", "a peer that knows HMAC-MD5 alone was welcomed"
