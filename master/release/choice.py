"""`[release]` of settings.toml: which set a release needs, who may make one, and where it goes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from master.complaint import URL, Complaint

PlaceName = Literal["directory", "s3", "github"]
PLACES: tuple[PlaceName, ...] = get_args(PlaceName)
REPOSITORY = re.compile(r"\A[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+\Z")


@dataclass(frozen=True)
class Release:
    """Releases of commits of the branch.

    set: of matrix.toml, what has to be built; cells: instead, by builder names. allow_unvalidated: release archives
    whose FIPS provider is not CMVP-validated, and say so on the release. places: where to, in this order. url: where a
    release's files can be had by users, with {tag} in it; by default the first place's own address.
    directory: below MINT_HOME or absolute. s3_*: bucket, key prefix, endpoint (none: the cloud's own), region, and a
    file with `access_key_id = ...` and `secret_access_key = ...` in it (none: the usual chain of the client), and one
    with the certificate of the authority that vouches for the service (none: those that browsers trust).
    github_*: OWNER/NAME, a file with a token, the API's address. parallel: uploads at once; pace_s: seconds between two
    requests that create something.
    """

    set: str = "release"
    cells: list[str] | None = None
    allow_unvalidated: bool = False
    places: list[PlaceName] = field(default_factory=lambda: ["directory"])
    url: str | None = None
    directory: str = "releases"
    s3_bucket: str | None = None
    s3_prefix: str = ""
    s3_endpoint: str | None = None
    s3_region: str = "us-east-1"
    s3_credentials_file: str | None = None
    s3_ca_file: str | None = None
    github_repository: str | None = None
    github_token_file: str | None = None
    github_api: str = "https://api.github.com"
    parallel: int = 4
    pace_s: float = 1.0


def complaint(chosen: Release) -> Complaint | None:
    """What types can't say of `[release]`, or None."""
    needs = {"s3": ("s3_bucket",), "github": ("github_repository", "github_token_file")}
    if not chosen.places or len(set(chosen.places)) != len(chosen.places):
        return Complaint("places", "each place once, and at least one", ", ".join(PLACES), repr(chosen.places))
    for place in chosen.places:
        for key in needs.get(place, ()):
            if getattr(chosen, key) is None:
                return Complaint(key, f"the place {place!r} needs it", f"{key} = ...", "nothing")
    if chosen.github_repository is not None and not REPOSITORY.match(chosen.github_repository):
        return Complaint("github_repository", "this is no repository", "OWNER/NAME", repr(chosen.github_repository))
    for key in ("url", "s3_endpoint", "github_api"):
        value = getattr(chosen, key)
        if value is not None and not URL.match(value):
            return Complaint(key, "this is no address", "http(s)://host/...", repr(value))
    if chosen.url is not None and "{tag}" not in chosen.url:
        return Complaint("url", "the tag has no place in it", "https://host/.../{tag}", repr(chosen.url))
    if not 1 <= chosen.parallel <= 16:
        return Complaint("parallel", "too few or too many uploads at once", "1 to 16", repr(chosen.parallel))
    if not 0 <= chosen.pace_s <= 60:
        return Complaint("pace_s", "this pace can't be kept", "0 to 60 seconds", repr(chosen.pace_s))
    return None
