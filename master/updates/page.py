"""`/pins/`: how every pin stands, as a page, and what that is made of as JSON. Read-only, for everybody."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import threads
from twisted.web import resource, server

from master.archives import harden
from master.store import Store
from master.updates.candidates import CandidatesReport, Made
from master.updates.stages import ADVISORIES, CANDIDATES, LOOK
from steps import pages
from workers.errors import Failure
from workers.reports.base import read_report
from workers.updates.advisories import AdvisoriesReport
from workers.updates.model import UpdatesReport
from workers.updates.page import Candidate, page, view

FILES = (LOOK, ADVISORIES, CANDIDATES)


def candidate(made: Made, built: Mapping[str, int]) -> Candidate:
    """What the page says of a newer release. built: builder and number of the good builds of its commit."""
    details = (*made.vouches, *(f"mends {one}" for one in made.mends))
    if made.state in {"refused", "waiting"}:
        good = False if made.state == "refused" else None
        return Candidate(made.version, made.words, good, details=details)
    done = [name for name in made.cells if name in built]
    links = {f"{name} #{built[name]}": f"../archives/{name}/{built[name]}/" for name in done}
    if not made.cells:
        return Candidate(
            made.version, f"on {made.branch}; no cell that a push builds is made of it", None, links, details
        )
    words = f"{made.branch}: {len(done)} of {len(made.cells)} cells built and proven"
    whole = len(done) == len(made.cells)
    return Candidate(made.version, words, True if whole else None, links, (*details, f"commit {made.commit}"))


def built_of(store: Store, commits: Sequence[str]) -> dict[str, dict[str, int]]:
    """By commit, the newest recorded build of each builder: what is recorded was built, validated and proven."""
    found: dict[str, dict[str, int]] = {}
    for commit in commits:
        places = (store.root / "index" / commit).glob("*/*.json")
        for place in places:
            number = int(place.stem) if place.stem.isdigit() else 0
            own = found.setdefault(commit, {})
            own[place.parent.name] = max(number, own.get(place.parent.name, 0))
    return found


def render(updates: Path, store: Path, now: int) -> str:
    """The page from what the last look left. Raises Failure when that can't be read."""
    report = read_report(updates / LOOK, UpdatesReport)
    known = read_report(updates / ADVISORIES, AdvisoriesReport) if (updates / ADVISORIES).exists() else None
    made = read_report(updates / CANDIDATES, CandidatesReport).made if (updates / CANDIDATES).exists() else []
    pinned = {one.source: one.pinned for one in report.pins}
    current = [one for one in made if one.version != pinned.get(one.source)]
    built = built_of(Store(store), [one.commit for one in current if one.commit])
    candidates = {one.source: candidate(one, built.get(one.commit, {})) for one in current}
    return page(view(report, known, candidates, now))


class PinsPage(resource.Resource):
    """updates: the directory where the stages leave their reports; store: the master's."""

    isLeaf = True

    def __init__(self, updates: Path, store: Path) -> None:
        super().__init__()
        self.updates = updates
        self.store = store

    def render_GET(self, request: Any) -> Any:
        harden(request)
        path = [part.decode("utf-8", "replace") for part in request.postpath]
        if not path:
            request.redirect(b"/pins/")
            return b""
        if path == [""]:
            return self._later(request, b"text/html; charset=utf-8", self._page)
        if len(path) == 1 and path[0] in FILES:
            return self._later(request, b"application/json", lambda: (self.updates / path[0]).read_bytes())
        request.setResponseCode(404)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return f"pins/, or pins/ and one of {', '.join(FILES)}\n".encode()

    def _page(self) -> bytes:
        if not (self.updates / LOOK).exists():
            words = (
                "<h3>How the pins stand</h3><p>Nobody has looked yet: the builder <code>pins</code> does, each night "
            )
            return pages.document("How the pins stand", f"{words}or when its form is sent.</p>").encode()
        return render(self.updates, self.store, int(time.time())).encode()

    def _later(self, request: Any, kind: bytes, read: Any) -> Any:
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        def send(data: bytes) -> None:
            if not gone:
                request.setHeader(b"content-type", kind)
                request.write(data)
                request.finish()

        def broken(failure: Any) -> None:
            missing = failure.check(FileNotFoundError)
            request.setResponseCode(404 if missing else 500)
            problem = failure.value
            text = (
                "nothing was looked for yet"
                if missing
                else str(problem)
                if isinstance(problem, Failure)
                else repr(problem)
            )
            if not gone:
                request.setHeader(b"content-type", b"text/plain; charset=utf-8")
                request.write(f"{text}\n".encode())
                request.finish()

        threads.deferToThread(read).addCallbacks(send, broken)
        return server.NOT_DONE_YET
