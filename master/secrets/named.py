"""All secrets that a farm's settings name, in one place: whether each is there, and what is not for a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from master.secrets.choice import NAMED
from master.secrets.places import read, secrets_of
from workers.errors import Failure

if TYPE_CHECKING:
    from master.home import Home
    from master.settings import Settings


def named(settings: Settings) -> Mapping[tuple[str, str], str]:
    """What stands in the settings where a secret is wanted, by section and key."""
    wanted: dict[tuple[str, str], str | None] = {
        ("database", "password_file"): settings.database.password_file,
        ("access", "github_client_secret_file"): settings.access.github_client_secret_file,
        ("signing", "pin_file"): settings.signing.pin_file,
        ("release", "github_token_file"): settings.release.github_token_file,
        ("release", "s3_credentials_file"): settings.release.s3_credentials_file,
        ("store", "credentials_file"): settings.store.credentials_file,
        ("notices", "smtp_password_file"): settings.notices.smtp_password_file,
        ("notices", "webhook_secret_file"): settings.notices.webhook_secret_file,
        ("backup", "passphrase_file"): settings.backup.passphrase_file,
        ("github", "token_file"): settings.github.token_file,
        ("github", "webhook_secret_file"): settings.github.webhook_secret_file,
    }
    for number, worker in enumerate(settings.workers or []):
        wanted[f"workers[{number}]", "password_file"] = worker.password_file
        if worker.kubernetes is not None:
            wanted[f"workers[{number}].kubernetes", "token_file"] = worker.kubernetes.token_file
    return {key: value for key, value in wanted.items() if value is not None}


def files_of(home: Home, settings: Settings) -> tuple[list[Path], list[Path]]:
    """The files with secrets, and directories of them, that the settings name."""
    chosen, where = settings.secrets, secrets_of(home.root, settings.secrets)
    places = [where.place(one) for one in named(settings).values()]
    files = [one for one in places if isinstance(one, Path)]
    own = (chosen.gpg_passphrase_file, chosen.vault_token_file, chosen.vault_secret_id_file)
    files += [home.root / one for one in own if one is not None]
    directories = [home.root / one for one in (chosen.directory, chosen.gpg_home) if one is not None]
    return files, directories


def require_all(home: Home, settings: Settings) -> None:
    """Reads each secret once. Raises Failure that names those which can't be had, and repeats nothing of any."""
    where = secrets_of(home.root, settings.secrets)
    problems = []
    for (section, key), said in named(settings).items():
        place = where.place(said)
        try:
            read(place)
        except Failure as failure:
            told = f"{failure.what}{f' ({failure.found})' if failure.found else ''}"
            problems.append(f"[{section.partition('[')[0]}] {key} = {said!r}: {told}")
    if problems:
        named_ones = any(NAMED in one for one in problems)
        raise Failure(
            "secrets", f"{len(problems)} of the secrets that settings.toml names can't be had",
            wanted="each of them, readable by the farm's own user", found="\n          ".join(problems),
            todo="Put them where the settings say; docs/secrets.md has how." + (
                f" [secrets] kind is {settings.secrets.kind!r}." if named_ones else ""),
        )  # fmt: skip
