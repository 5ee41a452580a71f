"""`[protocol]` and `[watch]` of settings.toml, and how a worker that is a container is started."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from master.complaint import Complaint

# A host name or an address, as a certificate has it and a worker dials it.
HOST = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9.-]{0,252}\Z|\A[0-9A-Fa-f:]{2,45}\Z")
IMAGE_NAME = re.compile(r"\A[a-z][a-z0-9-]{0,39}\Z")


@dataclass(frozen=True)
class Protocol:
    """Where workers connect to (Buildbot's PB protocol).

    tls: by a certificate of the farm's own authority; left out: unless the interface is loopback. plain_text: allows
    another interface without TLS. names: host names and addresses by which workers reach this machine, the one that
    invitations say first; they stand in the certificate.
    """

    port: int = 9989
    interface: str = "127.0.0.1"
    tls: bool | None = None
    plain_text: bool = False
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Watch:
    """What is asked of workers, before each build and while they build.

    disk_gb: free where a worker builds, or it gets no build. floor_gb: a program that runs is ended below it. clock_s:
    how far a worker's clock may be off the master's. ping_s: seconds between two looks; silent_s: a connection that
    answers nothing for so long is cut. unfit_times: refusals in a row after which a worker is paused. give_back: how
    often one request may come back from workers before it counts as failed.
    """

    disk_gb: float = 50.0
    floor_gb: float = 2.0
    clock_s: float = 60.0
    ping_s: float = 10.0
    silent_s: float = 60.0
    unfit_times: int = 3
    give_back: int = 3


@dataclass(frozen=True)
class Docker:
    """A worker that is a fresh container for each build.

    image: of cpython-unix/images; the id that was recorded for it when it was built is what is started. host: the
    engine's address. memory_gb, cpus, pids: what a container may use. master: host name or address of this master as
    a container sees it. network: of the engine. store: a directory of the engine's machine that outlives the
    containers of this worker, and of no other; without it each build begins with an empty store.
    """

    image: str = "build"
    host: str = "unix:///var/run/docker.sock"
    memory_gb: float = 8.0
    cpus: float = 2.0
    pids: int = 4096
    master: str | None = None
    network: str = "bridge"
    store: str | None = None


@dataclass(frozen=True)
class Kubernetes:
    """A worker that is a fresh pod for each build. image: as the cluster pulls it, by digest. master_url: of the
    cluster's API; left out: the one that this master runs in. claim: a volume claim that outlives the pods."""

    image: str
    namespace: str = "default"
    master_url: str | None = None
    token_file: str | None = None
    memory_gb: float = 8.0
    cpus: float = 2.0
    master: str | None = None
    claim: str | None = None


def protocol_complaint(chosen: Protocol, *, loopback: bool) -> Complaint | None:
    """What types can't say of `[protocol]`, or None."""
    tls = not loopback if chosen.tls is None else chosen.tls
    if not loopback and not tls and not chosen.plain_text:
        what = "workers' passwords and all that they build would cross the network in plain text"
        return Complaint("tls", what, "tls = true, or plain_text = true where a tunnel encrypts", "tls = false")
    for name in chosen.names:
        if not HOST.match(name):
            return Complaint("names", "this is neither a host name nor an address", "mint.example or 10.0.0.5", name)
    return None


def watch_complaint(chosen: Watch) -> Complaint | None:
    """What types can't say of `[watch]`, or None."""
    for key in ("disk_gb", "floor_gb"):
        if getattr(chosen, key) < 0:
            return Complaint(key, "there is no such amount of space", "0 or more", repr(getattr(chosen, key)))
    if chosen.clock_s < 1:
        return Complaint("clock_s", "no two clocks are that close", "1 or more seconds", repr(chosen.clock_s))
    if not 0.1 <= chosen.ping_s <= chosen.silent_s:
        wanted = f"0.1 to silent_s ({chosen.silent_s:g}) seconds"
        return Complaint("ping_s", "a silence could not be told from an answer that is due", wanted, f"{chosen.ping_s}")
    for key in ("unfit_times", "give_back"):
        if getattr(chosen, key) < 1:
            return Complaint(key, "a worker needs one chance at least", "1 or more", repr(getattr(chosen, key)))
    return None


def docker_complaint(chosen: Docker) -> Complaint | None:
    """What types can't say of `[workers.docker]`, or None."""
    if not IMAGE_NAME.match(chosen.image):
        return Complaint("docker", "this is no image's name", "a directory of cpython-unix/images", repr(chosen.image))
    if not re.match(r"\A(unix:///|tcp://|ssh://|https://)\S+\Z", chosen.host):
        return Complaint("docker", "this is no engine's address", "unix:///var/run/docker.sock", repr(chosen.host))
    if chosen.memory_gb < 0.25 or chosen.cpus <= 0 or chosen.pids < 64:
        found = f"memory_gb = {chosen.memory_gb}, cpus = {chosen.cpus}, pids = {chosen.pids}"
        wanted = "at least 0.25 GB, more than 0 processors, at least 64 processes"
        return Complaint("docker", "nothing is built within these limits", wanted, found)
    if chosen.store is not None and not chosen.store.startswith("/"):
        return Complaint("docker", "a store is a directory of the engine's machine", "an absolute path", chosen.store)
    return None
