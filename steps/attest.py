"""The last step: what was recorded is signed, by a process that believes only what it reads and hashes itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from buildbot.process.buildstep import BuildStep

from steps.program import headline
from steps.results import FAILURE, SKIPPED, SUCCESS
from workers.errors import Failure
from workers.progress import counted


@dataclass(frozen=True)
class Bundled:
    """A bundle as it is stored: its name, digest and size."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Attested:
    """What the signer says. why: not attested because of that; key: its id; builder: in whose name."""

    attested: bool
    why: str = ""
    profile: str = ""
    key: str = ""
    builder: str = ""
    bundles: list[Bundled] = field(default_factory=list)


Attester = Callable[[Any, int, str], Awaitable[Attested]]


class Attest(BuildStep):
    """Has the archives' provenance signed, where the commit is on the branch that is built.

    Proves: the stored bytes are those recorded, and what Buildbot, index and reports say of the build fits together.
    Leaves: a bundle beside each archive; property `attested`.
    """

    name = "attest"
    haltOnFailure = True
    flunkOnFailure = True

    def __init__(self, attest: Attester, page_url: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attest = attest
        self.page_url = page_url
        self.said: str | None = None

    async def run(self) -> int:
        build = self.build
        try:
            done = await self.attest(self.master.reactor, build.buildid, str(self.getProperty("got_revision")))
        except Failure as failure:
            await self.addCompleteLog("problem", f"{failure}\n")
            self.said = headline(str(failure))
            return FAILURE
        self.setProperty("attested", done.builder, "attest")
        if not done.attested:
            self.said = f"not attested: {done.why}"
            return SKIPPED
        for one in done.bundles:
            await self.addURL(one.name, f"{self.page_url}archives/{build.builder.name}/{build.number}/{one.name}")
        self.said = f"{counted(len(done.bundles), 'bundle')} signed as {done.builder}, profile {done.profile}"
        return SUCCESS

    def getResultSummary(self) -> dict[str, str]:
        return {"step": self.said or str(self.name)}
