"""What happened to a worker, as it stands in its info."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["lost", "hung", "unfit", "full", "paused", "back"]
NOTICES = "pymint_notices"
DOCTOR = "pymint_doctor"
KEPT = 20


@dataclass(frozen=True)
class Notice:
    """Something that happened to a worker. at: ISO 8601, UTC."""

    at: str
    kind: Kind
    text: str


def kept(before: list[Notice], new: Notice) -> list[Notice]:
    """The newest last. The same again in a row takes the place of what it repeats."""
    same = before[-1:] and (before[-1].kind, before[-1].text) == (new.kind, new.text)
    return [*(before[:-1] if same else before), new][-KEPT:]
