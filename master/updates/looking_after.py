"""The builder `pins`: when it runs, its form, and what its steps are given."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import Any

from buildbot.plugins import schedulers, util
from buildbot.process.factory import BuildFactory
from buildbot.schedulers.forcesched import ValidationError

from master.forms import CellForce
from master.home import Home
from master.updates.choice import Updates
from steps.process import Command
from steps.program import Limits
from steps.updates import STAGES, RequestBuilds, StageName

PINS, PINS_FORM, PINS_NIGHTLY = "pins", "force-pins", "pins-nightly"
KEPT_RUNS = 20


@dataclass(frozen=True)
class LookingAfter:
    """What the steps need of the master. Values, so that a reconfiguration can compare them."""

    home: Home
    repository: str
    branch: str
    page_url: str

    def command(self, stage: StageName, buildid: int, only: list[str]) -> Command:
        """How a stage is started."""
        runs = self.home.updates / "run"
        if stage == "look":
            old = sorted((one for one in runs.glob("*") if one.name.isdigit()), key=lambda one: int(one.name))
            for one in old[:-KEPT_RUNS]:
                shutil.rmtree(one, ignore_errors=True)
        directory = runs / str(buildid)
        argv = [sys.executable, "-m", "master.updates", stage, f"--run={directory}", *(f"--only={one}" for one in only)]
        environment = {"MINT_HOME": str(self.home.root), "PYMINT_EVENTS": "1", "PYTHONUNBUFFERED": "1"}
        return Command(argv, str(self.home.checkout), environment, directory / f"{stage}.json")


def builder(work: LookingAfter, chosen: Updates, limits: Limits, worker: str, cells: str) -> Any:
    """One at a time. cells: the scheduler that builds chosen cells."""
    steps: list[Any] = [stage(work, limits) for stage in STAGES]
    if chosen.branches:
        steps.append(RequestBuilds(cells, work.repository))
    return util.BuilderConfig(
        name=PINS,
        workernames=[worker],
        factory=BuildFactory(steps),
        locks=[util.MasterLock(PINS).access("exclusive")],
        tags=["pins"],
        description="Looks for newer releases of all that is pinned; pins, builds and proves them on branches",
        collapseRequests=False,
    )


class Names(util.StringParameter):
    """Names of sources, with commas or spaces between them."""

    def updateFromKwargs(self, properties: dict[str, Any], kwargs: dict[str, Any], **unused: Any) -> None:
        value = self.getFromKwargs(kwargs)
        names = str(value or "").replace(",", " ").split()
        if not all(name.replace("-", "").replace(".", "").isalnum() and name[0].isalpha() for name in names):
            raise ValidationError("Names of sources.toml, such as: openssl, cpython-3.13.")
        properties[self.name] = names


def schedulers_of(repository: str, branch: str, chosen: Updates) -> list[Any]:
    """The form, and the clock unless no hour is chosen."""
    stamp = {"repository": repository, "branch": branch, "revision": None}
    form = CellForce(
        name=PINS_FORM,
        buttonName="Look",
        label="Look for newer releases",
        builderNames=[PINS],
        codebases=[
            util.CodebaseParameter(
                codebase="", name="", label="What is looked after",
                branch=util.FixedParameter(name="branch", default=branch),
                revision=util.FixedParameter(name="revision", default=""),
                repository=util.FixedParameter(name="repository", default=repository),
                project=util.FixedParameter(name="project", default=""),
            )
        ],
        properties=[Names(name="only", label="Sources (empty: all)", default="", size=60, maxsize=500)],
        reason=util.StringParameter(name="reason", label="Reason", default="by hand", size=60, maxsize=500),
        username=util.UserNameParameter(name="username", label="Your name", need_email=False, default="", size=30),
        reasonString="%(reason)s",
    )  # fmt: skip
    if not chosen.hours:
        return [form]
    clock = schedulers.Nightly(
        name=PINS_NIGHTLY, builderNames=[PINS], hour=sorted(set(chosen.hours)), minute=chosen.minute,
        codebases={"": stamp},
    )  # fmt: skip
    return [form, clock]
