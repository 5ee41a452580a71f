"""The router that several masters talk through: Crossbar, in an environment of its own, with a configuration of ours.

It is heavy, and its pins would bind the farm's, so nothing of it is installed until a router is asked for.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from master.cluster.choice import REALM
from master.home import Home, write_file
from master.settings import Settings
from workers.errors import Failure

# All of it, exactly: made from a fresh environment of `pip install crossbar`.
PINS = Path(__file__).with_name("router-constraints.txt")
# What Buildbot's masters call, register, publish and subscribe to. Nothing else passes.
URIS = "org.buildbot."


@dataclass(frozen=True)
class Place:
    """Where a router's files are, below MINT_HOME."""

    root: Path

    @property
    def python(self) -> Path:
        return self.root / "venv" / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """The digest of the pins that the environment was made from, written last."""
        return self.root / "venv" / "pymint-stamp"

    @property
    def configuration(self) -> Path:
        return self.root / "node" / "config.json"


def place_of(home: Home) -> Place:
    return Place(home.root / "router")


def configuration(router_url: str, interface: str | None = None) -> dict[str, Any]:
    """Crossbar's configuration. It listens where `router_url` says, or on another interface for a proxy in front.

    Everybody who reaches the port may speak as a master: Buildbot knows no login there. So it listens on loopback or in
    a network of the masters' own, and refuses whatever comes from a browser, which sends an Origin.
    """
    parts = urlsplit(router_url)
    allowed = {"call": True, "register": True, "publish": True, "subscribe": True}
    role = {
        "name": "master",
        "permissions": [{"uri": URIS, "match": "prefix", "allow": allowed, "cache": True}],
    }  # fmt: skip
    transport = {
        "type": "websocket",
        "endpoint": {
            "type": "tcp", "port": parts.port or (443 if parts.scheme == "wss" else 80),
            "interface": interface or parts.hostname, "backlog": 100,
        },
        "url": router_url,
        "serializers": ["json"],
        "auth": {"anonymous": {"type": "static", "role": "master"}},
        "options": {
            "allowed_origins": [], "allow_null_origin": False, "enable_webstatus": False,
            # A master whose machine is gone without a word is dropped.
            "auto_ping_interval": 10_000, "auto_ping_timeout": 20_000,
        },
    }  # fmt: skip
    router = {"type": "router", "realms": [{"name": REALM, "roles": [role]}], "transports": [transport]}
    return {"version": 2, "controller": {}, "workers": [router]}


def prepare(home: Home, settings: Settings, interface: str | None = None) -> list[str]:
    """Makes environment and configuration, again and again safely; the command that runs the router, in the foreground.

    Raises Failure when a package can't be had.
    """
    place = place_of(home)
    place.configuration.parent.mkdir(parents=True, exist_ok=True)
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if not place.stamp.exists() or place.stamp.read_text() != wanted:
        _install(place)
        write_file(place.stamp, wanted.encode())
    said = json.dumps(configuration(settings.cluster.router, interface), indent=1)
    write_file(place.configuration, said.encode())
    node = str(place.configuration.parent)
    return [str(place.python.with_name("crossbar")), "start", "--cbdir", node, "--loglevel", "warn", "--color", "false"]


def _install(place: Place) -> None:
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(place.root / "venv")],
        [str(place.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--requirement", str(PINS)],
    ):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Failure(
                "router", "its environment could not be made", wanted=" ".join(command),
                found=(done.stdout + done.stderr).strip()[-1500:],
                todo="It comes from the package index that pip is set up with. Run ./mint router again.",
            )  # fmt: skip
