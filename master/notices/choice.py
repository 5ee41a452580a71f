"""`[notices]` of settings.toml: who hears of what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from master.complaint import URL, Complaint

Kind = Literal[
    "build_failed", "not_signed", "released", "release_failed", "housekeeping_failed", "worker_lost", "not_well"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
_MAIL = re.compile(r"\A[^\s@<>,]+@[^\s@<>,]+\Z")


@dataclass(frozen=True)
class Notices:
    """mail_to: addresses. mail_from: the sender. smtp_…: the mail server; smtp_tls: `starttls`, `tls` or `none`.

    webhook: an address that gets each notice as JSON; webhook_secret_file: with what it is signed. kinds: of notices.
    worker_minutes: a worker that is away for so long is lost.
    """

    mail_to: list[str] = field(default_factory=list)
    mail_from: str | None = None
    smtp_host: str = "localhost"
    smtp_port: int = 25
    smtp_tls: Literal["none", "starttls", "tls"] = "none"
    smtp_user: str | None = None
    smtp_password_file: str | None = None
    webhook: str | None = None
    webhook_secret_file: str | None = None
    kinds: list[Kind] = field(default_factory=lambda: list(KINDS))
    worker_minutes: int = 15


def complaint(chosen: Notices) -> Complaint | None:
    """What types can't say of `[notices]`, or None."""
    for address in [*chosen.mail_to, *([chosen.mail_from] if chosen.mail_from is not None else [])]:
        if not _MAIL.match(address):
            key = "mail_from" if address == chosen.mail_from else "mail_to"
            return Complaint(key, "this is no mail address", "name@host", repr(address))
    if chosen.mail_to and chosen.mail_from is None:
        return Complaint("mail_from", "mail needs a sender", "name@host", "none")
    if (chosen.smtp_user is None) != (chosen.smtp_password_file is None):
        return Complaint("smtp_user", "a user has a password, and no user has none", "both or neither", "one of them")
    if chosen.smtp_user is not None and chosen.smtp_tls == "none":
        return Complaint("smtp_tls", "a password would be sent in the clear", "starttls or tls", "none")
    if chosen.webhook is not None and not URL.match(chosen.webhook):
        return Complaint("webhook", "this is no address", "http(s)://host/…", repr(chosen.webhook))
    if chosen.worker_minutes < 1:
        return Complaint("worker_minutes", "this is no time", "1 or more", str(chosen.worker_minutes))
    return None
