"""What stands before every page: requests that another web page in the operator's browser sent are turned away.

Buildbot checks the Origin of control requests. Not checked by it, and so here: the Host (a foreign name that was made
to point at this machine would read all pages as its own), and the Origin of the websocket and of everything else.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from buildbot.util.service import BuildbotService
from buildbot.www.service import BuildbotSite
from twisted.web import resource

from master.bodies import BoundedRequest

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


# Browsers leave a scheme's own port out.
PORTS = {"http": ":80", "https": ":443"}


def origins_of(page_url: str, port: int) -> list[str]:
    """The addresses by which the page is known to browsers, as they write them: its own, and this machine's."""
    parts = urlsplit(page_url.lower())
    known = [(parts.scheme, parts.netloc), *(("http", f"{host}:{port}") for host in LOOPBACK)]
    return list(dict.fromkeys(f"{scheme}://{place.removesuffix(PORTS.get(scheme, '/'))}" for scheme, place in known))


def admitted(origins: list[str], host: str | None, origin: str | None) -> bool:
    """Whether a request with these headers comes from one of the page's own addresses. Programs send no Origin."""
    places = [urlsplit(known) for known in origins]
    # A program may say the port that a browser leaves out.
    names = {name for one in places for name in (one.netloc, one.netloc + PORTS.get(one.scheme, ""))}
    if host is None or host.lower() not in names:
        return False
    return origin is None or origin.lower() in origins


class Attached(resource.Resource):
    """A resource that reads from the master, which is not there yet while its configuration is made."""

    def attach(self, master: Any) -> None:
        raise NotImplementedError


class _Refusal(resource.Resource):
    isLeaf = True

    def render(self, request: Any) -> bytes:
        request.setResponseCode(403)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return (
            b"This address is not one by which this farm is known, or another web page sent this request.\n"
            b"Set [web] url in settings.toml to the address that people use.\n"
        )


class Door(BuildbotService):
    """Puts `children` below the web server's root, and before it two checks: where from, and how much.

    Kept over reconfigurations.
    """

    name = "door"

    def reconfigService(self, origins: list[str], children: dict[str, Any], reading: Any = None) -> Any:
        root = self.master.www.apps.get("base").resource
        # On the class: the site itself is made after this, and puts Buildbot's own hooks below the root.
        BuildbotSite.requestFactory = BoundedRequest
        for child in children.values():
            if isinstance(child, Attached):
                child.attach(self.master)
        own = {path.encode(): child for path, child in children.items()}
        plain = type(root).getChildWithDefault
        reader = reading(self.master) if reading is not None else None

        def checked(path: bytes, request: Any) -> Any:
            host, origin = request.getHeader("host"), request.getHeader("origin")
            if not admitted(origins, host, origin):
                return _Refusal()
            refusal = reader.refusal(path, request) if reader is not None else None
            if refusal is not None:
                return refusal
            return own[path] if path in own else plain(root, path, request)

        root.getChildWithDefault = checked
        return super().reconfigService()
