"""Upstreams on loopback for tests: tarballs, keys that sign them, rules and pins of them."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.unit.sources_server import sha


def tarball(top: str, files: Mapping[str, bytes] | None = None, *, at: int = 1_790_000_000) -> bytes:
    """A small .tar.gz with one folder at its top. at: the time of its files; 1790000000 is 2026-09-21."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in {"LICENSE": b"do as you like\n", **(files or {})}.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mtime = len(content), at
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


class Signer:
    """An OpenPGP key of a test's own."""

    def __init__(self, home: Path, name: str) -> None:
        home.mkdir(mode=0o700, parents=True)
        self._gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
        self._home = home
        subprocess.run([*self._gpg, "--passphrase", "", "--quick-gen-key", name, "ed25519", "sign"], check=True)
        listed = subprocess.run(
            [*self._gpg, "--list-keys", "--with-colons"], capture_output=True, text=True, check=True
        )
        self.fingerprint = next(line.split(":")[9] for line in listed.stdout.splitlines() if line.startswith("fpr:"))
        self.public = subprocess.run([*self._gpg, "--armor", "--export"], capture_output=True, check=True).stdout

    def sign(self, content: bytes) -> bytes:
        """A detached, armoured signature."""
        done = subprocess.run([*self._gpg, "--armor", "--detach-sign"], input=content, capture_output=True, check=True)
        return done.stdout

    def close(self) -> None:
        """Ends the agent that gpg started."""
        subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "all"], check=False)


def pins_toml(name: str, version: str, url: str, content: bytes) -> str:
    """sources.toml of one source."""
    return f"""# What is pinned.

["{name}"]
licences = ["Zlib"]
licence_files = ["LICENSE"]
cpe = "cpe:2.3:a:example:{name.replace(".", "")}:{{version}}:*:*:*:*:*:*:*"

# The newest.
[["{name}".pins]]
version = "{version}"
urls = ["{url}"]
sha256 = "{sha(content)}"
size = {len(content)}
released = "2026-01-05"
"""


def directory_page(entries: Mapping[str, str]) -> bytes:
    """A listing as nginx writes it. entries: name to day, such as 05-Jun-2026."""
    rows = "".join(f'<a href="{name}">{name}</a>{" " * 20}{day} 12:30{" " * 12}-\n' for name, day in entries.items())
    return f'<html><body><h1>Index of /</h1><pre><a href="../">../</a>\n{rows}</pre></body></html>'.encode()
