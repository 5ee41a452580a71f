"""`[database]`, `[cluster]` and `[[masters]]` of settings.toml: where its memory is, and who shares it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from master.complaint import Complaint

NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,29}\Z")
# What the router calls the room in which the masters talk.
REALM = "pymint"


@dataclass(frozen=True)
class Database:
    """url: postgresql://USER@HOST:PORT/NAME, or without HOST for the machine's own socket; left out: SQLite.

    password_file: relative to MINT_HOME, for its owner only.
    """

    url: str | None = None
    password_file: str | None = None


@dataclass(frozen=True)
class Cluster:
    """router: where the masters talk to each other, ws:// or wss://. expire_minutes: a master that said nothing for so
    long is taken for dead, and the others do what it had begun."""

    router: str = "ws://127.0.0.1:9980/ws"
    expire_minutes: int = 10


@dataclass(frozen=True)
class MasterSettings:
    """One of several masters. host: where workers reach it; the ports and interfaces are those of [web] and [protocol]
    for this one."""

    name: str
    host: str = "127.0.0.1"
    web_port: int = 8010
    web_interface: str = "127.0.0.1"
    worker_port: int = 9989
    worker_interface: str = "127.0.0.1"


def database_complaint(database: Database, masters: Sequence[MasterSettings]) -> Complaint | None:
    """The first thing about [database] that can't be."""
    if database.url is None:
        if masters:
            return Complaint("url", "several masters need a database that all of them reach",
                             "postgresql://USER@HOST/NAME", "none, which is SQLite on one machine's disk")  # fmt: skip
        if database.password_file is not None:
            return Complaint("password_file", "SQLite has no password", "a url", "none")
        return None
    try:
        parts = urlsplit(database.url)
        found = (parts.scheme, parts.path.strip("/"), parts.password, parts.port)
    except ValueError as error:
        return Complaint("url", "this is no address", "postgresql://USER@HOST:PORT/NAME", str(error))
    if found[0] != "postgresql" or not found[1]:
        # Never the address itself: it may hold a password.
        return Complaint("url", "this is no PostgreSQL database", "postgresql://USER@HOST:PORT/NAME",
                         f"{found[0] or 'no'}://, {'a' if found[1] else 'no'} name")  # fmt: skip
    if found[2] is not None or any("password" in key for key in parse_qs(parts.query)):
        return Complaint("url", "a password stands in the settings", "password_file, for its owner only", "a password")
    return None


def names_complaint(masters: Sequence[MasterSettings], base: str | None, page: str | None) -> Complaint | None:
    """Whether what one master signs is another's, too. base: of [signing]; page: the url of [web], which is it else."""
    if len(masters) < 2 or base is not None or page is not None:
        return None
    what = "each master would sign by the address of its own page, and no other one could release what it built"
    return Complaint("base", what, 'base = "https://...", or the url of [web]', "neither")


def cluster_complaint(cluster: Cluster) -> Complaint | None:
    """The first thing about [cluster] that can't be."""
    try:
        parts = urlsplit(cluster.router)
        reached = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        reached = False
    if not reached:
        return Complaint("router", "this is no router", "ws://HOST:PORT/ws or wss://HOST:PORT/ws", cluster.router)
    if cluster.expire_minutes < 2:
        return Complaint("expire_minutes", "masters say once a minute that they live", "2 or more",
                         str(cluster.expire_minutes))  # fmt: skip
    return None


def masters_complaints(masters: Sequence[MasterSettings]) -> Iterator[tuple[int, Complaint]]:
    """Which of [[masters]], from 0, can't be: a name that is none, what two of them can't both have."""
    names: set[str] = set()
    places: dict[tuple[str, int], str] = {}
    for number, one in enumerate(masters):
        if not NAME.match(one.name):
            yield number, Complaint("name", "this is no name for a master",
                                    "small letters, digits and dashes, at most 30", repr(one.name))  # fmt: skip
        if one.name in names:
            yield number, Complaint("name", "two masters have the same name", "another name for one", repr(one.name))
        names.add(one.name)
        for key, port in (("web_port", one.web_port), ("worker_port", one.worker_port)):
            if (other := places.setdefault((one.host, port), one.name)) != one.name or one.web_port == one.worker_port:
                what = f"{one.name} and {other} would listen on the same port of {one.host}"
                yield number, Complaint(key, what, "another port, or another host", str(port))
