"""Keeps a process to itself: for rehearsals, which have no business in the network."""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

from workers.errors import Failure

_ASKED = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_REACHED = {"socket.connect", "socket.sendto", "socket.bind"}


def only_loopback() -> None:
    """From now on this process reaches nothing but its own machine: every other connection raises Failure.

    It can't be taken back. It holds for everything that goes through Python's sockets, not for programs that this one
    starts, nor for libraries that call the system themselves; where that matters, use a network namespace.
    """
    sys.addaudithook(_guard)


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _ASKED:
        host = arguments[0]
    elif event in _REACHED and arguments[0].family in (socket.AF_INET, socket.AF_INET6):
        host = arguments[1][0]
    else:
        return
    if not is_loopback(host):
        raise Failure(
            "rehearsal", "a rehearsal wanted to reach another machine", wanted="loopback only", found=str(host),
            todo="This is a fault of pymint: nothing was sent. Please report it.",
        )  # fmt: skip


def is_loopback(host: object) -> bool:
    """Of a name or an address as sockets take it. No name but `localhost` is looked up to find out."""
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if text is None or text == "" or text == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(text).partition("%")[0]).is_loopback
    except ValueError:
        return False
