"""Writes a new pin into the text of sources.toml: one table more, and not a byte changed of what stands there. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from typing import Any

from workers.errors import Failure
from workers.sources.pins import Pin, parse_pins
from workers.updates.model import Taken
from workers.updates.rules import Rule
from workers.updates.versions import spelled


def with_pin(text: str, taken: Taken, rule: Rule) -> str:
    """The text with the release as the preferred one of its source. Raises Failure when that can't be done surely.

    What the pinned release says of itself alone (its own licences, cpe, purl) is said of the new one, with its version.
    """
    old = parse_pins(text)
    before = old[taken.source][0]
    if before.version != taken.before:
        raise _undone(taken, f"{taken.before} as the preferred release", before.version)
    header = re.search(
        rf'^\[\[(?:"{re.escape(taken.source)}"|{re.escape(taken.source)})\.pins\]\][^\n]*\n', text, re.MULTILINE
    )
    if header is None:
        raise _undone(taken, f"a table [[{taken.source}.pins]]", "none")
    own = tomllib.loads(text)[taken.source]["pins"][0]
    block = _block(header[0].split("]]")[0].lstrip("[").removesuffix(".pins"), taken, own, rule)
    at = _above_comments(text, header.start())
    new = f"{text[:at]}{block}\n{text[at:]}"
    _compare(old, new, taken)
    return new


def _above_comments(text: str, at: int) -> int:
    """Where the comment lines right above a table begin: they are about that table."""
    lines = text[:at].splitlines(keepends=True)
    while lines and lines[-1].startswith("#"):
        at -= len(lines.pop())
    return at


def _block(name: str, taken: Taken, own: dict[str, Any], rule: Rule) -> str:
    lines = [f"[[{name}.pins]]", f"version = {_text(taken.version)}"]
    for key in ("licences", "licence_files"):
        value = own.get(key)
        if key == "licence_files" and taken.licence_files is not None:
            value = list(taken.licence_files)
        if value is not None:
            lines.append(f"{key} = {_texts(value)}")
    for key in ("cpe", "purl"):
        if key in own:
            lines.append(f"{key} = {_text(_moved_on(str(own[key]), taken, rule))}")
    if len(taken.urls) == 1:
        lines.append(f"urls = {_texts(taken.urls)}")
    elif taken.urls:
        lines += ["urls = [", *(f"  {_text(url)}," for url in taken.urls), "]"]
    lines += [f"sha256 = {_text(taken.sha256)}", f"size = {taken.size}"]
    if taken.released:
        lines.append(f"released = {_text(taken.released)}")
    if taken.distro is not None:
        lines.append(f"[{name}.pins.distro]")
        lines += [f"{key} = {_text(getattr(taken.distro, key))}" for key in ("package", "version", "suite", "file")]
        if taken.distro.sha256 is not None and taken.urls:
            lines += [f"sha256 = {_text(taken.distro.sha256)}", f"size = {taken.distro.size}"]
    if taken.pypi is not None:
        lines.append(f"[{name}.pins.pypi]")
        lines += [f"{key} = {_text(getattr(taken.pypi, key))}" for key in ("requirement", "platform", "file")]
    return "\n".join(lines) + "\n"


def _moved_on(value: str, taken: Taken, rule: Rule) -> str:
    """A value that names the release before, for this one."""
    for old, new in ((taken.before, taken.version), *_spellings(taken, rule)):
        if old in value:
            return value.replace(old, new)
    return value


def _spellings(taken: Taken, rule: Rule) -> list[tuple[str, str]]:
    try:
        return [(spelled(taken.before, rule.spelling), spelled(taken.version, rule.spelling))]
    except ValueError:
        return []


def _text(value: str) -> str:
    """A TOML basic string: JSON's are a part of them (TOML 1.0, String)."""
    return json.dumps(value, ensure_ascii=False)


def _texts(values: Any) -> str:
    return f"[{', '.join(_text(str(value)) for value in values)}]"


def _compare(old: Any, text: str, taken: Taken) -> None:
    """Raises Failure unless the new text says what the old one said, and the new release before all others."""
    new = parse_pins(text)
    first = new[taken.source][0]
    wanted = (taken.version, taken.sha256, taken.size, taken.urls, taken.released)
    found = (first.version, first.sha256, first.size, first.urls, first.released)
    if wanted != found:
        raise _undone(taken, repr(wanted), repr(found))
    if {name: _without(pins, taken) for name, pins in new.items()} != dict(old):
        raise _undone(taken, "all other pins as they were", "others")


def _without(pins: tuple[Pin, ...], taken: Taken) -> tuple[Pin, ...]:
    """The pins but the new one; also of a source whose `else` is this one."""
    return tuple(replace(one) for one in pins if (one.version, one.sha256) != (taken.version, taken.sha256))


def _undone(taken: Taken, wanted: str, found: str) -> Failure:
    return Failure(
        "updates", f"the pin of {taken.source} {taken.version} can't be written into sources.toml", wanted=wanted,
        found=found, todo="Write it by hand: docs/pins.md shows what a pin says.",
    )  # fmt: skip
