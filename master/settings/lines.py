"""In which line of a TOML text each key and each element of a list stands.

The standard library's parser tells no lines. This one is for texts that it has accepted: it only looks for the places,
and knows just enough of TOML to do so (tables, lists of tables, dotted and quoted keys, inline tables, lists, strings).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

Path = tuple[str | int, ...]
_QUOTES = ('"""', "'''", '"', "'")


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, int] = {}
        # How many tables each list of tables has so far, by its path.
        self.counts: dict[Path, int] = {}

    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def peek(self, count: int = 1) -> str:
        return self.text[self.at : self.at + count]

    def note(self, path: Path) -> None:
        for length in range(1, len(path) + 1):
            self.found.setdefault(path[:length], self.line())

    def blank(self, also: str = "") -> None:
        """Skips spaces, and with `also` more characters, comments among them where ends of lines are."""
        while self.at < len(self.text):
            if self.text[self.at] in " \t\r" + also:
                self.at += 1
            elif self.text[self.at] == "#" and "\n" in also:
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def string(self) -> str:
        """The string that begins here, as it stands there with its quotes."""
        start = self.at
        quote = next(one for one in _QUOTES if self.text.startswith(one, start))
        self.at += len(quote)
        while not self.text.startswith(quote, self.at):
            self.at += 2 if quote[0] == '"' and self.text[self.at] == "\\" else 1
        self.at += len(quote)
        # Up to two quotes may stand right before the closing three.
        while len(quote) == 3 and self.peek() == quote[0]:
            self.at += 1
        return self.text[start : self.at]

    def key(self) -> Path:
        """A key, dotted or not."""
        parts: list[str | int] = []
        while True:
            self.blank()
            if self.peek() in ('"', "'"):
                parts.append(tomllib.loads(f"key = {self.string()}")["key"])
            else:
                start = self.at
                while self.peek() and (self.peek().isalnum() or self.peek() in "-_"):
                    self.at += 1
                parts.append(self.text[start : self.at])
            self.blank()
            if self.peek() != ".":
                return tuple(parts)
            self.at += 1

    def value(self, path: Path) -> None:
        self.blank()
        if self.peek() == "[":
            self.list(path)
        elif self.peek() == "{":
            self.inline_table(path)
        elif self.peek() in ('"', "'"):
            self.string()
        else:
            while self.at < len(self.text) and self.peek() not in ",]}#\n":
                self.at += 1

    def list(self, path: Path) -> None:
        self.at += 1
        number = 0
        while True:
            self.blank("\n,")
            if self.peek() == "]":
                self.at += 1
                return
            self.note((*path, number))
            self.value((*path, number))
            number += 1

    def inline_table(self, path: Path) -> None:
        self.at += 1
        while True:
            self.blank("\n,")
            if self.peek() == "}":
                self.at += 1
                return
            self.pair(path)

    def pair(self, path: Path) -> None:
        start = self.at
        inner = (*path, *self.key())
        end, self.at = self.at, start
        self.note(inner)
        self.at = end + 1  # the sign of equality
        self.value(inner)

    def header(self) -> Path:
        """The table that a header opens; one more of its list for `[[…]]`."""
        start, many = self.at, self.peek(2) == "[["
        self.at += 2 if many else 1
        path = self.real(self.key(), last=not many)
        if many:
            number = self.counts.get(path, 0)
            self.counts[path] = number + 1
            path = (*path, number)
        self.at += 2 if many else 1
        end, self.at = self.at, start
        self.note(path)
        self.at = end
        return path

    def real(self, keys: Path, *, last: bool) -> Path:
        """With the number of the newest table wherever a key is that of a list of tables."""
        path: Path = ()
        for place, key in enumerate(keys):
            path = (*path, key)
            if path in self.counts and (last or place < len(keys) - 1):
                path = (*path, self.counts[path] - 1)
        return path

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while True:
            self.blank("\n")
            if self.at >= len(self.text):
                return self.found
            if self.peek() == "[":
                table = self.header()
            else:
                self.pair(table)


def lines_of(text: str) -> Mapping[Path, int]:
    """The line, from 1, in which each path of a TOML text is first named. Only for text that tomllib has read."""
    return _Scanner(text).scan()


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """The line of a path; of the nearest thing above it where that itself is not in the text; None for nothing."""
    try:
        found = lines_of(text)
    except (IndexError, StopIteration, tomllib.TOMLDecodeError):
        return None
    chosen = tuple(path)
    while chosen and chosen not in found:
        chosen = chosen[:-1]
    return found.get(chosen)


def paths_of(raw: Any, path: Path = ()) -> list[Path]:
    """All paths of what tomllib read."""
    below = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [one for key, value in below for one in ((*path, key), *paths_of(value, (*path, key)))]
