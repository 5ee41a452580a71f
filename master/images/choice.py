"""`[images]` of settings.toml: which workers make the Linux environments, with which engine, and how many are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from master.complaint import Complaint
from master.fleet.choice import IMAGE_NAME

REGISTRY = re.compile(r"\A[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+\Z")


@dataclass(frozen=True)
class Images:
    """Images of cpython-unix/images. workers: which make them, one builder for each architecture among them; none: no
    image is made. names: which images. engine: the address, on those workers, of the Docker engine that makes and keeps
    them. registry: where layers are cached and good images are put, for other engines; left out, the engine's own
    layers are the cache. keep: how many of each the engine keeps.
    """

    workers: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=lambda: ["build", "fips-policy"])
    engine: str = "unix:///var/run/docker.sock"
    registry: str | None = None
    keep: int = 3


def complaint(chosen: Images, targets: Mapping[str, list[str]]) -> Complaint | None:
    """What types can't say of `[images]`, or None. targets: of each worker, by its name."""
    for name in chosen.workers:
        if name not in targets:
            return Complaint("workers", "there is no such worker", f"any of {', '.join(targets)}", repr(name))
        if not any(target.endswith("-linux-gnu") for target in targets[name]):
            return Complaint("workers", "it makes no Linux images", "workers with a Linux target", repr(name))
    for name in chosen.names:
        if not IMAGE_NAME.match(name):
            return Complaint("names", "this is no image's name", "directories of cpython-unix/images", repr(name))
    if chosen.registry is not None and not REGISTRY.match(chosen.registry):
        return Complaint("registry", "this is no place in a registry", "registry.example:5000/pymint", chosen.registry)
    if not 1 <= chosen.keep <= 100:
        return Complaint("keep", "too few or too many", "1 to 100", repr(chosen.keep))
    return None
