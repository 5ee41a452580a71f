"""The places of settings.toml."""

from __future__ import annotations

from dataclasses import replace

import httpx

from master.home import Home
from master.release.places.base import Place
from master.release.places.directory import Directory
from master.secrets.places import secrets_of
from master.settings import Settings

REHEARSAL = "rehearsal"
QUICK_S = 4.0


def places_of(settings: Settings, home: Home, *, rehearsal: bool, quick: bool = False) -> list[Place]:
    """Where a release goes, in the order of the settings; a rehearsal into a directory of its own, whatever they say.

    Opens no connection and reads no key: whoever is asked for something first does. quick: a place that is slow is
    given up after a few seconds, for a form that only wants to know what is published.
    """
    if rehearsal:
        return [Directory(home.root / REHEARSAL, rehearsal=True)]
    return [_place(name, settings, home, quick=quick) for name in settings.release.places]


def _place(name: str, settings: Settings, home: Home, *, quick: bool) -> Place:
    chosen, at = settings.release, secrets_of(home.root, settings.secrets)
    if name == "s3":
        # Clients are large; a farm that has no such place never loads them.
        from master.bucket.access import Access
        from master.release.places.s3 import S3

        keys = chosen.s3_credentials_file
        access = Access(
            chosen.s3_bucket or "", chosen.s3_prefix, chosen.s3_endpoint, chosen.s3_region,
            at.place(keys) if keys is not None else None,
            authority=home.root / chosen.s3_ca_file if chosen.s3_ca_file is not None else None,
        )  # fmt: skip
        if quick:
            access = replace(access, connect_s=QUICK_S, read_s=QUICK_S)
        return S3(access, parallel=chosen.parallel)
    if name == "github":
        from master.release.places.github import GitHub
        from master.release.places.github_api import TIMEOUT, Api

        token = at.place(chosen.github_token_file or "")
        timeout = httpx.Timeout(QUICK_S) if quick else TIMEOUT
        api = Api(
            chosen.github_api, chosen.github_repository or "", token, timeout=timeout, uploads=chosen.parallel
        )  # fmt: skip
        return GitHub(api, parallel=chosen.parallel, pace_s=chosen.pace_s)
    return Directory(home.root / chosen.directory, parallel=chosen.parallel)
