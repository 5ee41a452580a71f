"""`/releases/readiness?sha=SHA`, the gate's answer as JSON, and `/releases/TAG/PLAN/FILE`: what a plan lists.

Read-only, for everybody who reaches the page. The files come from the store, also those of dry runs and of releases
that did not get as far as being published.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import threads
from twisted.web import server

from master.archives import Archives, harden
from master.bucket.access import StorePlace
from master.release import kept
from master.release.gate import objections
from master.release.model import PLAN_NAME, TAG, Plan, Readiness
from master.store import DIGEST, FOUND_S, Stored
from steps import pages
from steps.checkout import COMMIT
from workers.errors import Failure
from workers.progress import size

Ask = Callable[[str], Readiness]


def answer(found: Readiness) -> bytes:
    """JSON: the Readiness, `ready`, and `objections`, its sentences."""
    said = {**msgspec.to_builtins(found), "ready": found.ready, "objections": objections(found)}
    return msgspec.json.encode(said, order="sorted")


def listing(plan: Plan, identity: str) -> str:
    """The page of a plan's files."""
    rows = "".join(
        f'<tr><td><a href="{escape(one.name)}">{escape(one.name)}</a></td><td>{size(one.size)}</td>'
        f"<td><code>{one.sha256}</code></td></tr>"
        for one in plan.assets
    )
    kind = "Dry run of release" if plan.rehearsal else "Release"
    notes = "".join(f"<p>{escape(note)}</p>" for note in plan.notes)
    body = (
        f"<h3>{kind} {escape(plan.tag)}</h3><p>Commit <code>{escape(plan.commit)}</code>, plan <code>{identity}</code> "
        f'(<a href="{PLAN_NAME}">{PLAN_NAME}</a>)</p>{notes}<table>{rows}</table>'
    )
    return pages.document(f"{kind} {plan.tag}", body)


class Releases(Archives):
    """Both. ask: the gate, in a thread and for whoever reads: it costs some milliseconds."""

    def __init__(self, store: Path | StorePlace, ask: Ask) -> None:
        super().__init__(store)
        self.ask = ask

    def render_GET(self, request: Any) -> Any:
        if request.postpath == [b"readiness"]:
            return self._readiness(request)
        return super().render_GET(request)

    def _readiness(self, request: Any) -> Any:
        harden(request)
        request.setHeader(b"content-type", b"application/json")
        commit = b"".join(request.args.get(b"sha", [])[:1]).decode("utf-8", "replace")
        if not COMMIT.match(commit):
            request.setResponseCode(400)
            return b'{"error": "readiness?sha=SHA: all 40 digits of a commit"}\n'
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        def send(data: bytes) -> None:
            if not gone:
                request.write(data + b"\n")
                request.finish()

        def broken(failure: Any) -> None:
            request.setResponseCode(500)
            problem = failure.value
            send(msgspec.json.encode({"error": str(problem) if isinstance(problem, Failure) else repr(problem)}))

        threads.deferToThread(lambda: answer(self.ask(commit))).addCallbacks(send, broken)
        return server.NOT_DONE_YET

    def _look_up(self, parts: list[str]) -> tuple[str, Any]:
        if len(parts) < 2 or not TAG.match(parts[0]) or not DIGEST.match(parts[1]):
            return "missing", "releases/TAG/PLAN/FILE, or releases/readiness?sha=SHA"
        path = self.store.root / kept.RELEASES / parts[0] / parts[1] / PLAN_NAME
        if not path.exists():
            self.store.refresh(kept.RELEASES, FOUND_S, paced=True)  # perhaps another master made it just now
        if not path.exists():
            return "missing", "no such plan was made here"
        plan = kept.read(self.store.root, parts[0], parts[1])
        if len(parts) == 2:
            return "move", f"{parts[1]}/"
        if parts[2] == "":
            return "page", listing(plan, parts[1])
        if parts[2] == PLAN_NAME:
            return "file", (path, Stored(PLAN_NAME, parts[1], path.stat().st_size))
        wanted = plan.asset(parts[2])
        if wanted is None or len(parts) > 3:
            return "missing", "no such file of that release"
        stored = Stored(wanted.name, wanted.sha256, wanted.size)
        return "file", (self.store.checked(stored), stored)
