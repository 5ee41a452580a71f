"""`/keys/` and `/buildtypes/`: what people need to verify an archive, read-only, by a list of names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.web import resource

from master.archives import harden
from master.signing.keeping import KEYS, ROOT
from master.signing.statement import BUILD_TYPES

PUBLIC_KEY = re.compile(r"\A[a-z0-9][a-z0-9-]{0,60}\.pub\Z")
Find = Callable[[str], Path | None]


def public_half(keys: Path) -> Find:
    """The files of the directory of keys that are for everybody."""
    return lambda name: keys / name if name in (KEYS, ROOT) or PUBLIC_KEY.match(name) else None


def build_types(documents: Path) -> Find:
    """What the build types mean: the pages that their URIs lead to where the farm's base is its page's address."""
    known = {kind.partition("/")[2]: documents / f"{kind}.md" for kind in BUILD_TYPES.values()}
    return lambda name: known.get(name)


class Published(resource.Resource):
    """Text files; whatever `find` does not know is not there."""

    isLeaf = True

    def __init__(self, find: Find) -> None:
        super().__init__()
        self.find = find

    def render_GET(self, request: Any) -> bytes:
        harden(request)
        name = b"/".join(request.postpath or []).decode("utf-8", "replace")
        path = self.find(name)
        kind = "application/json" if name.endswith(".json") else "text/plain; charset=utf-8"
        request.setHeader(b"content-type", kind.encode())
        try:
            if path is not None:
                return path.read_bytes()
        except FileNotFoundError:
            pass
        request.setResponseCode(404)
        return b"no such file\n"
