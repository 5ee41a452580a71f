"""The first step: is this request one that may be built, and the commit's tree on the worker."""

from __future__ import annotations

import re
from typing import Any

from buildbot.steps.source.git import Git

from steps.results import FAILURE, SUCCESS
from workers.errors import Failure

COMMIT = re.compile(r"\A[0-9a-f]{40}\Z")
BRANCH = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}\Z")
PULL = re.compile(r"\Arefs/pull/([1-9][0-9]{0,8})/head\Z")


def check_request(
    repository: str, wanted_repository: str, branch: str | None, revision: str | None, *, pull: bool = False
) -> None:
    """The forms' checks again: a rebuild or a trigger does not go through a form. Raises Failure.

    pull: whether it has to be a pull request's; else it must not be one, whatever asked for it.
    """
    if repository != wanted_repository:
        raise Failure(
            "checkout", "this request is for another repository", wanted=wanted_repository, found=repository or "none",
            todo="Force the build again from the form; settings.toml may have changed since it was requested.",
        )  # fmt: skip
    if not revision or not COMMIT.match(revision):
        raise Failure(
            "checkout", "this request does not name a commit", wanted="40 hexadecimal digits",
            found=repr(revision), todo="Force the build again from the form.",
        )  # fmt: skip
    if not branch or not BRANCH.match(branch):
        raise Failure(
            "checkout", "this request does not name a branch", wanted="a branch's name", found=repr(branch),
            todo="Force the build again from the form.",
        )  # fmt: skip
    if pull != bool(PULL.match(branch)) or (branch.startswith("refs/") and not pull):
        raise Failure(
            "checkout", "this request is for another kind of builder",
            wanted="refs/pull/NUMBER/head" if pull else "a branch of the repository", found=repr(branch),
            todo="Pull requests are built by their own builders on their own workers, branches by the others.",
        )  # fmt: skip


class Checkout(Git):
    """Checks the request, then out the commit, from scratch but for what git has already fetched.

    Proves: the tree is the requested commit's, with no file of an earlier build in it.
    Leaves: the checkout as working directory of all later steps; property `got_revision`.
    """

    name = "checkout"
    haltOnFailure = True
    flunkOnFailure = True

    def __init__(self, repourl: str, *, pull: bool = False, **kwargs: Any) -> None:
        super().__init__(repourl=repourl, mode="full", method="fresh", logEnviron=False, progress=False, **kwargs)
        self.pull = pull
        self.problem: str | None = None

    async def run(self) -> int:
        stamp = self.build.getSourceStamp(self.codebase)
        try:
            check_request(stamp.repository, self.repourl, stamp.branch, stamp.revision, pull=self.pull)
        except Failure as failure:
            return await self._refuse(str(failure))
        result = await super().run()
        if result == SUCCESS and self.getProperty("got_revision") != stamp.revision:
            return await self._refuse(
                f"checkout: git left {self.getProperty('got_revision')}, {stamp.revision} was requested"
            )
        return int(result)

    async def _refuse(self, problem: str) -> int:
        await self.addCompleteLog("problem", problem + "\n")
        self.problem = problem.splitlines()[0]
        return FAILURE

    def getResultSummary(self) -> dict[str, str]:
        if self.problem is not None:
            return {"step": self.problem}
        if self.results != SUCCESS:
            repository = self.repourl
            return {"step": f"checkout: git could not check the commit out of {repository}"}
        commit = self.getProperty("got_revision") or ""
        return {"step": f"commit {commit[:12]} of {self.branch}"}
