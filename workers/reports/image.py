"""The report of `image`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from workers.reports.base import Measure


@dataclass(frozen=True)
class SmokeTest:
    """A command in a container of the image; said: the last line that it printed."""

    command: str
    passed: bool
    said: str


@dataclass(frozen=True)
class ImageReport:
    """An image that an engine has. inputs: digest of `parts`, which is what went into it; id: asked of the engine after
    it was made; engine: that one's own id; printed: what the builder said that it had made, where that is not `id`."""

    schema: Literal["pymint/image/1"]
    ok: bool
    name: str
    architecture: str
    inputs: str
    parts: dict[str, str]
    tag: str
    id: str
    printed: str
    engine: str
    origin: Literal["built", "there"]
    size: int
    smoke: list[SmokeTest]
    dropped: list[str] = field(default_factory=list)
    measure: Measure = field(default_factory=Measure)
    failed: str | None = None
