"""The rules of `cpython-unix/updates.toml`: where newer releases of a pin are announced, and what vouches for them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from workers.errors import Failure
from workers.model import DATA
from workers.updates.versions import Spelling, spelled, unspelled

KEYS = DATA / "keys"
Shape = Literal["directory", "github", "sqlite"]
_HOLE = "(?P<version>[0-9][0-9A-Za-z.+_~-]*?)"


@dataclass(frozen=True)
class Announced:
    """Where upstream announces releases. entry: what stands there for a release, with {version} or {spelled} in it."""

    shape: Shape
    url: str
    entry: str = ""


@dataclass(frozen=True)
class Sigstore:
    """Upstream signs with Sigstore: the bundle is at the file's URL and `suffix`, for this identity by this issuer."""

    identity: str
    issuer: str
    suffix: str = ".sigstore"


@dataclass(frozen=True)
class Pgp:
    """Upstream signs with OpenPGP. keys: a file below cpython-unix/keys; fingerprints: of the keys that may sign.

    uncompressed: the signature is over the tar and not over the compressed file, as kernel.org has it.
    """

    keys: str
    fingerprints: tuple[str, ...]
    suffix: str = ".asc"
    uncompressed: bool = False


@dataclass(frozen=True)
class Rule:
    """How newer releases of one source are found and judged.

    line: releases of this line only, such as "3.13". announced: upstream's list, None where there is none to ask.
    urls: of a release's file, with {version} or {spelled}. folder, contains: what upstream's tarball has at its top,
    and below that. unsigned: why there is no signature to check. hold: why no pin is written without a person, though
    newer releases are shown. licence_files: of upstream's file, where it is another file than the one pinned first.
    distro_version: a pattern and a template, where the distribution orders the parts of the version otherwise.
    """

    line: str = ""
    announced: Announced | None = None
    urls: tuple[str, ...] = ()
    spelling: Spelling = "plain"
    folder: str = ""
    contains: tuple[str, ...] = ()
    sigstore: Sigstore | None = None
    pgp: Pgp | None = None
    unsigned: str = ""
    hold: str = ""
    licence_files: tuple[str, ...] | None = None
    distro_version: tuple[str, str] | None = None

    def filled(self, template: str, version: str) -> str:
        """A template with the version in it. Raises ValueError for a version that can't be spelled."""
        return template.replace("{version}", version).replace("{spelled}", spelled(version, self.spelling))

    def urls_of(self, version: str) -> tuple[str, ...]:
        """Where upstream has the release's file."""
        return tuple(self.filled(url, version) for url in self.urls)

    @property
    def file(self) -> str:
        """The template of the file's name; "" where upstream has none."""
        return urlsplit(self.urls[0]).path.rpartition("/")[2] if self.urls else ""

    def version_in(self, template: str, text: str) -> str | None:
        """The version of which the template makes this text, None when of none."""
        pattern = re.escape(template)
        spelling: Spelling = "plain" if "{version}" in template else self.spelling
        pattern = pattern.replace(re.escape("{version}"), _HOLE).replace(re.escape("{spelled}"), _HOLE)
        found = re.fullmatch(pattern, text)
        return unspelled(found["version"], spelling) if found is not None else None

    def of_distribution(self, version: str) -> str:
        """The version as upstream orders its parts."""
        if self.distro_version is not None:
            pattern, template = self.distro_version
            found = re.fullmatch(pattern, version)
            return found.expand(template) if found is not None else version
        return version


def load_rules(path: Path = DATA / "updates.toml") -> Mapping[str, Rule]:
    """Reads the rules. Raises Failure, which names table and key."""
    try:
        return parse_rules(path.read_text())
    except OSError as error:
        raise _bad("the file", str(error)) from error


def parse_rules(text: str) -> Mapping[str, Rule]:
    """The same from the file's text: that of the commit which is looked after."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _bad("the file", str(error)) from error
    return {name: _rule(name, table) for name, table in raw.items()}


def _rule(name: str, table: Any) -> Rule:
    known = set(Rule.__dataclass_fields__)
    if isinstance(table, dict) and set(table) - known:
        raise _bad(f"[{name}]", f"unknown: {', '.join(sorted(set(table) - known))}; known: {', '.join(sorted(known))}")
    try:
        rule = msgspec.convert(table, Rule)
        for url in rule.urls_of("1.2.3"):
            if urlsplit(url).scheme not in {"http", "https"}:
                raise _bad(f"[{name}] urls", f"{url!r} is no http or https URL")
    except (msgspec.ValidationError, ValueError) as error:
        raise _bad(f"[{name}]", str(error)) from error
    if rule.pgp and not rule.pgp.fingerprints:
        raise _bad(f"[{name}] pgp.fingerprints", "it names none, so that no signature would be good")
    if bool(rule.unsigned) == bool(rule.sigstore or rule.pgp):
        raise _bad(f"[{name}]", "it needs sigstore or pgp, or else `unsigned` with the reason why there is neither")
    if rule.sigstore and not (rule.sigstore.identity and rule.sigstore.issuer):
        # The library takes an empty issuer for any: whoever has an account somewhere would be the release manager.
        raise _bad(f"[{name}] sigstore", "identity and issuer have to say who signs, and who vouches for that")
    for fingerprint in rule.pgp.fingerprints if rule.pgp else ():
        if not re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", fingerprint):
            raise _bad(f"[{name}] pgp.fingerprints", f"{fingerprint!r} is no whole fingerprint in capital hex digits")
    return rule


def _bad(where: str, found: str) -> Failure:
    return Failure(
        "updates", f"updates.toml: {where} can't be read", found=found, todo="Mend cpython-unix/updates.toml."
    )
