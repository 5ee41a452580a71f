"""Tokens and the webhook's secret, read from where they are. Nothing of what such a place holds is ever repeated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from master.secrets.places import Place
from workers.errors import Failure


@dataclass(frozen=True)
class Speaker:
    """Who complains of a file: the part of pymint, whose secret it is, the setting that names the file."""

    where: str
    whose: str
    setting: str


def secret_of(path: Place, what: str, speaker: Speaker) -> str:
    """The secret at a place. what: "token", "secret". Raises Failure, which repeats nothing of it."""
    whose = speaker.whose
    secret = _in_file(path, what, speaker) if isinstance(path, Path) else path.read()
    # Tokens come in several lengths and shapes, so only what no header can hold is refused.
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise Failure(
            speaker.where, f"{whose}: {path} holds no {what}", wanted=f"the {what} on a line of its own",
            found="something else",
            todo="Write it anew; what it holds is not repeated here.",
        )  # fmt: skip
    return secret


def _in_file(path: Path, what: str, speaker: Speaker) -> str:
    whose = speaker.whose
    try:
        if path.stat().st_mode & 0o007:
            raise Failure(
                speaker.where, f"{whose}: everybody on this machine may read {path}", wanted="mode 0600 or 0640",
                found=oct(path.stat().st_mode & 0o777), todo=f"chmod 600 {path}, and consider another {what}.",
            )  # fmt: skip
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(
            speaker.where, f"{whose}: the {what} in {path} can't be read", found=getattr(error, "strerror", None),
            todo=f"See {speaker.setting}.",
        ) from None  # fmt: skip
