"""What a page of the farm is: what it reads, what it makes of that, and the template that shows it.

`snapshot` reads (in the master, never blocking it), `model` decides from what was read and nothing else, the template
`templates/NAME.html` shows the model. A page is in the menu once it is in master/pages/listed.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2

from master.home import Home
from master.release.model import Readiness
from master.settings import Settings
from master.store import Store
from workers.model import Matrix
from workers.progress import counted, seconds, size

Query = Mapping[str, str]


class NoSuchPage(Exception):
    """What was asked for does not exist, or was asked for wrongly. The text is for the person who asked."""

    def __init__(self, text: str, status: int = 404) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Source:
    """What pages read from. readiness: the gate, blocking. repository: whose commits count. now: seconds since 1970."""

    master: Any
    home: Home
    settings: Settings
    matrix: Matrix
    store: Store
    repository: str
    readiness: Callable[[str], Readiness]
    now: Callable[[], float]


@dataclass(frozen=True)
class Page:
    """name: of the path, of the route in Buildbot's page and of the template. parameters: all that a query may have.

    menu: whether it stands there; what needs to be told of what it is (an archive's page) does not.
    """

    name: str
    title: str
    about: str
    snapshot: Callable[[Source, Query], Awaitable[Any]]
    model: Callable[[Any, Query], Any]
    parameters: tuple[str, ...] = ()
    menu: bool = True


@dataclass(frozen=True)
class Frame:
    """Where links lead: inside Buildbot's page (`#/farm/NAME`), or on a page of its own (`/pages/NAME`).

    All of them are relative, so that a proxy may put the farm below any path.
    """

    inside: bool

    def page(self, name: str, **query: object) -> str:
        said = urlencode({key: value for key, value in query.items() if value not in (None, "")})
        return f"{'#/farm/' if self.inside else ''}{quote(name)}{'?' if said else ''}{said}"

    def buildbot(self, route: str) -> str:
        """A route of Buildbot's own page, such as `builders/7/builds/3`."""
        return f"{'' if self.inside else '../'}#/{quote(route)}"

    def file(self, path: str) -> str:
        """What else the farm serves, such as `archives/BUILDER/3/`."""
        return f"{'' if self.inside else '../'}{quote(path)}"


def ago(then: float | None, now: float) -> str:
    """ "3 minutes ago": as exact as is worth knowing."""
    if then is None:
        return "at a time that is not known"
    past = max(0, int(now - then))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if past >= length:
            count = past // length
            return f"{counted(count, unit)} ago"
    return "just now"


def moment(then: float | None) -> str:
    """A time for people: UTC, to the minute."""
    return "" if then is None else datetime.fromtimestamp(then, UTC).strftime("%Y-%m-%d %H:%M UTC")


ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(seconds=seconds, size=size, moment=moment, counted=counted)


def render(page: Page, model: Any, query: Query, frame: Frame, pages: Sequence[Page], now: float) -> str:
    """The page as HTML: a whole document, or its main part for Buildbot's. now: seconds since 1970."""
    return _rendered(f"{page.name}.html", page.name, page.title, frame, pages, query, now, model=model)


def refusal(title: str, text: str, frame: Frame, pages: Sequence[Page]) -> str:
    """Instead of a page, why there is none."""
    return _rendered("_refusal.html", "", title, frame, pages, {}, 0, text=text)


def _rendered(
    template: str, name: str, title: str, frame: Frame, pages: Sequence[Page], query: Query, now: float, **more: Any
) -> str:
    return ENVIRONMENT.get_template(template).render(
        layout="part.html" if frame.inside else "document.html",
        name=name,
        title=title,
        frame=frame,
        menu=[page for page in pages if page.menu],
        query=defaultdict(str, query),
        ago=lambda then: ago(then, now),
        **more,
    )
