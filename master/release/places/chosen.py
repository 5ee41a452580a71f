"""The places of settings.toml, and what is taken there."""

from __future__ import annotations

from pathlib import Path

from master.home import Home
from master.release.places.base import Place, Trouble
from master.release.places.directory import Directory
from master.settings import Settings
from workers.errors import Failure

REHEARSAL = "rehearsal"


def places_of(settings: Settings, home: Home, *, rehearsal: bool) -> list[Place]:
    """Where a release goes, in the order of the settings; a rehearsal into a directory of its own, whatever they say.

    Opens no connection and reads no key: whoever is asked for something first does.
    """
    if rehearsal:
        return [Directory(home.root / REHEARSAL, rehearsal=True)]
    return [_place(name, settings, home) for name in settings.release.places]


def _place(name: str, settings: Settings, home: Home) -> Place:
    chosen = settings.release
    if name == "s3":
        # Clients are large; a farm that has no such place never loads them.
        from master.release.places.s3 import S3
        from master.release.places.s3_client import Access

        keys = chosen.s3_credentials_file
        access = Access(
            chosen.s3_bucket or "", chosen.s3_prefix, chosen.s3_endpoint, chosen.s3_region,
            home.root / keys if keys is not None else None,
        )  # fmt: skip
        return S3(access, parallel=chosen.parallel)
    if name == "github":
        from master.release.places.github import GitHub
        from master.release.places.github_api import Api

        token = home.root / Path(chosen.github_token_file or "")
        api = Api(chosen.github_api, chosen.github_repository or "", token, uploads=chosen.parallel)
        return GitHub(api, parallel=chosen.parallel, pace_s=chosen.pace_s)
    return Directory(home.root / chosen.directory, parallel=chosen.parallel)


def taken(place: Place, tag: str) -> str | None:
    """The identity of what is published under a tag. Asks once, for whoever waits for the answer.

    Raises Failure, in words, when the place does not answer: that says nothing about the tag.
    """
    try:
        return place.published(tag)
    except Trouble as trouble:
        raise Failure(
            "publish", f"{place.name} could not be asked whether {tag} is taken", found=trouble.what,
            todo="The release itself asks again before it changes anything.",
        ) from trouble  # fmt: skip
