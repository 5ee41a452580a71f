"""What a commit's builds come to, as GitHub's commit statuses: one a cell and one in all. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from master.pulls.names import cell_name, is_pull
from steps.results import CANCELLED, FAILURE, SKIPPED, SUCCESS, WARNINGS
from workers.progress import counted

State = Literal["pending", "success", "failure", "error"]
ALL = "pymint"
# GitHub refuses longer ones.
LONGEST = 140


@dataclass(frozen=True)
class Request:
    """A build request of a commit and its newest build, if it has one. Times in seconds since 1970."""

    requestid: int
    builder: str
    builderid: int
    complete: bool
    results: int
    number: int | None = None
    buildid: int | None = None
    started_at: int | None = None
    complete_at: int | None = None


@dataclass(frozen=True)
class Status:
    """As GitHub shows it. url: where its details are."""

    context: str
    state: State
    description: str
    url: str


def newest(requests: Iterable[Request]) -> dict[str, Request]:
    """The one that counts of each cell, by its name: main's own where main built the commit too, and of those the last.

    A pull request's build is of the same commit, but on a worker that runs what strangers wrote.
    """
    # Pull requests' first, so that main's take their places.
    ordered = sorted(requests, key=lambda request: (not is_pull(request.builder), request.requestid))
    found = {cell_name(one.builder): one for one in ordered}
    return {name: found[name] for name in sorted(found)}


def state_of(request: Request) -> State:
    if not request.complete:
        return "pending"
    if request.results in (SUCCESS, WARNINGS):
        return "success"
    return "failure" if request.results == FAILURE else "error"


def address_of(request: Request, page_url: str) -> str:
    """The page of the build, or of the request while it waits."""
    if request.number is None:
        return f"{page_url}#/buildrequests/{request.requestid}"
    return f"{page_url}#/builders/{request.builderid}/builds/{request.number}"


def in_words(request: Request) -> str:
    """What became of a request, or is becoming."""
    if not request.complete:
        return "waits for a worker" if request.number is None else "is being built"
    took = ""
    if request.started_at is not None and request.complete_at is not None:
        took = f" in {duration(request.complete_at - request.started_at)}"
    said = {SUCCESS: f"built{took}", WARNINGS: f"built{took}, with warnings", FAILURE: f"failed{took}"}
    said |= {CANCELLED: "cancelled", SKIPPED: "not built"}
    return said.get(request.results, "broke off: see the build")


def duration(seconds: float) -> str:
    """ "48 s", "12 min", "1 h 05 min"."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def in_all(cells: Mapping[str, Request], page_url: str) -> Status:
    """One failure is a failure at once, whatever still runs."""
    states = {name: state_of(one) for name, one in cells.items()}
    failed = [name for name, state in states.items() if state == "failure"]
    broken = [name for name, state in states.items() if state == "error"]
    open_ones = [name for name, state in states.items() if state == "pending"]
    good = len(cells) - len(failed) - len(broken) - len(open_ones)
    state: State = "failure" if failed else "error" if broken else "pending" if open_ones else "success"
    parts = [f"{good} of {counted(len(cells), 'cell')} built"]
    parts += [f"{len(failed)} failed"] if failed else []
    parts += [f"{len(broken)} broke off"] if broken else []
    parts += [f"{len(open_ones)} to go"] if open_ones else []
    first = next(iter([*failed, *broken, *open_ones, *cells]), None)
    url = address_of(cells[first], page_url) if first is not None else page_url
    return Status(ALL, state, ", ".join(parts)[:LONGEST], url)


def of_commit(requests: Iterable[Request], page_url: str, waits_for: str | None = None) -> list[Status]:
    """All statuses of a commit, the one in all first. waits_for: why nothing is built of it yet, in a few words."""
    cells = newest(requests)
    if not cells:
        return [Status(ALL, "pending", waits_for[:LONGEST], page_url)] if waits_for else []
    return [
        in_all(cells, page_url),
        *(
            Status(f"{ALL}/{name}", state_of(one), in_words(one)[:LONGEST], address_of(one, page_url))
            for name, one in cells.items()
        ),
    ]


def mark_of(status: Status) -> str:
    """What was said, short enough to be remembered."""
    return f"{status.state}|{status.description}|{status.url}"


def to_send(wanted: Sequence[Status], sent: Mapping[str, str]) -> Status | None:
    """The next one that GitHub does not have as it is."""
    return next((one for one in wanted if sent.get(one.context) != mark_of(one)), None)
