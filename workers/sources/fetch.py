"""Gets the chosen sources into the cache, side by side; no byte is used before its size and sha256 were checked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workers.errors import Failure
from workers.progress import Progress, seconds, size
from workers.reports.build import ChosenPin, FetchedSource
from workers.sources.cache import cached_path
from workers.sources.meter import Meter, stopping
from workers.sources.origins import Answers, NoOrigin, Origins
from workers.sources.outcome import short
from workers.sources.pins import Pin, PinnedFile, pin_of
from workers.sources.settings import SourceSettings

_AT_A_TIME = 6


def fetch(
    chosen: Sequence[ChosenPin],
    pins: Mapping[str, tuple[Pin, ...]],
    cache: Path,
    state: Path,
    settings: SourceSettings,
    progress: Progress,
    *,
    first_wait_s: float = 0.5,
) -> list[FetchedSource]:
    """Leaves each chosen source at `cached_path(cache, its sha256)`; returns where they came from, in the same order.

    first_wait_s: the pause before a server is asked again, doubled each time. Raises Failure when one can't be had;
    those that can are in the cache all the same, and what is half there stays for the next run.
    """
    files = [pin_of(pins, pin.source, pin.sha256) for pin in chosen]
    total = sum(file.size or 0 for file in {file.sha256: file for _, file in files}.values())
    origins = Origins(pins, cache, state, settings, progress, first_wait_s)
    meter = Meter(progress, total)

    def one(pin_and_file: tuple[Pin, PinnedFile]) -> FetchedSource | Failure:
        pin, file = pin_and_file
        started = time.monotonic()
        try:
            origin = origins.get(pin, file, meter)
        except NoOrigin as error:
            return failure_of(error.answers, settings)
        took = time.monotonic() - started
        count = cached_path(cache, file.sha256).stat().st_size
        meter.reached(file.sha256, count)
        progress.line(f"{pin.source} {pin.version}: from {origin}, {size(count)}, {seconds(took)}")
        return FetchedSource(pin.source, pin.version, file.sha256, count, origin, round(took, 3))

    with ThreadPoolExecutor(_AT_A_TIME) as pool, stopping(meter):
        results = list(pool.map(one, files))
    failures = [result for result in results if isinstance(result, Failure)]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        names = ", ".join(
            pin.source for pin, result in zip(chosen, results, strict=True) if isinstance(result, Failure)
        )
        raise Failure("sources", f"{len(failures)} sources can't be had: {names}", todo="\n".join(map(str, failures)))
    return [result for result in results if isinstance(result, FetchedSource)]


def failure_of(answers: Answers, settings: SourceSettings) -> Failure:
    """What to tell of a file that no origin delivered: wrong bytes first, since somebody has to look at them."""
    pin, file = answers.pin, answers.file
    wanted = f"sha256 {short(file.sha256)}, {'size not known' if file.size is None else f'{file.size} bytes'}"
    others = [f"Also asked: {said}." for said in answers.missed]
    if not answers.wrong:
        advice = (
            f"Put the file into {settings.offline}, or leave --offline out."
            if settings.offline is not None
            else "What came so far is kept; running again continues it. Other ways: a mirror of your own\n"
            "([sources] mirrors in settings.toml, --mirror URL) or a directory with the files (--offline DIR)."
        )
        return Failure(
            "sources",
            f"{file.names[0]} of {pin.source} {pin.version} can't be had",
            wanted=wanted,
            found="; ".join(answers.missed) or "no origin of it is switched on",
            todo=advice,
        )
    first, *more = answers.wrong
    others += [f"Also wrong: {wrong.told()}." for wrong in more]
    return Failure(
        "sources",
        f"{file.names[0]} is not what sources.toml pins",
        wanted=wanted,
        found=first.told(),
        todo="\n".join(
            [*others, "The file was thrown away, nothing was built from it.", _advice(first.origin, pin, settings)]
        ),
    )


def _advice(origin: str, pin: Pin, settings: SourceSettings) -> str:
    from workers.sources.http import redacted  # here: it takes longer to import than a run from the cache

    if any(origin.startswith(redacted(mirror)) for mirror in settings.mirrors):
        who = "Take that mirror out of [sources] mirrors in settings.toml"
    elif "://" in origin:
        who = "Something between here and upstream may change what it sends: try another network, or give a mirror"
    else:
        who = "Get the file anew from somewhere you trust"
    return (
        f"{who}, or, if upstream really re-released {pin.source} {pin.version},\n"
        "have someone check its signature and change the pin."
    )
