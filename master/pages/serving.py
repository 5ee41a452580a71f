"""`/pages/NAME`, a page of its own that needs no script, and `/pages/part/NAME`, the same for Buildbot's page.

What is shown may be a few seconds old: whoever asks meanwhile for the same gets the same, and many at once cost as
much as one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet import defer
from twisted.python import log
from twisted.web import server

from master.door import Attached
from master.pages.page import Frame, NoSuchPage, Page, Query, Source, refusal, render
from workers.errors import Failure

FRESH_S = 5.0
REMEMBERED = 200
# The longest that a page's own parameters have: a builder's name, a commit.
LONGEST = 200
# Styles come from the farm itself; nothing else is loaded, and nothing runs.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Answer:
    status: int
    html: str


def in_the_menu(pages: Sequence[Page]) -> dict[str, Any]:
    """What the script in Buildbot's page is told of them."""
    return {"pages": [{"name": page.name, "title": page.title, "menu": page.menu} for page in pages]}


class Pages(Attached):
    """source: what pages read from, once the master is there."""

    isLeaf = True

    def __init__(self, pages: Sequence[Page], source: Callable[[Any], Source]) -> None:
        super().__init__()
        self._all = tuple(pages)
        self.pages = {page.name: page for page in pages}
        self._source_of = source
        self._kept: OrderedDict[tuple[Any, ...], tuple[float, defer.Deferred[Answer]]] = OrderedDict()

    def attach(self, master: Any) -> None:
        self.source = self._source_of(master)

    def render_GET(self, request: Any) -> Any:
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        request.setHeader(b"content-security-policy", POLICY.encode())
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"referrer-policy", b"no-referrer")
        request.setHeader(b"cache-control", b"private, max-age=0")
        parts = [part.decode("utf-8", "replace") for part in request.postpath or []]
        frame = Frame(inside=parts[:1] == ["part"])
        name = "/".join(parts[1:] if frame.inside else parts)
        if name == "" and not frame.inside:
            request.redirect(next(iter(self.pages)).encode())
            return b""
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        def send(answer: Answer) -> None:
            if not gone:
                request.setResponseCode(answer.status)
                request.write(answer.html.encode())
                request.finish()

        self._answer(name, _query(request), frame).addCallback(send)
        return server.NOT_DONE_YET

    def _answer(self, name: str, said: Query, frame: Frame) -> defer.Deferred[Answer]:
        """Never fails: what goes wrong is said on the page."""
        page = self.pages.get(name)
        if page is None:
            text = f"There is no page of that name. There are: {', '.join(self.pages)}."
            return defer.succeed(Answer(404, refusal("No such page", text, frame, self._all)))
        query = {key: said[key] for key in page.parameters if said.get(key)}
        key = (name, frame, tuple(query.items()))
        now = self.source.now()
        if key in self._kept and now - self._kept[key][0] < FRESH_S:
            shared = self._kept[key][1]
        else:
            shared = defer.Deferred.fromCoroutine(self._made(page, query, frame))
            self._kept[key] = (now, shared)
            self._kept.move_to_end(key)
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        mine: defer.Deferred[Answer] = defer.Deferred()

        def hand_out(answer: Answer) -> Answer:
            mine.callback(answer)
            return answer

        shared.addCallback(hand_out)
        return mine

    async def _made(self, page: Page, query: Query, frame: Frame) -> Answer:
        try:
            model = page.model(await page.snapshot(self.source, query), query)
            return Answer(200, render(page, model, query, frame, self._all, self.source.now()))
        except NoSuchPage as problem:
            return Answer(problem.status, refusal(page.title, str(problem), frame, self._all))
        except Failure as failure:
            return Answer(500, refusal(page.title, str(failure), frame, self._all))
        except Exception:
            # The text of an error of ours is for the log: it may hold what was read.
            log.err(None, f"the page {page.name} could not be made")
            text = "This page could not be made. The master's log (twistd.log) says why."
            return Answer(500, refusal(page.title, text, frame, self._all))


def _query(request: Any) -> dict[str, str]:
    """The first value of each parameter, cut to a length that makes sense."""
    return {
        key.decode("utf-8", "replace"): values[0].decode("utf-8", "replace").strip()[:LONGEST]
        for key, values in request.args.items()
    }
