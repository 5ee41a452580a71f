"""Which release of each source a build takes: the preferred one that some origin delivers, known before building."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from workers.errors import Failure
from workers.progress import Progress
from workers.reports.build import ChosenPin
from workers.sources.meter import Meter, stopping
from workers.sources.origins import Origins
from workers.sources.pins import Pin, PinnedFile
from workers.sources.settings import SourceSettings

_AT_A_TIME = 8


@dataclass(frozen=True)
class _Refused:
    """A source of which no release can be had, and what was said of each, a line a release."""

    source: str
    said: tuple[str, ...]


def choose(
    names: Sequence[str],
    pins: Mapping[str, tuple[Pin, ...]],
    cache: Path,
    state: Path,
    settings: SourceSettings,
    progress: Progress,
) -> list[ChosenPin]:
    """A release for each name, in the order of `names`; its sha256 is that of the bytes that will be used.

    A source with one file in all is not asked for: `fetch` will. Raises Failure when no release of some source can be
    had, and for a name that is no source.
    """
    wanted = [pins[name] for name in names]
    origins = Origins(pins, cache, state, settings, progress)
    meter = Meter(progress, 0, "looking for sources")
    with ThreadPoolExecutor(_AT_A_TIME) as pool, stopping(meter):
        found = list(pool.map(lambda releases: _chosen(releases, origins, meter), wanted))
    refused = [result for result in found if isinstance(result, _Refused)]
    if refused:
        raise _failure(refused, settings)
    return [result for result in found if isinstance(result, ChosenPin)]


def _chosen(releases: tuple[Pin, ...], origins: Origins, meter: Meter) -> ChosenPin | _Refused:
    newest = releases[0]
    if len(releases) == 1 and len(newest.files) == 1:
        return _pin(newest, newest.files[0], newest, "")
    said: list[str] = []
    for pin in releases:
        # Of two files of a release, one that is here already is taken before any that would have to be fetched.
        for file in sorted(pin.files, key=lambda file: not origins.is_cached(file)):
            answer = origins.has(pin, file, meter)
            if answer is None:
                return _pin(pin, file, newest, said[0] if said and pin is not newest else "")
            said.append(f"{pin.version}{' as repacked by the distribution' if file.repacked else ''}: {answer}")
    return _Refused(newest.source, tuple(said))


def _pin(pin: Pin, file: PinnedFile, newest: Pin, why_not_newest: str) -> ChosenPin:
    notes = [why_not_newest] if why_not_newest else []
    if file.repacked:
        notes.append("the distribution's repacked tarball of the release")
    return ChosenPin(pin.source, pin.version, file.sha256, newest.version, "; ".join(notes))


def _failure(refused: Sequence[_Refused], settings: SourceSettings) -> Failure:
    names = ", ".join(result.source for result in refused)
    lines = [f"{result.source} {line}" for result in refused for line in result.said]
    if settings.offline is not None:
        lines.append(f"Put one of these files into {settings.offline}, or leave --offline out.")
    else:
        lines.append(
            "Give this machine a way to one of them: upstream, the distribution's mirror, a mirror of your own\n"
            "([sources] mirrors in settings.toml, --mirror URL) or a directory with the files (--offline DIR)."
        )
    return Failure("sources", f"no origin delivers any pinned release of {names}", todo="\n".join(lines))
