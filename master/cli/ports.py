"""Whether a port can be listened on, and who holds it if not."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path

from workers.errors import Failure

LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp


@dataclass(frozen=True)
class Port:
    """setting: the key of settings.toml that changes it."""

    number: int
    interface: str
    setting: str
    what: str


def taken(port: Port) -> OSError | None:
    """The error that listening on it gives, or None."""
    family = socket.AF_INET6 if ":" in port.interface else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Twisted does: TIME_WAIT is not "taken"
        try:
            probe.bind((port.interface, port.number))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def holder(number: int, proc: Path = Path("/proc")) -> str | None:
    """`process 123 (nginx)` of the one that listens on the port, where the system lets this user see it."""
    sockets = set()
    for table in ("net/tcp", "net/tcp6"):
        try:
            rows = [line.split() for line in (proc / table).read_text().splitlines()[1:]]
        except OSError:
            continue
        sockets |= {
            f"socket:[{row[9]}]" for row in rows if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == number
        }
    for entry in proc.iterdir() if sockets else ():
        if not entry.name.isdigit():
            continue
        try:
            if any(str(link.readlink()) in sockets for link in (entry / "fd").iterdir()):
                return f"process {entry.name} ({(entry / 'comm').read_text().strip()})"
        except OSError:
            continue
    return None


def require_free(port: Port, settings_file: Path) -> None:
    """Raises Failure that names the port, who holds it, and the setting to change."""
    error = taken(port)
    if error is None:
        return
    section, _, key = port.setting.partition(".")
    change = f"set another in {settings_file}:\n  [{section}]\n  {key} = {port.number + 1 if port.number else 8010}"
    if error.errno == errno.EADDRINUSE:
        raise Failure(
            "ports",
            f"port {port.number}, which {port.what} needs, is taken",
            wanted=f"{port.interface}:{port.number} free",
            found=f"held by {holder(port.number) or 'a process that this user may not look into'}",
            todo=f"End that process, or {change}",
        )
    raise Failure(
        "ports",
        f"{port.what} can't listen on {port.interface}:{port.number}",
        found=str(error),
        todo=f"Use an interface of this machine and a port from 1024 on: {change}",
    )
