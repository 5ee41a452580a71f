"""What a configuration has, in a form that can be compared: builders with their steps, workers, schedulers, the rest.

The master writes down the one that it runs by; `./mint checkconfig` and `./mint reconfig` compare it with the one that
settings.toml would give. No secret is in it.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from workers.model import ROOT

Section = Literal["builders", "workers", "schedulers", "others"]
SECTIONS: Mapping[Section, str] = {
    "builders": "builder", "workers": "worker", "schedulers": "scheduler", "others": "setting",
}  # fmt: skip
# What knows users and the hashes of their passwords: compared, and not written down.
ACCESS = ("auth", "authz")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
# Attributes whose values are nobody's to read; where a secret lies may be told.
_SECRET = re.compile(r"\A_|(password|secret|token)(?!.*_file\Z)", re.IGNORECASE)


def _code() -> str:
    """The commit of the code that this process runs: read when it began, since a pull changes no running process."""
    asked = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


CODE = _code()


@dataclass(frozen=True)
class Inventory:
    """Each section: a thing's name to its facts, by their names, as text. settings: sha256 of settings.toml.

    code: the commit of the master's own code.
    """

    schema: Literal["pymint/inventory/1"]
    builders: dict[str, dict[str, str]]
    workers: dict[str, dict[str, str]]
    schedulers: dict[str, dict[str, str]]
    others: dict[str, dict[str, str]]
    settings: str
    code: str


def inventory_of(found: Mapping[str, Any], settings_file: Path) -> Inventory:
    """Of a configuration as `master.farm.configuration` makes it."""
    text = settings_file.read_bytes() if settings_file.exists() else b""
    return Inventory(
        schema="pymint/inventory/1",
        builders={one.name: dict(_builder(one)) for one in found["builders"]},
        workers={one.workername: dict(_worker(one)) for one in found["workers"]},
        schedulers={one.name: dict(_arguments(one)) for one in found["schedulers"]},
        others={
            "[www]": {
                "value": _text({key: one for key, one in found["www"].items() if key not in ACCESS}),
                "access": _digest(_text({key: found["www"].get(key) for key in ACCESS})),
            },
            "[protocols]": {"value": _text(found["protocols"])},
            **{one.name: dict(_arguments(one)) for one in (*found["services"], *found["change_source"])},
        },
        settings=hashlib.sha256(text).hexdigest(),
        code=CODE,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _builder(one: Any) -> Iterator[tuple[str, str]]:
    yield "workers", ", ".join(one.workernames)
    yield "properties", _text(one.properties)
    yield "locks", _text(one.locks)
    for step in one.factory.steps:
        name = step.step_class.name or step.step_class.__name__
        yield f"step {name}", _text({"arguments": step.args, **step.kwargs})
    yield "order of steps", ", ".join(str(step.step_class.name) for step in one.factory.steps)


def _worker(one: Any) -> Iterator[tuple[str, str]]:
    """The password is not among it."""
    yield "kind", type(one).__name__
    for name, value in sorted((one._config_kwargs or {}).items()):
        if not _SECRET.search(name):
            yield name, _text(value)


def _arguments(one: Any) -> Iterator[tuple[str, str]]:
    yield "kind", type(one).__name__
    for number, value in enumerate(one._config_args or ()):
        yield f"argument {number}", _text(value)
    for name, value in sorted((one._config_kwargs or {}).items()):
        yield name, _text(value)


def _text(value: Any, depth: int = 0) -> str:
    """A value's own words where it has some, else its attributes'; never an address."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(one, depth + 1)}" for key, one in sorted(value.items(), key=str)) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(_text(one, depth + 1) for one in value) + "]"
    said = repr(value)
    if not _ADDRESS.search(said):
        return said
    if hasattr(value, "__dict__") and depth < 6 and not callable(value):
        inner = {key: one for key, one in vars(value).items() if not _SECRET.search(key)}
        return f"{type(value).__name__}{_text(inner, depth + 1)}"
    return _ADDRESS.sub("", said)


def changes(running: Inventory, wanted: Inventory) -> list[str]:
    """What would change, a line each: `+` comes, `-` goes, `~` is another. Nothing for nothing."""
    lines = []
    for section in fields(Inventory):
        if section.name not in SECTIONS:
            continue
        title = SECTIONS[section.name]  # type: ignore[index]
        before, after = getattr(running, section.name), getattr(wanted, section.name)
        lines += [f"+ {title} {name}" for name in after if name not in before]
        lines += [f"- {title} {name}" for name in before if name not in after]
        for name in after:
            lines += [f"~ {title} {name}: {one}" for one in _facts(before.get(name, after[name]), after[name])]
    return lines


def _facts(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for fact in [*after, *(one for one in before if one not in after)]:
        if fact not in before:
            yield f"{fact} comes"
        elif fact not in after:
            yield f"{fact} goes"
        elif before[fact] != after[fact]:
            yield f"{fact}: {_difference(before[fact], after[fact])}"


def _difference(before: str, after: str, most: int = 70) -> str:
    """The part of two texts in which they differ, with a little of what stands around it."""
    same = (at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    start = next(same, min(len(before), len(after)))
    start = max(0, start - 20)
    return " → ".join(_cut(text[start:], most) for text in (before, after))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def grouped(lines: list[str]) -> list[str]:
    """The same change of many builders told once."""
    found: dict[str, list[str]] = {}
    for line in lines:
        kind, _, rest = line.partition(" builder ")
        name, colon, what = rest.partition(": ")
        found.setdefault(f"{kind} builder\0{what}" if colon else line, []).append(name)
    told = []
    for key, names in found.items():
        kind, nul, what = key.partition("\0")
        if not nul:
            told.append(key)
        else:
            told.append(f"{kind} {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {what}")
    return told
