"""How CPython's Setup files say what a module is made of, and its inittab which modules are built in.

Read are the files that `makesetup` read, in its order: a name that an earlier file has is not taken again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# The order of arguments in configure's call of makesetup.
SETUP_FILES = ("Setup.local", "Setup.stdlib", "Setup.bootstrap", "Setup")

_SECTION = re.compile(r"^\*(static|shared|disabled|noconfig)\*")
_ASSIGNMENT = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\s*=")
_INITTAB = re.compile(r"^\s*\{\s*\"(?P<name>[^\"]+)\"\s*,\s*(?P<init>[A-Za-z_]\w*)\s*\}", re.MULTILINE)
_VARIABLE = re.compile(r"\$\((\w+)\)|\$\{(\w+)\}")


@dataclass(frozen=True)
class SetupLine:
    """A module's line. sources: relative to Modules/. words: all other words, variables not yet filled in."""

    name: str
    section: str
    sources: tuple[str, ...]
    words: tuple[str, ...]


def parse_setup(texts: Iterable[str]) -> dict[str, SetupLine]:
    """Every module that any of the texts has, each from the first that has it."""
    found: dict[str, SetupLine] = {}
    for text in texts:
        section = "static"
        for raw in text.replace("\\\n", " ").splitlines():
            line = raw.split("#", 1)[0].strip()
            if not line or _ASSIGNMENT.match(line):
                continue
            if match := _SECTION.match(line):
                section = match[1]
                continue
            name, *words = line.split()
            names = [name, *words] if section == "disabled" else [name]
            sources = tuple(word for word in words if word.endswith((".c", ".cc", ".cpp", ".m", ".S")))
            others = tuple(word for word in words if word not in sources)
            for each in names:
                found.setdefault(each, SetupLine(each, section, sources, others))
    return found


def parse_inittab(config_c: str) -> dict[str, str]:
    """Module → init function (`NULL` for those that the core makes itself) of a config.c or config.c.in."""
    return {match["name"]: match["init"] for match in _INITTAB.finditer(config_c)}


def fill_in(text: str, variables: Mapping[str, str]) -> str:
    """Replaces make's variables by their values; unknown ones by nothing, as make does."""
    for _ in range(8):  # values hold variables themselves, a few levels deep
        filled = _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text)
        if filled == text:
            break
        text = filled
    return text


def link_words(line: SetupLine | None, name: str, variables: Mapping[str, str]) -> list[str]:
    """The words of a module that name libraries: `-lz`, `-l:libatomic.a`, paths of archives, frameworks.

    From its Setup line and, from 3.12 on, from the Makefile's MODULE_<NAME>_LDFLAGS.
    """
    texts = [*(line.words if line else ()), variables.get(f"MODULE_{name.upper()}_LDFLAGS", "")]
    words = fill_in(" ".join(texts), variables).replace("-Xlinker -hidden-l", "-l").split()
    found: list[str] = []
    for index, word in enumerate(words):
        if word == "-framework" and index + 1 < len(words):
            found.append(f"-framework {words[index + 1]}")
        elif word.startswith("-l") or word.endswith(".a"):
            found.append(word)
    return list(dict.fromkeys(found))
