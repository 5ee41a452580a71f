"""What a key of settings.toml that names a secret means: a file, or `secret:NAME` for the provider of `[secrets]`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from buildbot.interfaces import IRenderable
from buildbot.plugins import util
from buildbot.process.properties import Properties
from twisted.internet import threads
from zope.interface import implementer

from workers.errors import Failure

PREFIX = "secret:"
# Also safe as an argument, as a file's name, and as Vault's path and field (`pymint/github|token`).
NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._/|-]{0,150}\Z")


def is_named(text: str) -> bool:
    return text.startswith(PREFIX)


def read_secret_file(path: Path) -> str:
    """The secret in a file that only its owner may read. Raises Failure, in whose text the secret never is."""
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


@implementer(IRenderable)
class _InFile:
    """Read when it is asked for, so that a new secret needs no restart."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def getRenderingFor(self, _: Any) -> Any:
        return threads.deferToThread(read_secret_file, self.path)


def secret(root: Path, named: str) -> Any:
    """As Buildbot renders it. root: where relative files are. Raises Failure for a file that is wrong already."""
    if is_named(named):
        return util.Secret(named.removeprefix(PREFIX))
    path = root / named
    read_secret_file(path)
    return _InFile(path)


async def told(master: Any, renderable: Any) -> str:
    """The secret itself, in the master."""
    said = Properties()
    said.master = master
    found: str = await said.render(renderable)
    return found
