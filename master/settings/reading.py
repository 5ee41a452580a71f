"""settings.toml read: TOML, the known sections and keys, the types. What is wrong is named by file, line and key."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from master.settings.tables import Settings
from workers.errors import Failure


def line_of(text: str, section: str, key: str) -> int | None:
    """The line (from 1) where `key` stands in `[section]` or `[[section]]` of a TOML text, or that of the section."""
    inside, start = section == "", None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?", line):
            inside = header.group(1) == section
            start = number if inside and start is None else start
        elif inside and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return start


def wrong(path: Path, text: str, section: str, key: str, what: str, **said: Any) -> Failure:
    line = line_of(text, section, key)
    place = f"{path}:{line}" if line else str(path)
    name = f"[{section}] {key}".strip() if section else key
    return Failure("settings", f"{place}: {name}: {what}", **said)


def _tables(raw: Any) -> list[dict[str, Any]]:
    return [row for row in (raw if isinstance(raw, list) else [raw]) if isinstance(row, dict)]


def _dataclass_of(hint: Any) -> type:
    """Of a section's type: itself, or what a list of it, or None, has inside."""
    inner = [one for one in get_args(hint) if one is not type(None)]
    return _dataclass_of(inner[0]) if inner else hint


def _refuse_unknown_keys(raw: dict[str, Any], path: Path, text: str) -> None:
    sections = {name: _dataclass_of(hint) for name, hint in get_type_hints(Settings).items()}
    for section, content in raw.items():
        if section not in sections:
            todo = f"Known sections: {', '.join(sections)}."
            raise wrong(path, text, section, "", "there is no such section", todo=todo)
        for table in _tables(content):
            _refuse_unknown_in(table, sections[section], section, path, text)


def _refuse_unknown_in(table: dict[str, Any], kind: type, section: str, path: Path, text: str) -> None:
    """In a table and those that it holds, as far as they are dataclasses."""
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for key, value in table.items():
        if key not in known:
            raise wrong(path, text, section, key, "there is no such key", todo=f"Known: {', '.join(known)}.")
        inner = _dataclass_of(hints[key])
        if isinstance(value, dict) and is_dataclass(inner):
            _refuse_unknown_in(value, inner, f"{section}.{key}", path, text)


def parse(text: str, path: Path) -> Settings:
    """The settings in a TOML text. Raises Failure that names file, line, key, what was wanted and what was found."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Failure("settings", f"{path} is not TOML", found=str(error), todo="Mend that line.") from error
    _refuse_unknown_keys(raw, path, text)
    try:
        return msgspec.convert(raw, Settings)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        section, _, key = re.sub(r"\[[0-9.]*\]", "", where.rstrip("`")).partition(".")
        wanted, _, found = message.partition(", got ")
        raise wrong(
            path,
            text,
            section,
            key,
            "this value can't be used",
            wanted=wanted,
            found=found or None,
            todo="Change it and start again. docs/settings.md lists every setting.",
        ) from error
