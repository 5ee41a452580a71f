"""A store of `pass` of its own: a real gpg key with a passphrase, real entries."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PASSPHRASE = "gpg-Passphrase-of-the-test"
INSTALLED = shutil.which("pass") is not None and shutil.which("gpg") is not None
REASON = "pass is not installed: apt-get install pass"
NOBODY = "pymint@example.org"


@dataclass(frozen=True)
class Store:
    """root: of all of it, with a short path, since gpg's agent listens on a socket in there."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def gpg_home(self) -> Path:
        return self.root / "gpg"

    @property
    def passphrase_file(self) -> Path:
        return self.root / "passphrase"

    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.root), "GNUPGHOME": str(self.gpg_home),
            "PASSWORD_STORE_DIR": str(self.store),
        }  # fmt: skip

    def run(self, *command: str, said: str = "") -> None:
        done = subprocess.run(command, env=self.environment(), input=said, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def make(self) -> None:
        self.gpg_home.mkdir(mode=0o700)
        self.passphrase_file.write_text(PASSPHRASE)
        self.passphrase_file.chmod(0o600)
        self.run("gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase-file", str(self.passphrase_file),
                 "--quick-generate-key", NOBODY, "future-default", "default", "never")  # fmt: skip
        self.run("pass", "init", NOBODY)

    def put(self, name: str, text: str) -> None:
        self.run("pass", "insert", "--multiline", "--force", name, said=text)

    def forget(self) -> None:
        """What gpg's agent knows of the passphrase, and the agent itself."""
        self.run("gpgconf", "--kill", "all")

    def settings(self) -> str:
        """The lines of settings.toml."""
        return (
            f'[secrets]\nkind = "pass"\ndirectory = "{self.store}"\ngpg_home = "{self.gpg_home}"\n'
            f'gpg_passphrase_file = "{self.passphrase_file}"\n'
        )


@contextlib.contextmanager
def made() -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="gpg-") as place:
        one = Store(Path(place))
        one.make()
        try:
            yield one
        finally:
            one.forget()
