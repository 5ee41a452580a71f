"""A worker's directory on its machine, made from an invitation; and whether the master answers as it should."""

from __future__ import annotations

import json
import os
import pwd
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from master.fleet.invitation import Invitation
from master.home import Home, cache_directory, write_file
from master.instance import pin
from workers.errors import Failure

ANSWERS_S = 20


@dataclass(frozen=True)
class Place:
    """Where a worker of this machine is. `base` is Buildbot's, which deletes directories in it that are no builder's;
    what has to stay lies beside.
    """

    directory: Path

    @property
    def base(self) -> Path:
        return self.directory / "worker"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def authority(self) -> Path:
        """With the one certificate that the master's has to come from."""
        return self.directory / "authority"


def try_master(invitation: Invitation) -> str:
    """Connects as the worker will; what it was: "TLS 1.3" or "plain text". Raises Failure that says why it can't."""
    address = f"{invitation.host}:{invitation.port}"
    try:
        with socket.create_connection((invitation.host, invitation.port), ANSWERS_S) as connection:
            if not invitation.authority:
                return "plain text"
            context = ssl.create_default_context(cadata=invitation.authority)
            with context.wrap_socket(connection, server_hostname=invitation.host) as secure:
                return (secure.version() or "TLS").replace("v", " ")
    except ssl.SSLCertVerificationError as error:
        raise Failure(
            "worker", f"{address} does not show the certificate of the master that invited this worker",
            wanted=f"a certificate for {invitation.host} from the authority in the invitation",
            found=error.verify_message, todo="Either another machine answers there, or the master's authority is a new "
            "one.\nOn the master: ./mint worker invite NAME, and use that line.",
        ) from error  # fmt: skip
    except ssl.SSLError as error:
        raise Failure(
            "worker", f"{address} answers, but not by TLS", wanted="TLS, as the invitation says",
            found=error.reason or str(error), todo="Is that the port of [protocol], not of the page? Was [protocol] "
            "tls turned off since?\nOn the master: ./mint worker invite NAME, and use that line.",
        ) from error  # fmt: skip
    except OSError as error:
        raise Failure(
            "worker", f"no master answers at {address}", found=str(error),
            todo="Is it up (./mint status there)? Does [protocol] interface in its settings.toml let this machine in, "
            "and the\nfirewalls between? Another name or port: --master HOST:PORT.",
        ) from error  # fmt: skip


def make_directory(place: Place, invitation: Invitation, checkout: Path, admin: str) -> None:
    """Writes what the worker needs; again and again, with what is new in the invitation."""
    base = place.base
    for directory in (base, base / "info", place.authority):
        if directory.is_symlink():
            # Root may be writing here, and what a build runs may have put it there.
            raise Failure(
                "worker", f"{directory} is a link", wanted="a directory of the worker's own",
                found=f"a link to {directory.readlink()}", todo="Look at who made it, and delete it.",
            )  # fmt: skip
    for directory in (base, base / "info", place.state):
        directory.mkdir(parents=True, exist_ok=True)
    place.directory.chmod(0o750)
    values: dict[str, str | int | float] = {
        "name": invitation.name,
        "host": invitation.host,
        "port": invitation.port,
        "password_file": "password",
        "python": sys.executable,
        "checkout": str(checkout),
        "state": str(place.state),
        "cache": str(cache_directory()),
        "disk_gb": invitation.disk_gb,
    }
    write_file(base / "password", invitation.password.encode() + b"\n", 0o600)
    if invitation.authority:
        pin(place.authority, invitation.authority)
        values["authority"] = str(place.authority)
    tac = (checkout / "workers" / "service" / "buildbot.tac").read_bytes()
    write_file(base / "buildbot.tac", tac)
    write_file(base / "info" / "admin", admin.encode())
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    write_file(base / "worker.toml", lines.encode())


def give_to(place: Place, user: str) -> None:
    """What root made is the worker's own user's; never what a link there leads to.

    Raises Failure for a user that does not exist.
    """
    if os.geteuid() != 0 or user == "root":
        return
    try:
        number = pwd.getpwnam(user).pw_uid
        for path in [place.directory, *place.directory.rglob("*")]:
            os.chown(path, number, -1, follow_symlinks=False)
    except KeyError as error:
        raise Failure(
            "worker", f"there is no user {user!r} on this machine", todo=f"Make it: useradd --create-home {user}"
        ) from error


def place_of(home: Home, name: str) -> Place:
    return Place(home.workers / name)
