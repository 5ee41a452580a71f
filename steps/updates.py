"""The steps of looking after the pins: stages of `python -m master.updates`, and the request of what is to be built."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from buildbot.process.buildstep import BuildStep
from buildbot.process.properties import Properties
from twisted.internet import threads

from steps.process import Command, MasterProcess
from steps.program import headline
from steps.results import FAILURE, SKIPPED, SUCCESS
from workers.errors import Failure
from workers.progress import counted

StageName = Literal["look", "advisories", "candidates"]
BUILDS = "branches_to_build"


@dataclass(frozen=True)
class Branch:
    """A branch with a new pin on it, and the builders of the cells that the pin changes."""

    branch: str
    commit: str
    cells: list[str]


@dataclass(frozen=True)
class UpdatesStageReport:
    """What a stage leaves. summary: one line; links: title to address below the page's.

    builds: what is to be built now; requested: the directory in which a file by a commit's name says that it was.
    problem: what a person has to see, though the stage went on; the step fails with it.
    """

    schema: Literal["pymint/updates-stage/1"]
    summary: str
    links: dict[str, str] = field(default_factory=dict)
    builds: list[Branch] = field(default_factory=list)
    requested: str = ""
    problem: str = ""


class Looking(Protocol):
    """What the steps need of the master. repository: whose pins are looked after; page_url: with a slash at its end."""

    @property
    def repository(self) -> str: ...

    @property
    def page_url(self) -> str: ...

    def command(self, stage: StageName, buildid: int, only: list[str]) -> Command:
        """How a stage is started."""


class UpdateStage(MasterProcess):
    """Runs one stage, shows its lines as they come, and checks what it left."""

    stage: ClassVar[StageName]

    def __init__(self, looking: Looking, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.looking = looking

    async def run(self) -> int:
        only = self.getProperty("only") or []
        started = self.looking.command(self.stage, self.build.buildid, [str(one) for one in only])
        try:
            report = await self.outcome(started, UpdatesStageReport)
        except Failure as failure:
            return await self.refuse(str(failure))
        if isinstance(report, int):
            return report
        for title, address in report.links.items():
            await self.addURL(title, self.looking.page_url + address)
        if report.builds:
            found = [[one.branch, one.commit, one.cells] for one in report.builds]
            self.setProperty(BUILDS, {"builds": found, "requested": report.requested}, self.name)
        if report.problem:
            return await self.refuse(report.problem)
        self.said = report.summary
        return SUCCESS


class Look(UpdateStage):
    """Asks every configured kind of source which newer releases there are of what the branch pins.

    Proves: nothing; what could not be asked is named.
    Leaves: the report `updates.json`, and the page.
    """

    name = "look"
    stage = "look"


class ReadAdvisories(UpdateStage):
    """Reads security advisories and keeps those that are about anything pinned.

    Leaves: `advisories.json`, with the age of what was read.
    """

    name = "advisories"
    stage = "advisories"


class MakeCandidates(UpdateStage):
    """Fetches the newest release of each, checks who signed it, and writes its pin on a branch of its own.

    Proves: no witness speaks against what is pinned; the file is the release that it says it is.
    Leaves: branches `bump/…`; `candidates.json`; what is to be built as property.
    """

    name = "candidates"
    stage = "candidates"
    # A lie about one source holds no other's candidate back.
    haltOnFailure = False


class RequestBuilds(BuildStep):
    """Requests a build of every cell that a new pin changes, of its branch, and does not wait for them.

    Leaves: links to the requests; a mark for each commit, so that no look requests it again.
    """

    name = "request-builds"
    haltOnFailure = True
    flunkOnFailure = True

    def __init__(self, scheduler: str, repository: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scheduler = scheduler
        self.repository = repository
        self.said = ""

    async def run(self) -> int:
        wanted = self.getProperty(BUILDS)
        if not wanted:
            self.said = "nothing new to build"
            return SKIPPED
        chosen = self.master.scheduler_manager.namedServices.get(self.scheduler)
        if chosen is None:
            problem = Failure("updates", "no cell has a worker", todo="Add one: the end of docs/settings.md.")
            await self.addCompleteLog("problem", f"{problem}\n")
            self.said = headline(str(problem))
            return FAILURE
        count = 0
        for branch, commit, cells in wanted["builds"]:
            count += await self._request(chosen, branch, commit, cells)
            await threads.deferToThread(_mark, Path(wanted["requested"]) / commit)
        self.said = f"{counted(count, 'build')} of {counted(len(wanted['builds']), 'branch', 'branches')} requested"
        return SUCCESS

    async def _request(self, chosen: Any, branch: str, commit: str, cells: list[str]) -> int:
        stamp = {"codebase": "", "repository": self.repository, "branch": branch, "revision": commit, "project": ""}
        properties = Properties()
        properties.setProperty("cells", cells, self.name)
        properties.setProperty("reason", f"candidate: {branch.removeprefix('bump/')}", self.name)
        asked, _ = chosen.trigger(
            waited_for=False, sourcestamps=[stamp], set_props=properties, parent_buildid=self.build.buildid,
            parent_relationship="Candidate from",
        )  # fmt: skip
        _, requests = await asked
        for number in requests.values():
            await self.addURL(f"{branch} #{number}", f"{self.master.config.buildbotURL}#/buildrequests/{number}")
        return len(requests)

    def getResultSummary(self) -> dict[str, str]:
        return {"step": self.said or self.name}


def _mark(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


STAGES: tuple[type[UpdateStage], ...] = (Look, ReadAdvisories, MakeCandidates)
