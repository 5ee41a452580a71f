"""A secret in a file of its own."""

from __future__ import annotations

from pathlib import Path

from workers.errors import Failure


def read_secret_file(path: Path) -> str:
    """The secret in a file that not everyone may read. Raises Failure, in whose text the secret never is."""
    try:
        mode = path.stat().st_mode & 0o777
        if mode & 0o007:
            raise Failure(
                "secrets", f"{path} can be read by everyone", wanted="a file for its owner only", found=oct(mode),
                todo=f"chmod 600 {path}, and change the secret: others may have read it.",
            )  # fmt: skip
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(
            "secrets", f"the secret in {path} can't be read", found=type(error).__name__,
            todo="Make the file, or correct its name in settings.toml.",
        ) from error  # fmt: skip
    if not text:
        raise Failure("secrets", f"{path} is empty", wanted="a secret", todo="Write the secret into it.")
    return text
