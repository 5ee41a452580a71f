"""`/archives/BUILDER/NUMBER/FILE`: what is in the store, read-only, by the names that people know."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from twisted.internet import threads
from twisted.web import resource, server, static

from master.bucket.access import StorePlace
from master.store import ArchiveRecord, Store, Stored
from steps import pages
from workers.errors import Failure
from workers.progress import size

# Reports hold text of workers: nothing in them may run, load, send or be framed.
POLICY = b"default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'; base-uri 'none'"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".zst": "application/zstd",
    ".gz": "application/gzip",
}


def harden(request: Any) -> None:
    """Headers with which nothing in an answer can run, load, send or be framed."""
    request.setHeader(b"content-security-policy", POLICY)
    request.setHeader(b"x-content-type-options", b"nosniff")
    request.setHeader(b"referrer-policy", b"no-referrer")


def listing(record: ArchiveRecord, files: Sequence[Stored]) -> str:
    """The page of one build's files."""
    rows = "".join(
        f'<tr><td><a href="{escape(one.name)}">{escape(one.name)}</a></td><td>{size(one.size)}</td>'
        f"<td><code>{one.sha256}</code></td></tr>"
        for one in files
    )
    body = (
        f"<h3>{escape(record.builder)} #{record.number}</h3><p>CPython {escape(record.python_version)} of commit "
        f"<code>{record.commit}</code></p><table>{rows}</table>"
    )
    return pages.document(f"{record.builder} #{record.number}", body)


class Archives(resource.Resource):
    """Looks builder, number and file up in the index; the bytes are checked against their digest before they go out."""

    isLeaf = True

    def __init__(self, store: Path | StorePlace) -> None:
        super().__init__()
        self.store = Store(store)

    def render_GET(self, request: Any) -> int:
        harden(request)
        # Whoever asked may be gone before the store has answered.
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        parts = [part.decode("utf-8", "replace") for part in request.postpath or []]
        threads.deferToThread(self._look_up, parts).addCallbacks(
            self._answer, self._broken, callbackArgs=(request, gone), errbackArgs=(request, gone)
        )
        return int(server.NOT_DONE_YET)

    def _look_up(self, parts: list[str]) -> tuple[str, Any]:
        """("page", text), ("file", (path, Stored)), ("move", location) or ("missing", text). Runs in a thread."""
        if len(parts) < 2 or not parts[1].isascii() or not parts[1].isdigit() or len(parts[1]) > 9:
            return "missing", "archives/BUILDER/NUMBER/FILE"
        record = self.store.find(parts[0], int(parts[1]))
        if record is None:
            return "missing", "no archive of that build is stored"
        if len(parts) == 2:
            return "move", f"{parts[1]}/"
        name, files = parts[2], self.store.files(record)
        if name == "":
            return "page", listing(record, files)
        wanted = next((one for one in files if one.name == name), None)
        if wanted is None or len(parts) > 3:
            return "missing", "no such file of that build"
        return "file", (self.store.checked(wanted), wanted)

    def _answer(self, answer: tuple[str, Any], request: Any, gone: list[object]) -> None:
        if gone:
            return
        kind, value = answer
        if kind == "file":
            self._send(request, *value)
            return
        if kind == "move":
            request.redirect(value.encode())
        elif kind == "missing":
            request.setResponseCode(404)
        content = b"text/html" if kind == "page" else b"text/plain"
        request.setHeader(b"content-type", content + b"; charset=utf-8")
        request.write(value.encode())
        request.finish()

    def _send(self, request: Any, path: Path, stored: Stored) -> None:
        request.setHeader(b"etag", f'"{stored.sha256}"'.encode())
        suffix = Path(stored.name).suffix
        if suffix in (".zst", ".gz"):
            name = stored.name.replace('"', "")
            request.setHeader(b"content-disposition", f'attachment; filename="{name}"'.encode())
        file = static.File(str(path), defaultType=TYPES.get(suffix, "text/plain; charset=utf-8"))
        file.type, file.encoding = TYPES.get(suffix, "text/plain; charset=utf-8"), None
        result = file.render_GET(request)
        if result is not server.NOT_DONE_YET:
            request.write(result)
            request.finish()

    def _broken(self, failure: Any, request: Any, gone: list[object]) -> None:
        if gone:
            return
        problem = failure.value
        request.setResponseCode(500)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        text = str(problem) if isinstance(problem, Failure) else f"store: {problem}"
        request.write(text.encode())
        request.finish()
