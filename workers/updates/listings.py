"""What announces releases, parsed: directory listings, GitHub's releases, SQLite's download page. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import msgspec

from workers.sources.outcome import Missed
from workers.updates.rules import Announced, Rule
from workers.updates.versions import is_prerelease

_DATE = re.compile(r"\b(\d{4}-\d\d-\d\d|\d\d-[A-Z][a-z]{2}-\d{4})\b")


@dataclass(frozen=True)
class Announcement:
    """A release that a list has. url: of its file. released: day in ISO form, "" where the list does not say.

    digest: `sha256:…` or `sha3_256:…`, where the list has one. certain: the list names the very file. refused: why it
    is no release to take, "" when it is.
    """

    version: str
    url: str
    released: str = ""
    digest: str = ""
    certain: bool = False
    refused: str = ""


def announcements(data: bytes, rule: Rule, listed: Announced, address: str) -> list[Announcement]:
    """The releases in what `address` answered. Raises Missed when it is no such list."""
    if listed.shape == "github":
        return _github(data, rule, listed)
    text = data.decode("utf-8", "replace")
    if listed.shape == "sqlite":
        return _sqlite(text, address)
    return directory(text, rule, listed.entry or rule.file, address)


class _Links(HTMLParser):
    """The links of a page, each with the text that follows it up to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.append((dict(attrs).get("href") or "", ""))
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self.links and not self._inside:
            href, text = self.links[-1]
            self.links[-1] = (href, text + data)


def _day(text: str) -> str:
    found = _DATE.search(text)
    if found is None:
        return ""
    try:
        return datetime.strptime(found[1], "%Y-%m-%d" if found[1][0:4].isdigit() else "%d-%b-%Y").date().isoformat()
    except ValueError:
        return ""


def directory(text: str, rule: Rule, entry: str, address: str) -> list[Announcement]:
    """The entries of a directory listing, as Apache, nginx and their like write it.

    Raises Missed when it has no link at all: an error page with status 200, or half a page.
    """
    parser = _Links()
    try:
        parser.feed(text)
    except AssertionError as error:  # how it says that it can't read a declaration
        raise Missed(f"it is no page that can be read, so no directory listing ({error})") from error
    if not parser.links:
        raise Missed("it has no links, so it is no directory listing")
    found: dict[str, Announcement] = {}
    for href, after in parser.links:
        try:
            target = urljoin(address, href)
        except ValueError:  # no address at all
            continue
        if urlsplit(target).netloc != urlsplit(address).netloc or not target.startswith(address):
            continue
        name = unquote(urlsplit(target).path)[len(unquote(urlsplit(address).path)) :]
        version = rule.version_in(entry, name)
        if version is None:
            continue
        is_file = entry == rule.file
        url = target if is_file else next(iter(rule.urls_of(version)), target)
        found.setdefault(version, Announcement(version, url, _day(after), certain=is_file, refused=_pre(version)))
    return list(found.values())


def _pre(version: str) -> str:
    return "a pre-release" if is_prerelease(version) else ""


class _Asset(msgspec.Struct):
    name: str
    browser_download_url: str = ""
    digest: str | None = None


class _Release(msgspec.Struct):
    tag_name: str
    draft: bool = False
    prerelease: bool = False
    published_at: str | None = None
    assets: tuple[_Asset, ...] = ()


def _github(data: bytes, rule: Rule, listed: Announced) -> list[Announcement]:
    try:
        releases = msgspec.json.decode(data, type=tuple[_Release, ...])
    except msgspec.MsgspecError as error:
        raise Missed(f"it is no list of GitHub's releases ({error})") from error
    found = []
    for release in releases:
        version = rule.version_in(listed.entry, release.tag_name)
        if version is None or release.draft:
            continue
        url = rule.urls_of(version)[0]
        asset = next((one for one in release.assets if one.name == rule.filled(rule.file, version)), None)
        refused = "upstream marks it as a pre-release" if release.prerelease else _pre(version)
        # A tag's own archive is no asset; a release's tarball that is none was taken back, or is still to come.
        if "/releases/download/" in url and asset is None:
            refused = refused or "its tarball is not among the release's files"
        digest = asset.digest if asset is not None and asset.digest else ""
        day = (release.published_at or "")[:10]
        found.append(Announcement(version, url, day, digest, asset is not None, refused))
    return found


def _sqlite(text: str, address: str) -> list[Announcement]:
    """The comment that its makers put there for programs: PRODUCT,VERSION,RELATIVE-URL,SIZE,SHA3-HASH."""
    rows = [line.split(",") for line in text.splitlines() if line.startswith("PRODUCT,")]
    if not rows:
        raise Missed("it has no table of products")
    found = []
    for row in rows:
        if len(row) == 5 and re.search(r"/sqlite-autoconf-\d+\.tar\.gz\Z", row[2]):
            digest = f"sha3_256:{row[4].strip()}"
            found.append(Announcement(row[1], urljoin(address, row[2]), "", digest, certain=True, refused=_pre(row[1])))
    return found
