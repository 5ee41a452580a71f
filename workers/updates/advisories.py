"""Security advisories: which releases they are about, and which release mends what they tell of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from workers.sources.pins import Pin
from workers.updates.versions import order


@dataclass(frozen=True)
class Range:
    """Versions from `introduced` ("" for the first) up to, but without, `fixed`, or up to and with `last`.

    after: without `introduced` itself.
    """

    introduced: str = ""
    fixed: str = ""
    last: str = ""
    after: bool = False

    def has(self, version: str) -> bool:
        """Whether a version lies in it."""
        at = order(version)
        start = order(self.introduced) if self.introduced not in {"", "0"} else ()
        if start and (at < start or (self.after and at == start)):
            return False
        if self.fixed:
            return at < order(self.fixed)
        return at <= order(self.last) if self.last else True


@dataclass(frozen=True)
class Affected:
    """A thing that an advisory is about. name: `cpe/VENDOR/PRODUCT`, `pypi/NAME`, `github/OWNER/NAME`, `bitnami/NAME`.

    versions: affected ones by name, beside the ranges.
    """

    name: str
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()

    def has(self, version: str) -> bool:
        """Whether a version is affected."""
        return version in self.versions or any(one.has(version) for one in self.ranges)

    @property
    def decidable(self) -> bool:
        """Whether it names any version; a range of commits alone says nothing about a tarball."""
        return bool(self.ranges or self.versions)


@dataclass(frozen=True)
class Advisory:
    """published, modified: days in ISO form. severity: as its data base has it, or "". url: to read more."""

    id: str
    aliases: tuple[str, ...] = ()
    summary: str = ""
    severity: str = ""
    published: str = ""
    modified: str = ""
    url: str = ""
    affected: tuple[Affected, ...] = ()

    @property
    def cve(self) -> str:
        """The name that people know it by: its CVE, where it has one."""
        return next((one for one in (self.id, *self.aliases) if one.startswith("CVE-")), self.id)


@dataclass(frozen=True)
class Feed:
    """A file or directory of advisories. fetched: when, seconds since 1970, 0 for never; count: how many it has in all.

    newest: the day of its last change, "" where it has none. problem: why it could not be had or read anew.
    """

    where: str
    fetched: int = 0
    count: int = 0
    newest: str = ""
    problem: str = ""

    @property
    def read(self) -> bool:
        """Whether there is anything of it, from now or from earlier."""
        return self.count > 0


@dataclass(frozen=True)
class AdvisoriesReport:
    """What is known, and from where. advisories: those that are about anything pinned, whatever the version.

    at: seconds since 1970, UTC.
    """

    schema: Literal["pymint/advisories/1"]
    at: int
    feeds: list[Feed] = field(default_factory=list)
    advisories: list[Advisory] = field(default_factory=list)

    @property
    def known(self) -> bool:
        """Whether anything was read: only then "no advisory" means something."""
        return any(feed.read for feed in self.feeds)


@dataclass(frozen=True)
class Finding:
    """An advisory that a release is affected by. fixed: the release that mends it, "" where the data does not say."""

    id: str
    severity: str
    summary: str
    fixed: str
    url: str


def names_of(cpe: str, purl: str) -> frozenset[str]:
    """What advisories call a pinned source, from its cpe and purl."""
    found = set()
    parts = cpe.split(":")
    if len(parts) > 5 and parts[:2] == ["cpe", "2.3"]:
        found |= {f"cpe/{parts[3]}/{parts[4]}", f"bitnami/{parts[4]}"}
    kind, _, rest = purl.removeprefix("pkg:").partition("/")
    if kind in {"github", "pypi"}:
        found.add(f"{kind}/{rest.partition('@')[0].lower()}")
    return frozenset(found)


def names_of_pins(pins: Iterable[Pin]) -> frozenset[str]:
    """What advisories call any of the pinned sources."""
    return frozenset(name for pin in pins for name in names_of(pin.cpe or "", pin.purl or ""))


def findings(version: str, names: frozenset[str], advisories: Sequence[Advisory]) -> list[Finding]:
    """What a release of the source with these names is affected by; each CVE once, the newest first."""
    found: dict[str, Finding] = {}
    for advisory in advisories:
        about = [one for one in advisory.affected if one.name in names and one.has(version)]
        if not about:
            continue
        fixed = [r.fixed for one in about for r in one.ranges if r.fixed and r.has(version)]
        mended = min(fixed, key=order, default="")
        said = Finding(advisory.cve, advisory.severity, advisory.summary, mended, advisory.url)
        known = found.get(advisory.cve)
        # Two data bases on one CVE: the one that knows what mends it tells more.
        if known is None or (mended and not known.fixed):
            found[advisory.cve] = said
    return sorted(found.values(), key=lambda one: order(one.id), reverse=True)


def mended(before: str, after: str, names: frozenset[str], advisories: Sequence[Advisory]) -> list[Finding]:
    """What the release before was affected by and the one after is not."""
    left = {one.id for one in findings(after, names, advisories)}
    return [one for one in findings(before, names, advisories) if one.id not in left]
