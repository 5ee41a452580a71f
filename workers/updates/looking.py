"""Asks every kind of source that is configured which newer releases of a pin there are. None is skipped in silence."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from workers.progress import Progress
from workers.sources.distribution import Distribution, Listed
from workers.sources.outcome import Missed, without_urls
from workers.sources.pins import Pin
from workers.sources.settings import SourceSettings
from workers.updates.listings import Announcement, announcements, directory
from workers.updates.model import Kind, Offer, Standing, Unasked
from workers.updates.rules import Announced, Rule
from workers.updates.versions import VERSION, in_line, is_prerelease, newer, of_distribution, order
from workers.updates.web import Reader

_AT_A_TIME = 6
# Of a list whose newest tarballs are missing, so many are tried before it is said to lie.
_TRIES = 3
_ORIG = re.compile(r"\.orig\.tar\.(?:gz|xz|bz2|zst)\Z")
_GITHUB = {"Accept": "application/vnd.github+json"}


@dataclass(frozen=True)
class Sources:
    """Whom to ask, and with what. listed: the distribution's files, asked once; raises Missed."""

    settings: SourceSettings
    reader: Reader
    listed: Callable[[], Sequence[Listed]]


@dataclass(frozen=True)
class _Answer:
    offers: list[Offer]
    left_out: list[str]


def distribution_lists(state: Path, pins: Mapping[str, tuple[Pin, ...]], progress: Progress) -> Distribution:
    """The distribution's client for the packages of all pins."""
    wanted = [pin.distro for releases in pins.values() for pin in releases if pin.distro is not None]
    return Distribution(state, wanted, progress)


def look(
    pins: Mapping[str, tuple[Pin, ...]], rules: Mapping[str, Rule], sources: Sources, progress: Progress
) -> list[Standing]:
    """How each pin stands, in the order of `pins`."""
    done = 0

    def one(name: str) -> Standing:
        nonlocal done
        found = standing(pins[name], rules.get(name), sources)
        done += 1
        progress.at(done, len(pins), name)
        return found

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return list(pool.map(one, pins))


def standing(releases: tuple[Pin, ...], rule: Rule | None, sources: Sources) -> Standing:
    """How one source's pin stands."""
    pin = releases[0]
    about = Standing(
        pin.source, pin.version, rule.line if rule else "", pin.released, hold=rule.hold if rule else "",
        cpe=pin.cpe or "", purl=pin.purl or "", has_rule=rule is not None,
    )  # fmt: skip
    if rule is None:
        return about
    offers: list[Offer] = []
    asked: list[str] = []
    unasked: list[Unasked] = []
    left_out: list[str] = []
    for kind, where, ask in _questions(releases, rule, sources):
        try:
            answer = ask()
        except Missed as missed:
            unasked.append(Unasked(kind, where, str(missed)))
            continue
        asked.append(kind)
        left_out += answer.left_out
        offers += [one for one in answer.offers if newer(one.version, pin.version)]
    offers.sort(key=lambda one: order(one.version), reverse=True)
    return replace(about, offers=offers, asked=asked, unasked=unasked, left_out=list(dict.fromkeys(left_out)))


Question = tuple[Kind, str, Callable[[], _Answer]]


def _questions(releases: tuple[Pin, ...], rule: Rule, sources: Sources) -> Iterable[Question]:
    """Each kind of source that could have the pin's releases; those that are switched off say so when asked."""
    pin, settings = releases[0], sources.settings
    if settings.offline is not None:
        place = settings.offline
        yield "offline", str(place), lambda: _in_directory(place, rule, pin)
        return
    listed = rule.announced
    if listed is not None:
        where = _host(listed.url)
        if settings.upstream:
            yield "upstream", where, lambda: _upstream(listed, rule, pin, sources.reader)
        else:
            yield "upstream", where, _switched_off("upstream")
    for mirror in settings.mirrors:
        yield "mirror", _host(mirror), lambda mirror=mirror: _mirror(mirror, rule, pin, sources.reader)  # type: ignore[misc]
    packages = sorted({one.distro.package for one in releases if one.distro is not None})
    if packages:
        ask = (
            (lambda: _distribution(packages, rule, pin, sources.listed)) if settings.distro else _switched_off("distro")
        )
        yield "distribution", ", ".join(packages), ask
    if pin.pypi is not None:
        name = pin.pypi.requirement.partition("==")[0]
        yield "index", name, lambda: _python_index(name, rule, pin)


def _switched_off(key: str) -> Callable[[], _Answer]:
    def refuse() -> _Answer:
        raise Missed(f"[sources] {key} is off")

    return refuse


def _sorted_out(found: Sequence[Announcement], rule: Rule, pin: Pin) -> tuple[list[Announcement], list[str]]:
    """Those newer than the pin, newest first, and what was left out of the newer ones."""
    line = [one for one in found if in_line(one.version, rule.line) and newer(one.version, pin.version)]
    line.sort(key=lambda one: order(one.version), reverse=True)
    return [one for one in line if not one.refused], [f"{one.version}: {one.refused}" for one in line if one.refused]


def _upstream(listed: Announced, rule: Rule, pin: Pin, reader: Reader) -> _Answer:
    url = listed.url
    data, address = reader.text(url, headers=_GITHUB if listed.shape == "github" else None)
    found = announcements(data, rule, listed, address)
    candidates, left_out = _sorted_out(found, rule, pin)
    offers: list[Offer] = []
    for one in candidates[:_TRIES]:
        # A version's directory is made before its tarball is: pre-releases lie in it for months.
        if not one.certain and not reader.exists(one.url):
            left_out.append(f"{one.version}: {_host(url)} lists it, but its tarball is not there")
            continue
        offers.append(Offer(one.version, "upstream", _host(url), one.url, one.released, one.digest))
        break
    return _Answer(offers, left_out)


def _mirror(mirror: str, rule: Rule, pin: Pin, reader: Reader) -> _Answer:
    if not rule.file:
        raise Missed("updates.toml has no name for its file")
    address = mirror.rstrip("/") + "/"
    data, address = reader.text(address)
    found = directory(data.decode("utf-8", "replace"), rule, rule.file, address)
    candidates, left_out = _sorted_out(found, rule, pin)
    return _Answer([Offer(one.version, "mirror", _host(mirror), one.url, one.released) for one in candidates], left_out)


def _in_directory(place: Path, rule: Rule, pin: Pin) -> _Answer:
    if not rule.file:
        raise Missed("updates.toml has no name for its file")
    try:
        names = sorted(path.name for path in place.iterdir() if path.is_file())
    except OSError as error:
        raise Missed(f"it can't be read ({error.strerror})") from error
    found = [
        Announcement(version, str(place / name), refused="a pre-release" if is_prerelease(version) else "")
        for name in names
        for version in [rule.version_in(rule.file, name)]
        if version is not None
    ]
    candidates, left_out = _sorted_out(found, rule, pin)
    return _Answer([Offer(one.version, "offline", one.url, one.url) for one in candidates], left_out)


def _distribution(packages: list[str], rule: Rule, pin: Pin, listed: Callable[[], Sequence[Listed]]) -> _Answer:
    own = [one for one in listed() if one.package in packages]
    if not own:
        raise Missed("no suite lists it")
    found: dict[tuple[str, str], Offer] = {}
    left_out: list[str] = []
    for one in own:
        name = one.url.rpartition("/")[2]
        version = rule.of_distribution(of_distribution(one.version))
        if not _ORIG.search(name) or not VERSION.match(version) or not newer(version, pin.version):
            continue
        if not in_line(version, rule.line):
            continue
        if is_prerelease(version):
            left_out.append(f"{version}: a pre-release")
            continue
        signature = next((other.url for other in own if other.url == f"{one.url}.asc"), "")
        where = f"{one.package} {one.version} in {one.suite}"
        found.setdefault(
            (version, one.url),
            Offer(
            version, "distribution", where, one.url, "", f"sha256:{one.sha256}", one.size, one.package, one.version,
            one.suite, signature,
        ))  # fmt: skip
    return _Answer(list(found.values()), left_out)


def versions_of_pip(said: str) -> list[str]:
    """What `pip index versions NAME` names, as text: its --json is younger than the pip that Debian 12 brings."""
    listed = next((line for line in said.splitlines() if line.startswith("Available versions:")), "")
    return [one.strip() for one in listed.partition(":")[2].split(",") if one.strip()]


def _python_index(name: str, rule: Rule, pin: Pin) -> _Answer:
    """By the index's ordinary client, as the machine has it set up."""
    argv = [sys.executable, "-m", "pip", "index", "versions", "--disable-pip-version-check", "--no-input", name]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    versions = versions_of_pip(done.stdout)
    if done.returncode or not versions:
        said = [line for line in done.stderr.splitlines() if line and not line.startswith("WARNING")]
        raise Missed(without_urls(said[-1]) if said else f"pip ended with {done.returncode} and named no version")
    found = [Announcement(one, "", refused="a pre-release" if is_prerelease(one) else "") for one in versions]
    candidates, left_out = _sorted_out(found, rule, pin)
    return _Answer([Offer(one.version, "index", name, f"{name}=={one.version}") for one in candidates], left_out)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.hostname or url if parts.port is None else f"{parts.hostname}:{parts.port}"
