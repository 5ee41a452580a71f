"""The branches on which new pins stand: written with git's own tools into the master's mirror, and pushed. No checkout.

Never the farm's main branch: all that is pushed begins with `bump/`.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from workers.errors import Failure

PREFIX = "bump/"
_BRANCH = re.compile(r"\Abump/[A-Za-z0-9][A-Za-z0-9._+-]{0,150}\Z")
_LIMIT_S = 120


def branch_of(source: str, version: str) -> str:
    """Where a source's new pin stands: `bump/zlib-1.3.3`. Raises Failure for a name that git or Buildbot won't take."""
    name = f"{PREFIX}{source}-{version}"
    if not _BRANCH.match(name) or ".." in name or name.endswith((".lock", ".")):
        raise Failure(
            "updates", f"{source} {version} can't have a branch", wanted="letters, digits and . _ + -",
            found=repr(name), todo="Pin it by hand: docs/pins.md.",
        )  # fmt: skip
    return name


@dataclass(frozen=True)
class Bumps:
    """The branches of one repository. path: the mirror; push_to: where they are pushed; author: as git has it."""

    path: Path
    push_to: str
    author: str

    def _git(self, *arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None) -> bytes:
        try:
            done = subprocess.run(
                ["git", "-C", str(self.path), *arguments], input=stdin, capture_output=True, check=False,
                timeout=_LIMIT_S, env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise self._failed(arguments[0], f"no answer within {_LIMIT_S} s") from error
        if done.returncode:
            raise self._failed(arguments[0], done.stderr.decode("utf-8", "replace").strip()[-600:])
        return done.stdout

    def _failed(self, what: str, said: str) -> Failure:
        todo = "By hand it tells more. Pushing needs the right to: [updates] push_to in settings.toml."
        return Failure("updates", f"`git {what}` did not work in {self.path}", found=said or "no word", todo=todo)

    def head(self, branch: str) -> str | None:
        """The commit at a branch's head, as far as it was fetched; None when there is no such branch."""
        found = self._git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}").decode().split()
        return found[0] if found else None

    def text(self, commit: str, path: str) -> str | None:
        """A file of a commit; None when it has no such file."""
        listed = self._git("ls-tree", commit, "--", path).decode()
        return self._git("cat-file", "blob", f"{commit}:{path}").decode() if listed else None

    def parent(self, commit: str) -> str:
        """The commit before."""
        return self._git("rev-parse", f"{commit}^").decode().strip()

    def author_of(self, commit: str) -> str:
        """Who made a commit, as git has it."""
        return self._git("show", "-s", "--format=%an <%ae>", commit).decode().strip()

    def commit(self, parent: str, path: str, text: str, message: str) -> str:
        """A commit that changes one file; it is on no branch yet."""
        name, _, address = self.author.partition(" <")
        identity = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", address.rstrip(">")))
        }
        blob = self._git("hash-object", "-w", "--stdin", stdin=text.encode()).decode().strip()
        with tempfile.TemporaryDirectory(prefix="pymint-index.") as directory:
            index = {"GIT_INDEX_FILE": str(Path(directory) / "index")}
            self._git("read-tree", parent, environment=index)
            mode = self._git("ls-tree", "--format=%(objectmode)", parent, "--", path).decode().strip() or "100644"
            self._git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", environment=index)
            tree = self._git("write-tree", environment=index).decode().strip()
        made = self._git("commit-tree", tree, "-p", parent, "-F", "-", stdin=message.encode(), environment=identity)
        return made.decode().strip()

    def push(self, commit: str, branch: str, was: str | None) -> None:
        """Puts a branch where it is pushed to commit. was: its head until now, which somebody may have moved since.

        Raises Failure, also when it was moved, and for any branch but those for new pins.
        """
        if not _BRANCH.match(branch):
            raise Failure(
                "updates", f"{branch} is no branch for new pins", wanted=f"{PREFIX}…", found=branch,
                todo="This is a fault of pymint.",
            )  # fmt: skip
        lease = f"--force-with-lease=refs/heads/{branch}:{was or ''}"
        self._git("push", "--quiet", lease, self.push_to, f"{commit}:refs/heads/{branch}")
        self._git("update-ref", f"refs/heads/{branch}", commit)
