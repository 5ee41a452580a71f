"""`[github]` of settings.toml: the repository that is told of builds, and that tells of pushes and pull requests."""

from __future__ import annotations

from dataclasses import dataclass

from master.complaint import URL, Complaint
from master.release.choice import REPOSITORY


@dataclass(frozen=True)
class GitHub:
    """A repository on GitHub. Left out: nothing of this is on.

    repository: OWNER/NAME, of which [repository] url is a clone's address. token_file: what reads pull requests and
    writes statuses and comments. webhook_secret_file: what deliveries are signed with; without it none is taken, and
    the farm looks by itself. Both files are relative to MINT_HOME or absolute, and for their owner only.
    statuses, comments: whether commits and pull requests are told of their builds. pace_s: seconds between two requests
    that write something. poll_minutes: how often all open pull requests are looked at, whatever the hook said.
    """

    repository: str | None = None
    token_file: str | None = None
    webhook_secret_file: str | None = None
    api: str = "https://api.github.com"
    statuses: bool = True
    comments: bool = True
    pace_s: float = 1.0
    poll_minutes: float = 5.0


def complaint(chosen: GitHub) -> Complaint | None:
    """What types can't say of `[github]`, or None."""
    if chosen.repository is None:
        for key in ("token_file", "webhook_secret_file"):
            if getattr(chosen, key) is not None:
                return Complaint("repository", f"{key} is of no use without it", "OWNER/NAME", "nothing")
        return None
    if not REPOSITORY.match(chosen.repository):
        return Complaint("repository", "this is no repository", "OWNER/NAME", repr(chosen.repository))
    if chosen.token_file is None:
        return Complaint("token_file", "pull requests can't be read without it", "token_file = ...", "nothing")
    if not URL.match(chosen.api):
        return Complaint("api", "this is no address", "http(s)://host/...", repr(chosen.api))
    if not 0 <= chosen.pace_s <= 60:
        return Complaint("pace_s", "this pace can't be kept", "0 to 60 seconds", repr(chosen.pace_s))
    if not 0.01 <= chosen.poll_minutes <= 1440:
        return Complaint("poll_minutes", "this is no useful interval", "up to a day", repr(chosen.poll_minutes))
    return None
