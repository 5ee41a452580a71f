"""Where users get the files of a release."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from master.home import Home
from master.release.choice import PlaceName, Release


def url_of(chosen: Release, home: Home, tag: str) -> str:
    """The address below which the files of a tag lie, without a slash at its end: what `[release] url` says, else the
    first place's own. A rehearsal has that of the real release, so that its files are the same.
    """
    if chosen.url is not None:
        return chosen.url.replace("{tag}", tag).rstrip("/")
    return own_url(chosen.places[0], chosen, home, tag)


def own_url(place: PlaceName, chosen: Release, home: Home, tag: str) -> str:
    """A place's own address of a tag."""
    if place == "github":
        return f"{_forge(chosen.github_api)}/{chosen.github_repository}/releases/download/{tag}"
    if place == "s3":
        own = f"https://{chosen.s3_bucket}.s3.{chosen.s3_region}.amazonaws.com"
        bucket = own if chosen.s3_endpoint is None else f"{chosen.s3_endpoint.rstrip('/')}/{chosen.s3_bucket}"
        return "/".join(part for part in (bucket, chosen.s3_prefix.strip("/"), tag) if part)
    return f"file://{quote(str(home.root / chosen.directory / tag))}"


def _forge(api: str) -> str:
    """The address of GitHub's pages by that of its API: its own, or one of an enterprise's own server."""
    parts = urlsplit(api)
    host = "github.com" if parts.netloc == "api.github.com" else parts.netloc
    return f"{parts.scheme}://{host}"


def page_of(url: str) -> str:
    """The release's page: GitHub's own, or the one that is published."""
    before, download, tag = url.rpartition("/releases/download/")
    return f"{before}/releases/tag/{tag}" if download else f"{url}/index.html"
