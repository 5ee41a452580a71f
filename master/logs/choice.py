"""`[logs]` of settings.toml: how the farm's processes write their logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Logs:
    """format: for people, or an object a line for programs that collect logs. In force when a process starts."""

    format: Literal["text", "json"] = "text"
