"""`[retention]` and `[backup]` of settings.toml: what is dropped when, and where copies are kept."""

from __future__ import annotations

from dataclasses import dataclass

from master.complaint import Complaint


@dataclass(frozen=True)
class Retention:
    """What the nightly housekeeping drops; nothing of a released commit, ever.

    hour: of the day, in the master's time zone. minutes: how long it may take; what is left waits for the next night.
    keep_builds: archives beyond each cell's newest so many; all are kept without it. build_days: rows of older builds,
    with their steps, that have no archive in the store; kept for ever without it. upload_hours: for what a broken build
    left.
    """

    hour: int = 4
    minutes: int = 30
    keep_builds: int | None = None
    build_days: int | None = None
    upload_hours: int = 24


@dataclass(frozen=True)
class Backup:
    """A backup every night, before anything is dropped. directory: relative to MINT_HOME; none without it.

    keep: how many. passphrase_file: keeps keys and passwords too, encrypted with what it says. link: hard links.
    """

    directory: str | None = None
    keep: int = 14
    passphrase_file: str | None = None
    link: bool = False


def complaint(chosen: Retention) -> Complaint | None:
    """What types can't say of `[retention]`, or None."""
    if not 0 <= chosen.hour <= 23:
        return Complaint("hour", "this is no hour of a day", "0 to 23", str(chosen.hour))
    for key in ("minutes", "keep_builds", "build_days", "upload_hours"):
        value = getattr(chosen, key)
        if value is not None and value < 1:
            return Complaint(key, "this would keep nothing", "1 or more, or leave it out", str(value))
    return None


def backup_complaint(chosen: Backup) -> Complaint | None:
    """What types can't say of `[backup]`, or None."""
    if chosen.keep < 1:
        return Complaint("keep", "this would keep nothing", "1 or more", str(chosen.keep))
    if chosen.directory is None and chosen.passphrase_file is not None:
        return Complaint("passphrase_file", "there is no backup to encrypt", "a directory, too", chosen.passphrase_file)
    return None
