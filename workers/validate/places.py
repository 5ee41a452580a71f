"""Directories of this machine that must not stand in what it builds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def needles_for(directories: Iterable[Path]) -> tuple[str, ...]:
    """Expressions that find these directories. One directly below the root is left out: too many texts name `/root`."""
    return tuple(sorted({re.escape(str(directory)) for directory in directories if len(directory.parts) > 2}))
