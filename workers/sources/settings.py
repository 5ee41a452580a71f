"""Where sources may come from: an operator's choice, the same options for every program that needs it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class SourceSettings:
    """Which origins are asked besides the cache.

    mirrors: URLs of directories that have the files by name, asked after upstream.
    offline: a directory that has them; with it nothing else is asked, and no network touched.
    distro: whether the distribution's source packages are asked for. upstream: whether upstream's URLs are.
    """

    mirrors: tuple[str, ...] = ()
    offline: Path | None = None
    distro: bool = True
    upstream: bool = True


def _checked(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise click.BadParameter(f"{value!r} is not an http or https URL; for a directory there is --offline")
    return values


def source_options(function: F) -> F:
    """Adds the options to a click command, which then gets them as one `sources` argument."""

    @click.option("--mirror", "mirrors", multiple=True, callback=_checked, help="URL of a directory of sources.")
    @click.option(
        "--offline",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=None,
        help="Take sources from this directory and the cache, and ask no network.",
    )
    @click.option(
        "--distro/--no-distro", default=True, help="Whether the distribution's source packages are asked for."
    )
    @click.option("--upstream/--no-upstream", default=True, help="Whether upstream's URLs are asked.")
    @functools.wraps(function)
    def wrapped(
        *args: Any, mirrors: tuple[str, ...], offline: Path | None, distro: bool, upstream: bool, **kwargs: Any
    ) -> Any:
        settings = SourceSettings(mirrors, offline.resolve() if offline else None, distro, upstream)
        return function(*args, sources=settings, **kwargs)

    return wrapped  # type: ignore[return-value]
