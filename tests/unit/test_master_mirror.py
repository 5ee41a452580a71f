"""Looking commits up, in real repositories."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from buildbot.util import asyncSleep
from twisted.internet import defer, reactor, threads
from twisted.trial import unittest

from master.mirror import Mirror, fetch_now
from workers.errors import Failure
from workers.room import in_use

IDENTITY = ["-c", "user.name=t", "-c", "user.email=t@example.org"]


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *IDENTITY, *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(repository: Path, text: str) -> str:
    git(repository, "commit", "--quiet", "--allow-empty", "-m", text)
    return git(repository, "rev-parse", "HEAD")


class TestMirror(unittest.TestCase):
    def setUp(self) -> None:
        top = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, top)
        self.repository = top / "repository"
        self.repository.mkdir(parents=True)
        git(self.repository, "init", "--quiet", "--initial-branch=main")
        self.first = commit(self.repository, "first")
        self.mirror = Mirror(top.absolute() / "mirror.git", str(self.repository.absolute()))

    async def resolve(self, revision: str, branch: str = "main") -> tuple[str, str]:
        return await self.mirror.resolve(reactor, revision, branch)

    async def refusal(self, revision: str, branch: str = "main") -> str:
        try:
            await self.resolve(revision, branch)
        except Failure as failure:
            return str(failure)
        raise AssertionError("was not refused")

    async def test_nothing_is_the_head_of_the_branch_as_it_is_now(self) -> None:
        assert await self.resolve("") == (self.first, "main")
        second = commit(self.repository, "second")
        assert await self.resolve("") == (second, "main")

    async def test_a_commit_of_the_branch_is_of_the_branch(self) -> None:
        git(self.repository, "branch", "a-branch-before-main")
        commit(self.repository, "second")
        assert await self.resolve(self.first) == (self.first, "main")

    async def test_a_commit_of_another_branch_is_of_that_one(self) -> None:
        git(self.repository, "checkout", "--quiet", "-b", "topic")
        topic = commit(self.repository, "topic")
        git(self.repository, "checkout", "--quiet", "main")
        assert await self.resolve(topic) == (topic, "topic")

    async def test_a_checkout_without_a_branch_has_its_head(self) -> None:
        git(self.repository, "checkout", "--quiet", "--detach")
        detached = commit(self.repository, "detached")
        assert await self.resolve(detached) == (detached, "HEAD")

    async def test_what_was_just_committed_is_found(self) -> None:
        await self.resolve("")
        second = commit(self.repository, "second")
        assert await self.resolve(second) == (second, "main")

    async def test_what_is_not_there_is_said(self) -> None:
        assert "no branch of" in await self.refusal("a" * 40)
        assert "has no branch release" in await self.refusal("", "release")

    async def test_a_repository_that_is_not_there_is_named(self) -> None:
        self.mirror.url = "/no/such/repository"
        text = await self.refusal("")
        assert "/no/such/repository could not be fetched" in text
        assert "[repository] url" in text

    async def test_one_fetches_at_a_time(self) -> None:
        """A form of this master, and whatever else the farm's user starts beside it."""
        path, url = self.mirror.path, self.mirror.url
        path.mkdir()
        with in_use(path, alone=True):
            waiting: list[Any] = [
                threads.deferToThread(fetch_now, path, url),
                defer.ensureDeferred(self.resolve("")),
                defer.ensureDeferred(Mirror(path, url).on_branch(reactor, self.first, "main")),
            ]
            await asyncSleep(1.0)
            assert [one.called for one in waiting] == [False] * 3
            assert list(path.iterdir()) == []
        assert (await defer.gatherResults(waiting))[1:] == [(self.first, "main"), True]

    async def test_a_commit_that_was_taken_off_the_branch_is_not_on_it(self) -> None:
        """It may have been taken off because nobody is to have it."""
        second = commit(self.repository, "second")
        assert await self.mirror.on_branch(reactor, second, "main")
        git(self.repository, "reset", "--quiet", "--hard", self.first)
        assert not await self.mirror.on_branch(reactor, second, "main")
        assert await self.mirror.on_branch(reactor, self.first, "main")
