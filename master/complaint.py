"""What is wrong with a value of settings.toml: said by who knows the section; master/settings places it in the file."""

from __future__ import annotations

import re
from dataclasses import dataclass

# An address of the web.
URL = re.compile(r"\Ahttps?://[^\s/]+(/[^\s]*)?\Z")


@dataclass(frozen=True)
class Complaint:
    """What is wrong with a value: key, sentence, what was wanted and found."""

    key: str
    what: str
    wanted: str
    found: str
