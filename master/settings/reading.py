"""settings.toml read: TOML, the known sections and keys, the types. What is wrong is named by file, line and key."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from master.settings.lines import line_of
from master.settings.tables import Settings
from workers.errors import Failure


def path_of(written: str) -> list[str | int]:
    """`workers[1].targets` as a path. What stands for any element or key, `[...]`, ends it."""
    known = written.partition("[...]")[0]
    return [int(number) if number else name for name, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", known)]


def wrong(path: Path, text: str, section: str, key: str, what: str, **said: Any) -> Failure:
    """A Failure about a key. section, key: as people write them; `workers[1]` is the second of `[[workers]]`."""
    line = line_of(text, [*path_of(section), *path_of(key)])
    place = f"{path}:{line}" if line else str(path)
    title = re.sub(r"\[\d+\]", "", section)
    name = f"[{title}] {key}".strip() if title else key
    return Failure("settings", f"{place}: {name}: {what}", **said)


def _tables(raw: Any) -> list[tuple[str, dict[str, Any]]]:
    """The tables of a section, and what stands behind its name for each."""
    if isinstance(raw, list):
        return [(f"[{number}]", row) for number, row in enumerate(raw) if isinstance(row, dict)]
    return [("", raw)] if isinstance(raw, dict) else []


def dataclass_of(hint: Any) -> type:
    """Of a section's type: itself, or what a list of it, or None, has inside."""
    inner = [one for one in get_args(hint) if one is not type(None)]
    return dataclass_of(inner[0]) if inner else hint


# What stood elsewhere once, and where it stands now: a key that moved is not just unknown.
MOVED = {("release", "releasers"): "[access] releasers"}


def _refuse_unknown_keys(raw: dict[str, Any], path: Path, text: str) -> None:
    sections = {name: dataclass_of(hint) for name, hint in get_type_hints(Settings).items()}
    for section, content in raw.items():
        if section not in sections:
            todo = f"Known sections: {', '.join(sections)}."
            raise wrong(path, text, section, "", "there is no such section", todo=todo)
        for number, table in _tables(content):
            _refuse_unknown_in(table, sections[section], section, path, text, number)


def _refuse_unknown_in(
    table: dict[str, Any], kind: type, section: str, path: Path, text: str, number: str = ""
) -> None:
    """In a table and those that it holds, as far as they are dataclasses. number: of a table in an array, `[1]`."""
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for key, value in table.items():
        if (section, key) in MOVED:
            todo = f"Write it as {MOVED[section, key]}; docs/settings.md has that section."
            raise wrong(path, text, section, key, "this has another place now", todo=todo)
        if key not in known:
            todo = f"Known: {', '.join(known)}."
            raise wrong(path, text, section + number, key, "there is no such key", todo=todo)
        inner = dataclass_of(hints[key])
        if isinstance(value, dict) and isinstance(inner, type) and is_dataclass(inner):
            _refuse_unknown_in(value, inner, f"{section}{number}.{key}", path, text)


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
        message, _, where = str(error).partition(" - at `")
        section, _, key = where.rpartition("$.")[2].rstrip("`").partition(".")
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
