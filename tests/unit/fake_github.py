"""A GitHub that keeps releases and assets, on loopback, with the faults of the real one.

What it knows of the real one: drafts that no tag finds, assets in the state `starter` after a broken upload, 422 for a
name that is there, pages, digests that older servers do not have, immutable releases, downloads from another host.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

S = TypeVar("S", bound=ThreadingHTTPServer)
TOKEN = "ghs_FAKEtoken.with-dots_and.dashes.1234567890abcdefghijklmnopqrstuvwxyz"
REPOSITORY = "example/pythons"


@dataclass
class Fault:
    """What goes wrong with a request. method, path: which ones, the path by a regular expression.

    kind: the connection is dropped, or a status is answered. when: before anything was done of it, or after all was.
    times: how often; skip: how many of them go well first. after_bytes: of an upload, before it is dropped.
    "hold": the client waits, and who waits for `reached` knows that it does; with `go` the connection is dropped.
    """

    method: str
    path: str
    kind: Literal["drop", "hold"] | int
    when: Literal["before", "after"] = "before"
    times: int = 1
    skip: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "made to fail"
    after_bytes: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def strikes(self, method: str, path: str) -> bool:
        if self.method != method or not re.search(self.path, path) or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Asset:
    id: int
    name: str
    media_type: str
    announced: int
    state: str = "starter"
    content: bytes = b""


@dataclass
class Release:
    id: int
    tag: str
    body: str
    draft: bool
    target: str
    assets: dict[int, Asset] = field(default_factory=dict)
    immutable: bool = False


class FakeGitHub(ThreadingHTTPServer):
    """digests: whether assets tell theirs. immutable: whether releases freeze when they are published."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.lock = threading.RLock()
        self.token = TOKEN
        self.releases: dict[int, Release] = {}
        self.tags: dict[str, str] = {}
        self.commits: set[str] = set()
        self.latest: int | None = None
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.digests = True
        self.immutable = False
        self._id = 100

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_id(self) -> int:
        self._id += 1
        return self._id

    def published(self, tag: str) -> dict[str, str]:
        """Name to sha256 of a published release; every asset uploaded, none twice."""
        (release,) = [one for one in self.releases.values() if one.tag == tag]
        assert not release.draft
        assert {one.state for one in release.assets.values()} == {"uploaded"}
        names = [one.name for one in release.assets.values()]
        assert sorted(names) == sorted(set(names))
        return {one.name: hashlib.sha256(one.content).hexdigest() for one in release.assets.values()}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what this is about."""


@contextlib.contextmanager
def running() -> Iterator[FakeGitHub]:
    with serving(FakeGitHub()) as server:
        yield server


@contextlib.contextmanager
def serving(server: S) -> Iterator[S]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Answered(Exception):
    def __init__(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


def _invalid(code: str, name: str = "", message: str = "") -> Answered:
    error = {"resource": "ReleaseAsset", "code": code, "field": name, "message": message}
    return Answered(422, {"message": "Validation Failed", "errors": [error]})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeGitHub

    def log_message(self, *said: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_DELETE = do_GET

    def _serve(self) -> None:
        path = self.path.partition("?")[0]
        with self.server.lock:
            self.server.requests.append((self.command, self.path))
            fault = next((one for one in self.server.faults if one.strikes(self.command, self.path)), None)
        if fault is not None and fault.when == "before":
            if path.endswith("/assets") and self.command == "POST" and fault.after_bytes:
                self._begin_upload(path, fault.after_bytes)
            return self._fail(fault)
        try:
            if path.startswith("/storage/"):
                raise self._storage(path)
            if self.headers.get("Authorization") != f"Bearer {self.server.token}":
                raise Answered(401, {"message": "Bad credentials"})
            if self.command == "POST" and re.search(r"/releases/\d+/assets\Z", path):
                raise self._upload(path)
            body = json.loads(self._body() or b"{}")
            with self.server.lock:
                raise self._api(path.removeprefix(f"/repos/{REPOSITORY}/"), body)
        except Answered as answer:
            if fault is not None:
                return self._fail(fault)
            self._say(answer.status, answer.body, answer.headers)
        return None

    def _fail(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind == "hold":
            fault.reached.set()
            fault.go.wait()
        if not isinstance(fault.kind, int):
            with contextlib.suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            return
        self._say(fault.kind, {"message": fault.message}, {**fault.headers, "Connection": "close"})

    def _say(self, status: int, body: Any, headers: dict[str, str]) -> None:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _body(self, limit: int | None = None) -> bytes:
        size = int(self.headers.get("Content-Length", 0))
        return self.rfile.read(size if limit is None else min(size, limit))

    def _query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def _begin_upload(self, path: str, limit: int | None) -> Asset:
        """The name is taken from the moment on when the request comes."""
        release = self.server.releases[int(path.split("/")[-2])]
        name = unquote(self._query()["name"])
        with self.server.lock:
            if release.immutable:
                raise _invalid("custom", message="Cannot upload assets to an immutable release.")
            if any(one.name == name for one in release.assets.values()):
                self._body()
                raise _invalid("already_exists", "name")
            asset = Asset(
                self.server.next_id(), name, self.headers["Content-Type"], int(self.headers["Content-Length"])
            )
            release.assets[asset.id] = asset
        if limit is not None:
            self._body(limit)
        return asset

    def _upload(self, path: str) -> Answered:
        if "Content-Length" not in self.headers:
            return Answered(411, {"message": "Length Required"})
        asset = self._begin_upload(path, None)
        wanted = int(self.headers["Content-Length"])
        content = self.rfile.read(wanted)
        if len(content) != wanted:
            self.close_connection = True
            raise ConnectionError("cut off")
        with self.server.lock:
            asset.content, asset.state = content, "uploaded"
            return Answered(201, self._asset(asset))

    def _storage(self, path: str) -> Answered:
        if "Authorization" in self.headers:
            return Answered(400, {"message": "a token for GitHub was sent to its storage"})
        number = int(path.rpartition("/")[2])
        return Answered(
            200, next(r.assets[number].content for r in self.server.releases.values() if number in r.assets)
        )

    def _asset(self, asset: Asset) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(asset.content).hexdigest()}" if self.server.digests else None
        # One that was broken off tells the size that it should have had: only the state gives it away.
        size = len(asset.content) if asset.state == "uploaded" else asset.announced
        known = digest if asset.state == "uploaded" else None
        return {"id": asset.id, "name": asset.name, "state": asset.state, "size": size, "digest": known}

    def _release(self, release: Release) -> dict[str, Any]:
        return {
            "id": release.id, "tag_name": release.tag, "draft": release.draft, "body": release.body,
            "immutable": release.immutable, "target_commitish": release.target,
            "upload_url": f"{self.server.url}/upload/repos/{REPOSITORY}/releases/{release.id}/assets{{?name,label}}",
        }  # fmt: skip

    def _page(self, items: list[dict[str, Any]]) -> Answered:
        query = self._query()
        size = min(int(query.get("per_page", 30)), 100)
        page = int(query.get("page", 1))
        last = -(-len(items) // size)
        links = {"next": page + 1, "last": last} if page < last else {}
        link = ", ".join(f'<{self.server.url}{self.path.partition("?")[0]}?page={n}&per_page={size}>; rel="{rel}"'
                         for rel, n in links.items())  # fmt: skip
        return Answered(200, items[(page - 1) * size : page * size], {"Link": link} if link else None)

    def _api(self, path: str, body: dict[str, Any]) -> Answered:
        """Answers what is asked of the repository, or 404."""
        server = self.server
        match self.command, path.split("/"):
            case "GET", ["releases"]:
                return self._page([self._release(one) for one in reversed(server.releases.values())])
            case "POST", ["releases"]:
                return self._create(body)
            case "GET", ["releases", "latest"] if server.latest is not None:
                return Answered(200, self._release(server.releases[server.latest]))
            case "GET", ["releases", "tags", tag]:
                for one in server.releases.values():
                    if one.tag == tag and not one.draft:
                        return Answered(200, self._release(one))
            case "PATCH", ["releases", number] if int(number) in server.releases:
                return self._change(server.releases[int(number)], body)
            case "DELETE", ["releases", number] if int(number) in server.releases:
                del server.releases[int(number)]
                return Answered(204)
            case "GET", ["releases", number, "assets"] if int(number) in server.releases:
                return self._page([self._asset(one) for one in server.releases[int(number)].assets.values()])
            case "GET", ["releases", "assets", number]:
                port = server.server_address[1]
                return Answered(302, headers={"Location": f"http://localhost:{port}/storage/{number}"})
            case "DELETE", ["releases", "assets", number]:
                for one in server.releases.values():
                    if one.assets.pop(int(number), None) is not None:
                        return Answered(204)
            case "GET", ["git", "commits", sha] if sha in server.commits:
                return Answered(200, {"sha": sha})
            case "GET", ["git", "ref", "tags", tag] if tag in server.tags:
                return Answered(200, {"ref": f"refs/tags/{tag}", "object": {"type": "commit", "sha": server.tags[tag]}})
        return Answered(404, {"message": "Not Found"})

    def _create(self, body: dict[str, Any]) -> Answered:
        server = self.server
        if not body["draft"] and any(one.tag == body["tag_name"] and not one.draft for one in server.releases.values()):
            return _invalid("already_exists", "tag_name")
        target = body.get("target_commitish", "main")
        release = Release(server.next_id(), body["tag_name"], body["body"], body["draft"], target)
        server.releases[release.id] = release
        return Answered(201, self._release(release))

    def _change(self, release: Release, body: dict[str, Any]) -> Answered:
        server = self.server
        if release.draft and body.get("draft") is False:
            if any(one.tag == release.tag and not one.draft for one in server.releases.values()):
                return _invalid("already_exists", "tag_name")
            release.draft, release.immutable = False, server.immutable
            server.tags.setdefault(release.tag, release.target)
        if body.get("make_latest") == "true":
            server.latest = release.id
        return Answered(200, self._release(release))
