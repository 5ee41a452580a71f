"""A bare mirror of the configured repository, in which the forms look commits up without blocking the master.

One fetches into it at a time, of whatever process: git ends a fetch whose branches another one moved meanwhile.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from buildbot.util.runprocess import run_process
from twisted.internet import threads

from steps.checkout import COMMIT
from workers.errors import Failure
from workers.room import in_use

_INIT = ("init", "--quiet", "--bare")
_FETCH = ("fetch", "--quiet", "--prune", "--no-tags")
_BRANCHES = "+refs/heads/*:refs/heads/*"
_FETCH_LIMIT_S = 60


@contextmanager
def _fetching(path: Path) -> Iterator[None]:
    """Waits until nobody else fetches into the mirror, and keeps others waiting."""
    path.mkdir(parents=True, exist_ok=True)
    with in_use(path, alone=True):
        yield


def fetch_now(path: Path, url: str) -> None:
    """Brings a mirror up to date without a reactor: for the command line. Raises Failure."""
    with _fetching(path):
        _fetch_now(path, url)


def _fetch_now(path: Path, url: str) -> None:
    commands = [["-C", str(path), *_FETCH, url, _BRANCHES]]
    if not (path / "HEAD").exists():
        commands.insert(0, [*_INIT, str(path)])
    for command in commands:
        try:
            done = subprocess.run(
                ["git", *command], capture_output=True, text=True, check=False, timeout=_FETCH_LIMIT_S,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            said = done.stderr.strip() if done.returncode else ""
        except subprocess.TimeoutExpired:
            said = f"no answer within {_FETCH_LIMIT_S} s"
        if said:
            raise _unfetched(url, said)


def has_on_branch(path: Path, commit: str, branch: str) -> bool:
    """Whether a branch of the mirror has the commit, as far as it was fetched. For processes without a reactor."""
    command = ["git", "-C", str(path), "merge-base", "--is-ancestor", commit, f"refs/heads/{branch}"]
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0


def _unfetched(url: str, said: str) -> Failure:
    return Failure(
        "repository", f"{url} could not be fetched", found=said[-500:], todo="See [repository] url in settings.toml."
    )


class Mirror:
    """`path`: the bare repository, made on first use. `url`: where it fetches from."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url

    async def _git(self, reactor: Any, *arguments: str) -> tuple[int, str, str]:
        # A fetch over a network may take its time; a person waits at the form, so not for ever.
        code, out, err = await run_process(
            reactor, ["git", *arguments], workdir=str(self.path.parent), collect_stdout=True, collect_stderr=True,
            runtime_timeout=_FETCH_LIMIT_S, io_timeout=_FETCH_LIMIT_S,
        )  # fmt: skip
        return code, out.decode("utf-8", "replace").strip(), err.decode("utf-8", "replace").strip()

    async def _in(self, reactor: Any, *arguments: str) -> tuple[int, str, str]:
        return await self._git(reactor, "-C", str(self.path), *arguments)

    async def _fetch(self, reactor: Any) -> None:
        fetching = _fetching(self.path)
        await threads.deferToThread(fetching.__enter__)
        try:
            await self._fetch_alone(reactor)
        finally:
            fetching.__exit__(None, None, None)

    async def _fetch_alone(self, reactor: Any) -> None:
        if not (self.path / "HEAD").exists():
            await self._git(reactor, *_INIT, str(self.path))
        code, _, err = await self._in(reactor, *_FETCH, self.url, _BRANCHES)
        if code:
            raise _unfetched(self.url, err or f"git ended with {code}")
        # A checkout of a single commit has no branch, as continuous integration makes them.
        await self._in(reactor, "fetch", "--quiet", "--no-tags", self.url, "+HEAD:refs/head-of-it/HEAD")

    async def resolve(self, reactor: Any, revision: str, branch: str) -> tuple[str, str]:
        """The full commit and a branch that has it: `branch` itself wherever it can be.

        An empty revision is the head of `branch`. Raises Failure when the repository has no such commit or branch.
        """
        known = revision and COMMIT.match(revision) and await self._branch_of(reactor, revision, branch)
        if known:
            return revision, known
        await self._fetch(reactor)
        if not revision:
            name = f"refs/heads/{branch}^{{commit}}"
            code, head, _ = await self._in(reactor, "rev-parse", "--verify", "--quiet", name)
            if code:
                raise Failure("repository", f"{self.url} has no branch {branch}", todo="See [repository] branch.")
            return head, branch
        found = await self._branch_of(reactor, revision, branch)
        if not found:
            raise Failure(
                "repository",
                f"no branch of {self.url} has the commit {revision}",
                todo="Commit or push it to a branch.",
            )
        return revision, found

    async def on_branch(self, reactor: Any, commit: str, branch: str) -> bool:
        """Whether the branch has the commit, as the repository stands now: what the mirror knew before may have been
        taken off the branch since. Raises Failure when it can't be fetched."""
        await self._fetch(reactor)
        code, _, _ = await self._in(reactor, "merge-base", "--is-ancestor", commit, f"refs/heads/{branch}")
        return code == 0

    async def _branch_of(self, reactor: Any, commit: str, preferred: str) -> str | None:
        if not (self.path / "HEAD").exists():
            return None
        code, out, _ = await self._in(
            reactor,
            "for-each-ref",
            "--format=%(refname:lstrip=2)",
            "--contains",
            commit,
            "refs/heads",
            "refs/head-of-it",
        )
        branches = out.splitlines() if code == 0 else []
        return preferred if preferred in branches else next(iter(branches), None)
