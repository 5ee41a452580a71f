"""A settings.toml with every setting as a comment: keys and their words from docs/settings.md, values from the code."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, Field, fields
from typing import Any, get_type_hints

from master.settings.reading import dataclass_of
from master.settings.tables import Settings

HEAD = """# A farm's settings. Every default works, and every line is a comment: take away the # of what is to differ.
# `./mint checkconfig` says whether the file holds and what it would change, `./mint reconfig` puts it in force.
"""


def documented(page: str) -> str:
    """The TOML block of docs/settings.md."""
    return page.partition("```toml\n")[2].partition("```")[0]


def default_of(field: Field[Any]) -> Any:
    """A field's default; MISSING where there is none."""
    return field.default_factory() if field.default_factory is not MISSING else field.default


def commented(page: str) -> str:
    """The file. A key without a default, or whose default is None, keeps the example of the documentation."""
    defaults = {
        name: {field.name: default_of(field) for field in fields(dataclass_of(hint))}
        for name, hint in get_type_hints(Settings).items()
    }
    lines, section = [HEAD.rstrip()], ""
    for line in documented(page).splitlines():
        if header := re.match(r"\[+([a-z_.]+)\]+", line):
            section = header[1]
            lines.append(f"#{line}")
        elif key := re.match(r"([a-z_]+) = (.*?)(\s+#.*)?$", line):
            value = defaults.get(section, {}).get(key[1])
            written = key[2] if value is None or value is MISSING else _toml(value)
            lines.append(f"#{key[1]} = {written}".ljust(32) + f"{(key[3] or '').strip()}")
            lines[-1] = lines[-1].rstrip()
        else:
            lines.append(f"#{line}" if line.strip() else "")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """JSON's numbers, texts, booleans and lists are TOML's; an empty table is the same in both."""
    return json.dumps(value, ensure_ascii=False)
