"""The reports of looking for newer releases: how each pin stands, what could not be asked, what was taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from workers.reports.base import Measure
from workers.sources.pins import Distro, Wheel
from workers.updates.signatures import Verdict

Kind = Literal["upstream", "mirror", "distribution", "offline", "index"]
# What people read for each kind of source.
KINDS: dict[Kind, str] = {
    "upstream": "upstream",
    "mirror": "the mirror",
    "distribution": "the distribution",
    "offline": "the offline directory",
    "index": "the Python package index",
}


@dataclass(frozen=True)
class Offer:
    """A newer release that some source has. where: for people; url: of the file, or its path.

    released: its day, "" where the source does not say. digest: what the source says of the file, `sha256:…`.
    package, suite, package_version, signature: of the distribution's, the last the URL of upstream's signature there.
    """

    version: str
    kind: Kind
    where: str
    url: str
    released: str = ""
    digest: str = ""
    size: int | None = None
    package: str = ""
    package_version: str = ""
    suite: str = ""
    signature: str = ""


@dataclass(frozen=True)
class Unasked:
    """A source that did not answer the question, and why."""

    kind: Kind
    where: str
    why: str


@dataclass(frozen=True)
class Standing:
    """How a pin stands. pinned: the preferred release; released: its day, "" when nobody knows.

    offers: newer releases of its line, newest first. asked: the kinds that answered. unasked: those that could not be
    asked. left_out: releases that were seen and are none to take, with the reason. hold: why a person has to make the
    pin; has_rule: whether updates.toml knows the source.
    """

    source: str
    pinned: str
    line: str
    released: str
    offers: list[Offer] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    unasked: list[Unasked] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    hold: str = ""
    cpe: str = ""
    purl: str = ""
    has_rule: bool = True

    @property
    def newest(self) -> str:
        """The newest release that can be taken; the pinned one when nothing newer is known."""
        return self.offers[0].version if self.offers else self.pinned

    @property
    def known(self) -> bool:
        """Whether any source answered: only then "nothing newer" means something."""
        return bool(self.asked)


@dataclass(frozen=True)
class UpdatesReport:
    """What `updates` leaves. at: seconds since 1970, UTC."""

    schema: Literal["pymint/updates/1"]
    ok: bool
    at: int
    pins: list[Standing]
    measure: Measure = field(default_factory=Measure)


@dataclass(frozen=True)
class Taken:
    """A release that was fetched, measured and judged: what its pin says. before: the release pinned until now.

    released: the newest time of a file in it, as a day. origin: where these bytes came from. missed: newer ones that
    are offered and can't be had, with the reasons.
    """

    source: str
    version: str
    before: str
    sha256: str
    size: int
    released: str
    origin: str
    verdicts: list[Verdict]
    urls: tuple[str, ...] = ()
    distro: Distro | None = None
    pypi: Wheel | None = None
    licence_files: tuple[str, ...] | None = None
    missed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A release that was found and is not pinned. loud: something claims to be it and is not."""

    source: str
    version: str
    why: str
    loud: bool = False


class Lies(Exception):
    """Something claims to be the release and is not, or may not be taken for it."""

    def __init__(self, why: str, *, loud: bool = True) -> None:
        super().__init__(why)
        self.loud = loud
