"""Fetches a newer release, measures it, and hears its witnesses. What is refused is refused with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile

from workers.progress import Progress, size
from workers.sources import pypi
from workers.sources.cache import digest_of, install, remember_origin, workplace
from workers.sources.distribution import Listed
from workers.sources.meter import Meter, stopping
from workers.sources.outcome import Missed
from workers.sources.pins import Distro, Pin, PinnedFile, Wheel
from workers.updates import witnesses
from workers.updates.contents import as_a_release, of_tarball, of_wheel
from workers.updates.model import Lies, Offer, Refused, Standing, Taken
from workers.updates.rules import Rule
from workers.updates.signatures import Verdict
from workers.updates.web import digest_in
from workers.updates.witnesses import Court

_ORDER = ("upstream", "mirror", "offline", "distribution", "index")
_SMALLEST_LIMIT = 20_000_000
# What a refusal begins with when each release is named after it, with the reason why nobody delivers it.
NOWHERE = "no source delivers it: "


@dataclass(frozen=True)
class Means:
    """What releases are fetched and judged with."""

    court: Court
    progress: Progress

    @property
    def cache(self) -> Path:
        return self.court.cache


def take(standing: Standing, pin: Pin, rule: Rule, means: Means) -> Taken | Refused:
    """The newest release that can be had whole. One that is a lie ends it: no older one is taken then in silence."""
    missed: list[str] = []
    for version in dict.fromkeys(offer.version for offer in standing.offers):
        same = [one for one in standing.offers if one.version == version]
        offers = sorted(same, key=lambda one: _ORDER.index(one.kind))
        for offer in offers:
            try:
                newer = tuple(dict.fromkeys(missed))
                return replace(_taken(offer, offers, pin, rule, means), missed=newer)
            except Missed as error:
                missed.append(f"{version}: {error}")
            except Lies as error:
                return Refused(pin.source, version, f"{error} (from {offer.where})", error.loud)
    return Refused(pin.source, standing.newest, NOWHERE + "; ".join(dict.fromkeys(missed)))


def _taken(offer: Offer, offers: list[Offer], pin: Pin, rule: Rule, means: Means) -> Taken:
    limit = max(4 * (pin.size or 0), _SMALLEST_LIMIT)
    with _fetched(offer, pin, means, limit) as (path, origin):
        sha256, count = digest_of(path)
        _as_announced(offer, path)
        facts = of_wheel(path) if path.suffix == ".whl" else of_tarball(path, limit=20 * limit)
        licences = _licence_files(offer, pin, rule)
        as_a_release(facts, offer, rule, licences)
        verdicts = witnesses.verdicts(offer, path, rule, means.court)
        witnesses.weigh(verdicts)
        own = _identity(offer, offers, path, sha256, pin, rule, verdicts)
        install(means.cache, sha256, path)
        remember_origin(means.cache, sha256, origin)
    urls, distro, wheel = own
    taken = Taken(
        pin.source, offer.version, pin.version, sha256, count, facts.newest, origin, verdicts, urls, distro, wheel,
        licence_files=None if licences == pin.licence_files else licences,
    )  # fmt: skip
    means.progress.line(f"{pin.source} {offer.version}: {size(count)} from {origin}; {verdicts[0].said}")
    return taken


@contextmanager
def _fetched(offer: Offer, pin: Pin, means: Means, limit: int) -> Iterator[tuple[Path, str]]:
    """The offer's file in a place on the cache's file system, and where it came from. Raises Missed."""
    with workplace(means.cache, f"{pin.source}-{offer.version}") as directory:
        if offer.kind == "index":
            name = offer.url.partition("==")[0]
            wheel = Wheel(offer.url, platform_of(pin), "")
            meter = Meter(means.progress, 0, name)
            with stopping(meter):
                yield pypi.download(wheel, PinnedFile((name,), "0" * 64, None, repacked=False), directory, meter)
            return
        path = directory / offer.url.rpartition("/")[2]
        if offer.kind == "offline":
            if Path(offer.url).stat().st_size > limit:
                raise Missed(f"{offer.url} is larger than {size(limit)}")
            copyfile(offer.url, path)
            yield path, f"the offline directory's {path.name}"
        elif offer.kind == "distribution":
            if (offer.size or 0) > limit:
                raise Missed(f"the distribution's file is larger than {size(limit)}")
            means.court.distribution().fetch(_listed(offer, offer.url), path)
            yield path, f"the distribution's {offer.where}"
        else:
            yield path, means.court.reader.tarball(offer.url, path, limit)


def _listed(offer: Offer, url: str) -> Listed:
    return Listed(
        offer.package, offer.package_version, offer.suite, offer.digest.removeprefix("sha256:"), offer.size or 0, url
    )


def _as_announced(offer: Offer, path: Path) -> None:
    """Raises Lies when the file is not the one that the list speaks of."""
    named = witnesses.announced(offer)
    if named is not None:
        algorithm, wanted = named
        found = digest_in(path, algorithm)
        if found != wanted:
            raise Lies(f"its {algorithm} is {found[:16]}…, the list says {wanted[:16]}…")


def _licence_files(offer: Offer, pin: Pin, rule: Rule) -> tuple[str, ...]:
    """Where the release's licences are: as pinned, but for the version in their paths."""
    if rule.licence_files is not None and offer.kind in {"upstream", "mirror", "offline"}:
        return rule.licence_files
    return tuple(one.replace(f"-{pin.version}.", f"-{offer.version}.") for one in pin.licence_files)


def platform_of(pin: Pin) -> str:
    """The platform tag of the wheel that is pinned."""
    return pin.pypi.platform if pin.pypi is not None else "any"


def _identity(
    offer: Offer, offers: list[Offer], path: Path, sha256: str, pin: Pin, rule: Rule, verdicts: list[Verdict]
) -> tuple[tuple[str, ...], Distro | None, Wheel | None]:
    """Where these bytes can be had: urls, the distribution's package of the release, the index."""
    if offer.kind == "index":
        return (), None, Wheel(offer.url, platform_of(pin), path.name)
    listed = next((one for one in offers if one.kind == "distribution"), None)
    distro = None
    if listed is not None:
        same = listed.digest == f"sha256:{sha256}"
        distro = Distro(
            listed.package, listed.package_version, listed.suite, listed.url.rpartition("/")[2],
            None if same else listed.digest.removeprefix("sha256:"), None if same else listed.size,
        )  # fmt: skip
    urls: tuple[str, ...] = ()
    # The distribution's file is upstream's only where upstream's own signature says so.
    if offer.kind != "distribution" or any(one.kind == "pgp" and one.state == "good" for one in verdicts):
        urls = rule.urls_of(offer.version)
        if offer.kind == "upstream" and offer.url not in urls:
            urls = (offer.url,)
    return urls, distro, None
